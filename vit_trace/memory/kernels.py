"""Computes torch's kernels on meta tensors by rule, below autograd: the graph, and what it saves, stay torch's own.

On the meta device mm, add, gelu, layer norm and their backward are Python whose first call imports torch's compiler,
which takes as long as `import torch`. A rule gives the result's shape, strides and dtype for tensors of one floating
dtype; for anything else it raises `Unsure`, and torch answers. Covers the kernels of plain transformers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vit_trace.record.meta import arrange, contract, reduce
from vit_trace.record.meta.core import FLOATS, broadcast, elementwise, fresh, require, sure_alike, sure_float

Kernel = Callable[..., Any]


def _combined(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """add, mul, div"""
    lone = type(b) in (int, float)
    require(alpha == 1 and sure_float(a).dtype in FLOATS and (lone or sure_float(b).dtype is a.dtype))
    return elementwise((a,) if lone else (a, b), a.dtype)


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


def _cast(x: Any, *, dtype: Any = None, **more: Any) -> Tensor:
    require(dtype in FLOATS and not any(more.values()))
    return elementwise((sure_float(x),), dtype)


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
        aten.cat.default: arrange.cat,
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
