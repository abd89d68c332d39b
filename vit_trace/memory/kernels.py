"""Computes torch's kernels on meta tensors by rule, below autograd: the graph, and what it saves, stay torch's own.

On the meta device mm, add, gelu, layer norm and their backward are Python whose first call imports torch's compiler,
which takes as long as `import torch`. A rule gives the result's shape, strides and dtype for tensors of one floating
dtype; for anything else it raises `Unsure`, and torch answers. Covers the kernels of plain transformers.
"""

from collections.abc import Callable, Sequence
from functools import reduce as reduce_all
from typing import Any

import torch
from torch import Tensor

from vit_trace.record.meta import arrange, contract, reduce
from vit_trace.record.meta.core import (
    FLOATS,
    broadcast,
    elementwise,
    fresh,
    fresh_strided,
    require,
    strides_in_order,
    sure_alike,
    sure_float,
)

Kernel = Callable[..., Any]


def _combined(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """add, mul, div"""
    lone = type(b) in (int, float)
    require(alpha == 1 and sure_float(a).dtype in FLOATS and (lone or sure_float(b).dtype in FLOATS))
    if lone or b.dtype is a.dtype:
        return elementwise((a,) if lone else (a, b), a.dtype)
    require(a.ndim > 0 and b.ndim > 0 and a.is_contiguous() and b.is_contiguous())  # autocast: a half and a float32
    return elementwise((a, b), torch.promote_types(a.dtype, b.dtype))


def _in_place(a: Any, *others: Any, **more: Any) -> Tensor:
    """add_, mul_, bernoulli_: returns its first argument."""
    require(sure_float(a).numel() > 0)
    for other in others:
        if isinstance(other, Tensor):
            require(broadcast(sure_alike(other, a.dtype).shape, a.shape) == tuple(a.shape))
    return a  # type: ignore[no-any-return]


def _like(a: Any, **more: Any) -> Tensor:
    """empty_like, zeros_like, ones_like without changes."""
    require(all(value is None or value is False for name, value in more.items() if name != "memory_format"))
    require(more.get("memory_format") in (None, torch.preserve_format))
    return elementwise((sure_float(a),), a.dtype)


def _layer_norm(x: Any, last: Any, weight: Any, bias: Any, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    require(sure_float(x).numel() > 0)
    out = reduce.layer_norm(x, last, weight, bias, eps)
    moments = (*x.shape[: x.ndim - len(last)], *(1,) * len(last))
    dtype = torch.promote_types(x.dtype, torch.float32)  # as on a GPU; a CPU keeps halves
    return out, fresh(moments, dtype), fresh(moments, dtype)


def _layer_norm_backward(
    grad: Any, x: Any, last: Any, mean: Any, rstd: Any, weight: Any, bias: Any, mask: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    require(sure_alike(grad, sure_float(x).dtype).shape == x.shape)
    require(weight is not None and bias is not None)
    wanted = zip(mask, (x.shape, weight.shape, bias.shape), strict=True)
    made = [fresh(shape, x.dtype) if want else None for want, shape in wanted]
    return made[0], made[1], made[2]


def _softmax(x: Any, dim: int, half_to_float: bool) -> Tensor:
    require(not half_to_float and sure_float(x).is_contiguous())
    return fresh(x.shape, x.dtype)


def _backward_of_same_shape(grad: Any, held: Any, dim: int = -1, dtype: Any = None, **about: Any) -> Tensor:
    """Of softmax and GELU."""
    require(dtype in (None, sure_float(held).dtype) and sure_alike(grad, held.dtype).shape == held.shape)
    require(grad.is_contiguous() and held.is_contiguous())
    return fresh(held.shape, held.dtype)


def _on_floats(rule: Kernel) -> Kernel:
    return lambda x, *rest, **more: rule(sure_float(x), *rest, **more)


def _cast(x: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, **more: Any) -> Tensor:
    require(dtype in FLOATS and not any(more.values()))
    require(layout in (None, torch.strided) and device in (None, sure_float(x).device))
    return elementwise((x,), dtype)


def _cat(tensors: Any, dim: int = 0) -> Tensor:
    """Of several dtypes, as under autocast, in the widest."""
    require(all(one.dtype in FLOATS for one in tensors))
    dtype = reduce_all(torch.promote_types, (one.dtype for one in tensors))
    return arrange.cat([one if one.dtype is dtype else elementwise((one,), dtype) for one in tensors], dim)


def _drop(x: Any, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    require(train is True and sure_float(x).is_contiguous())
    return fresh(x.shape, x.dtype), fresh(x.shape, torch.bool)


def _laid_out(x: Any, outer: Sequence[int] | None = None) -> Tensor:
    """A dense tensor like one of attention, in its order of dims in memory, or in one that is given."""
    require(sure_float(x).ndim == 4 and min(x.shape) > 1 and len(set(x.stride())) == 4)
    order = outer or sorted(range(4), key=lambda dim: -x.stride(dim))
    return fresh_strided(x.shape, strides_in_order(x.shape, order), x.dtype)


BY_ROW = (0, 2, 1, 3)
"""Order of the dims in memory of what the memory-efficient kernel makes: batch, token, head, feature."""


def _flash(query: Any, key: Any, value: Any, *how: Any, scale: float | None = None) -> tuple[Any, ...]:
    rows = fresh(query.shape[:3], torch.float32)
    seed, offset, mask = fresh((2,), torch.uint64), fresh((), torch.uint64), fresh((0,), query.dtype)
    return _laid_out(query), rows, None, None, query.shape[2], key.shape[2], seed, offset, mask


def _cudnn(
    query: Any, key: Any, value: Any, mask: Any, rows: bool, *how: Any, scale: float | None = None
) -> tuple[Any, ...]:
    require(value.shape[-1] == query.shape[-1])
    kept = fresh((*query.shape[:3], 1), torch.float32) if rows else fresh((0,), torch.float32)
    numbers = fresh((), torch.int64), fresh((), torch.int64)
    return _laid_out(query), kept, None, None, query.shape[2], key.shape[2], *numbers, None


def _flash_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Tensor, ...]:
    return _laid_out(query), _laid_out(key), _laid_out(value)


def _efficient(
    query: Any, key: Any, value: Any, mask: Any, rows: bool, *how: Any, scale: float | None = None
) -> tuple[Tensor, ...]:
    require(value.shape[-1] == query.shape[-1])
    batch, heads, count = query.shape[:3]
    kept = fresh((batch, heads, -(-count // 32) * 32 if rows else 0), torch.float32)
    return _laid_out(query, BY_ROW), kept, fresh((), torch.int64), fresh((), torch.int64)


def _efficient_backward(grad: Any, query: Any, key: Any, value: Any, mask: Any, *rest: Any, **_: Any) -> Any:
    require(mask is None or not rest[5][3])  # its mask needs no gradient
    return *(_laid_out(one, BY_ROW) for one in (query, key, value)), None


def kernels() -> dict[Any, Kernel]:
    """Rule by kernel."""
    aten: Any = torch.ops.aten
    return {
        aten._to_copy.default: _cast,
        aten.mm.default: contract.mm,
        aten.bmm.default: contract.bmm,
        aten.addmm.default: contract.addmm,
        **dict.fromkeys((aten.add.Tensor, aten.mul.Tensor, aten.mul.Scalar, aten.div.Scalar), _combined),
        **dict.fromkeys((aten.add_.Tensor, aten.mul_.Tensor, aten.div_.Tensor, aten.div_.Scalar), _in_place),
        aten.bernoulli_.float: _in_place,
        **dict.fromkeys((aten.empty_like.default, aten.ones_like.default), _like),
        aten.native_layer_norm.default: _layer_norm,
        aten.native_layer_norm_backward.default: _layer_norm_backward,
        aten._softmax.default: _softmax,
        aten._softmax_backward_data.default: _backward_of_same_shape,
        aten.gelu.default: lambda x, **_: elementwise((sure_float(x),), x.dtype),
        aten.gelu_backward.default: _backward_of_same_shape,
        **dict.fromkeys((aten.sum.default, aten.sum.dim_IntList), _on_floats(reduce.total)),
        aten.mean.dim: _on_floats(reduce.mean),
        aten.cat.default: _cat,
        aten.native_dropout.default: _drop,
        aten.native_dropout_backward.default: lambda grad, mask, scale: elementwise((sure_float(grad),), grad.dtype),
        aten._scaled_dot_product_cudnn_attention.default: _cudnn,
        aten._scaled_dot_product_cudnn_attention_backward.default: _flash_backward,
        aten._scaled_dot_product_flash_attention.default: _flash,
        aten._scaled_dot_product_flash_attention_backward.default: _flash_backward,
        aten._scaled_dot_product_efficient_attention.default: _efficient,
        aten._scaled_dot_product_efficient_attention_backward.default: _efficient_backward,
        **dict.fromkeys(
            (aten.select_backward.default, aten.slice_backward.default),
            lambda grad, shape, *_: fresh(tuple(shape), sure_float(grad).dtype),
        ),
    }


class Kernels:
    """Runs kernels, by rule where one covers the arguments."""

    def __init__(self, rules: bool = True) -> None:
        self.rule = kernels().get if rules else {}.get

    def __call__(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rule: Kernel | None = self.rule(func)
        if rule is None:
            return func(*args, **kwargs)
        grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)  # rules are for tensors without grad: here autograd is already done
        try:
            return rule(*args, **kwargs)
        except Exception:  # Unsure, or a rule that fails on its arguments
            return func(*args, **kwargs)
        finally:
            torch._C._set_grad_enabled(grad)
