"""Runs a forward on meta tensors with attention and dropout as on a real device, and with casts as of torch.autocast.

The lists are those of torch's ATen/autocast_mode.h, in Python's names, as far as models call them. CUDA's keep more in
float32 than the CPU's: softmax and norms. For attention on meta torch chooses the plain kernel, which keeps the n×n
matrix for backward; real devices choose a fused kernel where they can, which torch itself decides here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from vit_trace.record.recorder import ASKS_TRUTH

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
FUSED = 1
"""What `torch._fused_sdp_choice` answers for a CPU's fused kernel."""


class Functions(TorchFunctionMode):
    """Sees what the model calls. Entering it again inside itself changes nothing.

    Args:
        instead: functions to call in place of torch's.
    """

    def __init__(
        self, casts: Casts | None = None, instead: Mapping[Callable[..., Any], Callable[..., Any]] | None = None
    ) -> None:
        super().__init__()
        self.casts = casts
        self.instead = {F.scaled_dot_product_attention: _attend} if instead is None else instead
        self.depth = self.guesses = 0
        self.truth = True

    @contextmanager
    def on(self) -> Iterator[None]:
        """The mode, with the casts of parameters forgotten at the end, as on leaving autocast."""
        if self.depth:
            yield
            return
        self.depth = 1
        try:
            with self:
                yield
        finally:
            self.depth = 0
            if self.casts is not None:
                self.casts.cache.clear()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ASKS_TRUTH and args and args[0].is_meta and (name == "__bool__" or args[0].dtype is torch.bool):
            self.guesses += 1
            return self.truth
        if func is F.multi_head_attention_forward:
            with _body_of_functional(), self:
                return func(*args, **kwargs)
        if self.casts is not None:
            args, kwargs = self.casts(func, args, kwargs)
        called: Callable[..., Any] = self.instead.get(func, func)
        return called(*args, **kwargs)


@contextmanager
def _body_of_functional() -> Iterator[None]:
    """Let a function of torch.nn.functional run its Python although a mode is on, which then sees what it calls."""
    names = vars(F)
    kept = names["has_torch_function"]
    names["has_torch_function"] = lambda *tensors: False
    try:
        yield
    finally:
        names["has_torch_function"] = kept


class Lists(NamedTuple):
    """Functions by the dtype that their floating arguments get: the lower one, float32, or the widest among them.

    Those in `set` keep their arguments and give a float32 result, unless the caller chose a dtype.
    """

    lower: frozenset[Any]
    single: frozenset[Any]
    set: frozenset[Any]
    widest: frozenset[Any]


def functions(names: str) -> frozenset[Any]:
    """The functions of these names in torch, torch.nn.functional, torch.linalg and Tensor."""
    owners: tuple[Any, ...] = (torch, F, torch.linalg, Tensor)
    return frozenset(getattr(owner, name) for name in names.split() for owner in owners if hasattr(owner, name))


def cuda() -> Lists:
    return Lists(functions(LOWER), functions(SINGLE), functions(SET), functions(WIDEST))


class Casts:
    """Casts the arguments of one function call after another; parameters once in a forward."""

    def __init__(self, lists: Lists, lower: torch.dtype = torch.bfloat16) -> None:
        self.lists, self.lower = lists, lower
        self.cache: dict[int, Tensor] = {}

    def __call__(self, func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
        """(args, kwargs) as autocast passes them on."""
        if func in self.lists.lower:
            return self.cast(args, self.lower), self.cast(kwargs, self.lower)
        if func in self.lists.set and kwargs.get("dtype") is None and args and _is_half(args[0]):
            return args, {**kwargs, "dtype": torch.float32}
        if func in self.lists.single or (func in self.lists.widest and _has_single((args, kwargs))):
            return self.cast(args, torch.float32), self.cast(kwargs, torch.float32)
        return args, kwargs

    def cast(self, values: Any, dtype: torch.dtype) -> Any:
        return tree_map_only(Tensor, lambda tensor: self.one(tensor, dtype), values)

    def one(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        if tensor.dtype is dtype or not tensor.is_floating_point() or tensor.dtype is torch.float64:
            return tensor
        kept = dtype is self.lower and tensor.requires_grad and tensor.is_leaf and not tensor._is_view()
        if not kept:
            return tensor.to(dtype)
        if id(tensor) not in self.cache:
            self.cache[id(tensor)] = tensor.to(dtype)
        return self.cache[id(tensor)]


def _is_half(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)


def _has_single(values: Any) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.dtype is torch.float32 for leaf in tree_leaves(values))


def _attend(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **about: Any,
) -> Tensor:
    """F.scaled_dot_product_attention, by the kernel that torch chooses for CPU tensors of these shapes."""
    about |= {"dropout_p": dropout_p, "is_causal": is_causal}
    learnt = attn_mask is not None and attn_mask.requires_grad  # a CPU's fused kernel gives a mask no gradient
    if not query.is_meta or learnt or _chosen_kernel(query, key, value, attn_mask, about) != FUSED:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, **about)
    mask = attn_mask
    if mask is not None and mask.dtype is torch.bool:
        mask = torch.empty(mask.shape, dtype=query.dtype, device=query.device)  # the kernel adds it
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out: Tensor = kernel(query, key, value, dropout_p, is_causal, attn_mask=mask, scale=about.get("scale"))[0]
    return out


def _chosen_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, about: dict[str, Any]) -> int:
    """The kernel that torch would choose on a CPU."""
    choose: Callable[..., int] = torch._fused_sdp_choice
    return choose(*map(_stand_in, (query, key, value)), None if mask is None else _stand_in(mask), **about)


def _stand_in(tensor: Tensor) -> Tensor:
    """A CPU tensor of the same shape and dtype, and contiguous in its last dim if the tensor is; one row, repeated."""
    dense = tensor.ndim > 0 and tensor.stride(-1) == 1
    row = torch.empty(tensor.shape[-1:] if dense else (1,), dtype=tensor.dtype, device="cpu")
    return row.expand(tensor.shape).requires_grad_(tensor.requires_grad)
