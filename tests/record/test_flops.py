"""The FLOP rules against torch's own counter, call by call and over whole models.

The reference is torch.utils.flop_counter on meta; on CPU it agrees but for attention, whose fused CPU kernel it misses.
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from vit_trace.record.meta.flops import FORMULAS, flops
from vit_trace.vit import ViT

pytestmark = pytest.mark.filterwarnings("ignore")


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, device="meta")


GRU = [ones(15, *size) for first in (3, 5) for size in ((first,), (5,), (), ())]  # two layers

CALLS: dict[str, tuple[Any, list[Any], dict[str, Any]]] = {
    "linear": (F.linear, [ones(2, 3, 4), ones(5, 4)], {}),
    "linear, bias": (F.linear, [ones(2, 3, 4), ones(5, 4), ones(5)], {}),
    "linear, permuted": (F.linear, [ones(3, 2, 4).transpose(0, 1), ones(5, 4), ones(5)], {}),
    "linear of a vector": (F.linear, [ones(4), ones(5, 4), ones(5)], {}),
    "linear by a vector": (F.linear, [ones(2, 4), ones(4)], {}),
    "linear, empty": (F.linear, [ones(0, 4), ones(5, 4)], {}),
    "matmul": (torch.matmul, [ones(2, 3), ones(3, 4)], {}),
    "matmul, matrix by vector": (torch.matmul, [ones(2, 3), ones(3)], {}),
    "matmul, batch by vector": (torch.matmul, [ones(5, 2, 3), ones(3)], {}),
    "matmul, permuted batch by vector": (torch.matmul, [ones(5, 3, 2).mT, ones(3)], {}),
    "matmul, vector by batch": (torch.matmul, [ones(2), ones(5, 2, 3)], {}),
    "matmul, vector by permuted batch": (torch.matmul, [ones(2), ones(5, 3, 2).mT], {}),
    "matmul, vectors": (torch.matmul, [ones(2), ones(2)], {}),
    "matmul, vector by matrix": (torch.matmul, [ones(2), ones(2, 3)], {}),
    "matmul, matrix by batch": (torch.matmul, [ones(2, 3), ones(5, 3, 4)], {}),
    "matmul, batch by matrix": (torch.matmul, [ones(5, 2, 3), ones(3, 4)], {}),
    "matmul, broadcast": (torch.Tensor.matmul, [ones(5, 2, 3), ones(7, 1, 3, 4)], {}),
    "@": (torch.Tensor.__matmul__, [ones(7, 2, 3), ones(7, 3, 4)], {}),
    "@ reflected": (torch.Tensor.__rmatmul__, [ones(7, 3, 4), ones(7, 2, 3)], {}),
    "mm": (torch.mm, [ones(2, 3), ones(3, 4)], {}),
    "bmm": (torch.Tensor.bmm, [ones(5, 2, 3), ones(5, 3, 4)], {}),
    "addmm": (torch.addmm, [ones(4), ones(2, 3), ones(3, 4)], {"alpha": 2}),
    "baddbmm": (torch.baddbmm, [ones(4), ones(5, 2, 3), ones(5, 3, 4)], {}),
    "einsum, scores": (torch.einsum, ["b h n d, b h m d -> b h n m", ones(2, 3, 4, 5), ones(2, 3, 6, 5)], {}),
    "einsum, swapped": (torch.einsum, ["bij,bkj->bki", ones(2, 3, 4), ones(2, 5, 4)], {}),
    "einsum, outer": (torch.einsum, ["ij,k->ijk", ones(2, 3), ones(4)], {}),
    "einsum, summed beforehand": (torch.einsum, ["bij,kj->bk", ones(2, 3, 4), ones(5, 4)], {}),
    "einsum, broadcast": (torch.einsum, ["bij,kj->bik", ones(2, 3, 1), ones(5, 4)], {}),
    "einsum, dot": (torch.einsum, ["i,i->", ones(3), ones(3)], {}),
    "attention": (F.scaled_dot_product_attention, [ones(2, 3, 4, 8), ones(2, 3, 5, 8), ones(2, 3, 5, 6)], {}),
    "attention, no heads": (F.scaled_dot_product_attention, [ones(2, 4, 8), ones(2, 5, 8), ones(2, 5, 7)], {}),
    "conv1d": (torch.conv1d, [ones(2, 3, 8), ones(4, 3, 2)], {}),
    "conv2d": (torch.conv2d, [ones(2, 3, 8, 9), ones(4, 3, 2, 3), ones(4), (2, 1)], {"padding": 1}),
    "conv2d, one image": (torch.conv2d, [ones(3, 8, 9), ones(4, 3, 2, 3)], {}),
    "conv2d, depthwise": (torch.conv2d, [ones(2, 4, 8, 8), ones(4, 1, 3, 3), None, 1, 1, 1, 4], {}),
    "conv2d, same": (torch.conv2d, [ones(2, 3, 8, 8), ones(4, 3, 3, 3)], {"padding": "same"}),
    "conv3d": (torch.conv3d, [ones(2, 3, 4, 4, 4), ones(4, 3, 2, 2, 2)], {}),
    "conv_transpose1d": (torch.conv_transpose1d, [ones(2, 3, 8), ones(3, 4, 2)], {}),
    "conv_transpose2d": (torch.conv_transpose2d, [ones(2, 3, 8, 8), ones(3, 4, 2, 2), None, 2], {}),
    "conv_transpose3d": (torch.conv_transpose3d, [ones(2, 4, 3, 3, 3), ones(4, 2, 2, 2, 2)], {"groups": 2}),
    "gru": (torch.gru, [ones(2, 4, 3), ones(2, 4, 5), GRU, True, 2, 0.0, False, False, False], {}),
    "gelu": (F.gelu, [ones(2, 3)], {}),
    "layer_norm": (F.layer_norm, [ones(2, 3), (3,)], {}),
    "add": (torch.Tensor.add, [ones(2, 3), ones(3)], {}),
}


def counted(function: Any, *args: Any, **kwargs: Any) -> tuple[int, Any]:
    """What torch's counter says, with the result of the call."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        result = function(*args, **kwargs)
    return counter.get_total_flops(), result


