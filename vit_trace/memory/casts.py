"""Casts tensors without memory as torch.autocast casts real ones: the same lists, the same cache.

The lists are those of torch's ATen/autocast_mode.h, in Python's names, as far as models call them. CUDA's keep more in
float32 than the CPU's: softmax and norms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

LOWER = (
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d prelu addmm addmv addr matmul "
    "__matmul__ __rmatmul__ einsum mm mv linear addbmm baddbmm bmm chain_matmul scaled_dot_product_attention"
)
SINGLE = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __pow__ __rpow__ softplus "
    "layer_norm rms_norm group_norm cosine_similarity nll_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss "
    "binary_cross_entropy_with_logits dist cdist renorm logsumexp interpolate"
)
SET = "softmax log_softmax cumsum cumprod prod sum vector_norm norm"
WIDEST = "addcdiv addcmul atan2 bilinear cross dot vdot grid_sample index_put tensordot scatter_add"


class Lists(NamedTuple):
    """Functions by the dtype that their floating arguments get: bfloat16, float32, or the widest among them.

    Those in `set` keep their arguments and give a float32 result, unless the caller chose a dtype.
    """

    lower: frozenset[Any]
    single: frozenset[Any]
    set: frozenset[Any]
    widest: frozenset[Any]


def functions(names: str) -> frozenset[Any]:
    """The functions of these names in torch, torch.nn.functional, torch.linalg and Tensor."""
    owners: Iterable[Any] = (torch, F, torch.linalg, Tensor)
    return frozenset(getattr(owner, name) for name in names.split() for owner in owners if hasattr(owner, name))


def cuda() -> Lists:
    return Lists(functions(LOWER), functions(SINGLE), functions(SET), functions(WIDEST))


def cpu() -> Lists:
    """The CPU's, for models of linear layers, convolutions and attention."""
    return Lists(functions(LOWER), frozenset(), frozenset(), functions("cat stack"))


class Casts:
    """Casts the arguments of one function call after another; parameters once in a forward."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self.cache: dict[int, Tensor] = {}

    def __call__(self, func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
        """(args, kwargs) as autocast passes them on."""
        if func in self.lists.lower:
            return self.cast(args, torch.bfloat16), self.cast(kwargs, torch.bfloat16)
        if func in self.lists.single:
            return self.cast(args, torch.float32), self.cast(kwargs, torch.float32)
        if func in self.lists.set and kwargs.get("dtype") is None and args and is_half(args[0]):
            return args, {**kwargs, "dtype": torch.float32}
        if func in self.lists.widest and any(leaf.dtype is torch.float32 for leaf in castable((args, kwargs))):
            return self.cast(args, torch.float32), self.cast(kwargs, torch.float32)
        return args, kwargs

    def cast(self, values: Any, dtype: torch.dtype) -> Any:
        return tree_map_only(Tensor, lambda tensor: self.one(tensor, dtype), values)

    def one(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        if tensor.dtype is dtype or not tensor.is_floating_point() or tensor.dtype is torch.float64:
            return tensor
        kept = dtype is torch.bfloat16 and tensor.requires_grad and tensor.is_leaf and not tensor._is_view()
        if not kept:
            return tensor.to(dtype)
        if id(tensor) not in self.cache:
            self.cache[id(tensor)] = tensor.to(dtype)
        return self.cache[id(tensor)]


def is_half(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)


def castable(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
