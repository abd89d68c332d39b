"""Rules for functions that work along dims: norms and softmax keep the shape, means and sums drop dims."""

from typing import Any

import torch
import torch.nn.functional as F

from vit_trace.record.meta.core import (
    FLOATS,
    INTEGERS,
    Shape,
    axes,
    axis,
    elementwise,
    fresh,
    fresh_in_format,
    product,
    require,
    sure,
    sure_alike,
    sure_float,
)


def softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> torch.Tensor:
    axis(dim, sure_float(input).ndim)
    require(dtype is None or dtype in FLOATS)
    return fresh(input.shape, dtype or input.dtype)


def _fit(parameters: tuple[Any, ...], shape: Shape, dtype: torch.dtype) -> None:
    for parameter in parameters:
        require(parameter is None or sure_alike(parameter, dtype).shape == shape)


def _normalised(input: Any, normalized_shape: Any, *parameters: Any) -> torch.dtype:
    dtype, last = sure_float(input).dtype, tuple(normalized_shape)
    require(len(last) > 0 and input.shape[-len(last) :] == last)
    _fit(parameters, last, dtype)
    return dtype


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> torch.Tensor:  # fmt: skip
    require(type(eps) is float)
    return fresh(input.shape, _normalised(input, normalized_shape, weight, bias))


def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> torch.Tensor:
    require(eps is None or type(eps) is float)
    _normalised(input, normalized_shape, weight)
    return fresh_in_format(input.shape, input)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> torch.Tensor:
    dtype, shape = sure_float(input).dtype, input.shape
    require(len(shape) >= 2 and 0 not in shape and num_groups > 0 and shape[1] % num_groups == 0)
    require(product(shape) > shape[0] * num_groups and type(eps) is float)
    _fit((weight, bias), shape[1:2], dtype)
    return fresh(shape, dtype)


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> torch.Tensor:  # fmt: skip
    dtype, shape = sure_float(input).dtype, input.shape
    require(len(shape) >= 2 and 0 not in shape)
    require(product(shape) > shape[1] if training else running_mean is not None and running_var is not None)
    _fit((running_mean, running_var, weight, bias), shape[1:2], dtype)
    return input.clone()  # type: ignore[no-any-return]


def _reduction(x: torch.Tensor, dim: Any, keepdim: bool, dtype: torch.dtype) -> torch.Tensor:
    require(type(keepdim) is bool)
    dims = axes(dim, x.ndim)
    sizes = (1 if at in dims else size for at, size in enumerate(x.shape) if keepdim or at not in dims)
    return fresh(tuple(sizes), dtype)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: None = None) -> torch.Tensor:
    require(p == 2 and out is None and type(eps) is float and sure_float(input).ndim > 0)
    return elementwise((input, _reduction(input, dim, True, input.dtype)), input.dtype)


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    kind = sure(input).dtype if dtype is None else dtype
    require(kind in FLOATS)
    return _reduction(input, dim, keepdim, kind)


def total(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    own = sure(input).dtype
    require(dtype is None or dtype in FLOATS or dtype in INTEGERS)
    return _reduction(input, dim, keepdim, dtype or (own if own in FLOATS else torch.int64))


def _extreme(input: Any, dim: Any = (), keepdim: bool = False) -> torch.Tensor:
    require(sure(input).numel() > 0 and dim is not None)
    return _reduction(input, dim, keepdim, input.dtype)


def _variance(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> torch.Tensor:
    require(sure_float(input).numel() > 0 and (unbiased is None or type(unbiased) is bool))
    require(correction is None or (unbiased is None and type(correction) is int))
    return _reduction(input, dim, keepdim, input.dtype)


def _position(input: Any, dim: Any = None, keepdim: bool = False) -> torch.Tensor:
    require(sure(input).numel() > 0 and input.dtype is not torch.bool)
    require(type(dim) is int or (dim is None and not keepdim))
    return _reduction(input, dim, keepdim, torch.int64)


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: None = None) -> torch.Tensor:
    require(sure_float(input).numel() > 0 and p in (2, "fro") and dtype is None)
    return _reduction(input, dim, keepdim, input.dtype)


def cumulative(input: Any, dim: Any, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    axis(dim, sure(input).ndim)
    require((dtype is None or dtype in FLOATS or dtype in INTEGERS) and input.is_contiguous())
    return fresh(input.shape, dtype or (input.dtype if input.dtype in FLOATS else torch.int64))


def _argsort(input: Any, dim: Any = -1, descending: bool = False) -> torch.Tensor:
    require(type(descending) is bool)
    return cumulative(input, dim, dtype=torch.int64)


RULES: dict[Any, Any] = {
    "softmax log_softmax": lambda input, dim, dtype=None: softmax(input, dim, dtype=dtype),
    "mean": mean,
    "sum": total,
    "amax amin": _extreme,
    "var std": _variance,
    "argmax argmin": _position,
    "norm": norm,
    "cumsum": cumulative,
    "argsort": _argsort,
    (F.softmax, F.log_softmax): softmax,
    (F.layer_norm, torch.layer_norm): layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: group_norm,
    F.batch_norm: batch_norm,
    F.normalize: normalize,
    torch.linalg.vector_norm: lambda x, ord=2, dim=None, keepdim=False: norm(x, ord, dim, keepdim),
}