@pytest.mark.parametrize("name", CALLS)
def test_a_call_counts_as_with_torch(name: str) -> None:
    function, args, kwargs = CALLS[name]
    expected, result = counted(function, *args, **kwargs)
    assert flops(function, tuple(args), kwargs, result) == expected
    if function is not F.scaled_dot_product_attention:
        real = tree_map_only(torch.Tensor, lambda arg: torch.ones_like(arg, device="cpu"), args)
        assert counted(function, *real, **kwargs)[0] == expected


# no sum of products to torch's counter: a fault that counts nothing at all would hide among them
UNCOUNTED = {
    "linear by a vector", "linear, empty", "matmul, matrix by vector", "matmul, batch by vector", "matmul, vectors",
    "matmul, vector by permuted batch", "einsum, outer", "einsum, broadcast", "gelu", "layer_norm", "add",
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_only_these_count_nothing(name: str) -> None:
    function, args, kwargs = CALLS[name]
    assert (counted(function, *args, **kwargs)[0] == 0) == (name in UNCOUNTED)


def test_every_kind_of_formula_has_a_call() -> None:
    called = {FORMULAS.get(function) for function, _, _ in CALLS.values()}
    assert set(FORMULAS.values()) <= called


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (torch.einsum, ("ij,jk,kl->il", ones(2, 3), ones(3, 4), ones(4, 5))),
        (F.linear, (3, "x")),
        (torch.matmul, ()),
        (len, ([],)),
    ],
)
def test_what_is_odd_counts_nothing_and_raises_nothing(function: Any, args: tuple[Any, ...]) -> None:
    assert flops(function, args, {}, ones(2)) == 0


class Counting(TorchFunctionMode):
    total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.total += flops(func, args, kwargs, result)
        return result


def vit() -> nn.Module:
    return ViT(image_size=32, patch_size=8, num_classes=10, dim=64, depth=2, heads=4, mlp_dim=128, dim_head=16)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8),
        nn.ConvTranspose2d(8, 4, 2, 2), nn.Flatten(2), nn.Linear(256, 7),
    )  # fmt: skip


@pytest.mark.parametrize("build", [vit, convolutional])
def test_a_model_counts_as_with_torch(build: Any) -> None:
    with torch.device("meta"):
        model, image = build().eval(), torch.empty(2, 3, 32, 32)
    expected, _ = counted(model, image)
    with torch.no_grad(), Counting() as mode:
        model(image)
    assert mode.total == expected > 100_000
