"""Rules for functions that slide a window over space: convolution, pooling, unfold, and resizing."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from vit_trace.record.meta.core import (
    Shape,
    channels_last,
    fresh,
    fresh_in_format,
    per_dim,
    product,
    require,
    require_number,
    sure_alike,
    sure_float,
)

_LINEAR_MODES = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _windowed(input: Any, dims: int) -> Shape:
    """The shape of an input that a window of so many dims can slide over."""
    shape = sure_float(input).shape
    require(len(shape) in (dims + 1, dims + 2) and 0 not in shape)
    return shape


def _output_length(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> int:
    """How many places a window takes along one dim."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    require(room >= 0 and stride > 0 and padding >= 0 and dilation > 0 and kernel > 0)
    steps = -(-room // stride) if ceil else room // stride
    # a last window that would start in the padding is left out
    return steps + 1 - (ceil and steps * stride >= size + padding)


def _grown(size: int, kernel: int, stride: int, padding: int, extra: int, dilation: int) -> int:
    """The size along one dim that a transposed convolution makes."""
    require(stride > 0 and padding >= 0 and dilation > 0 and 0 <= extra < max(stride, dilation))
    result = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
    require(result > 0)
    return result


def _filters(input: Any, weight: Any, dims: int, groups: int) -> tuple[torch.dtype, Shape, Shape]:
    shape, dtype = _windowed(input, dims), input.dtype
    filters = sure_alike(weight, dtype).shape
    require(len(filters) == dims + 2 and 0 not in filters and type(groups) is int and groups > 0)
    return dtype, shape, filters


def _convolution(
    dims: int, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> torch.Tensor:  # fmt: skip
    dtype, shape, filters = _filters(input, weight, dims, groups)
    require(shape[-dims - 1] == filters[1] * groups and filters[0] % groups == 0)
    require(bias is None or sure_alike(bias, dtype).shape == filters[:1])
    strides, dilations = per_dim(stride, dims), per_dim(dilation, dims)
    if padding == "same":
        require(set(strides) == {1} and min(dilations) > 0)
        return fresh((*shape[: -dims - 1], filters[0], *shape[-dims:]), dtype)
    paddings = per_dim(0 if padding == "valid" else padding, dims)
    space = map(_output_length, shape[-dims:], filters[2:], strides, paddings, dilations)
    return fresh((*shape[: -dims - 1], filters[0], *space), dtype)


def _transposed_convolution(
    dims: int, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> torch.Tensor:  # fmt: skip
    dtype, shape, filters = _filters(input, weight, dims, groups)
    require(shape[-dims - 1] == filters[0] and filters[0] % groups == 0)
    channels = filters[1] * groups
    require(bias is None or sure_alike(bias, dtype).shape == (channels,))
    settings = (per_dim(value, dims) for value in (stride, padding, output_padding, dilation))
    space = map(_grown, shape[-dims:], filters[2:], *settings)
    return fresh((*shape[: -dims - 1], channels, *space), dtype)


def _pooled(input: Any, dims: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> torch.Tensor:
    shape = _windowed(input, dims)
    require(type(ceil) is bool)
    kernels, paddings = per_dim(kernel, dims), per_dim(padding, dims)
    strides = kernels if stride is None or stride == [] else per_dim(stride, dims)
    require(all(2 * pad <= size for pad, size in zip(paddings, kernels, strict=True)))
    space = map(_output_length, shape[-dims:], kernels, strides, paddings, per_dim(dilation, dims), (ceil,) * dims)
    return _in_format((*shape[:-dims], *space), input, dims)


def _in_format(size: Shape, input: torch.Tensor, dims: int) -> torch.Tensor:
    require(min(size) > 0)
    if dims == 2:
        return fresh_in_format(size, input)
    # pooled as an image of one row, which may count as channels last
    row = (input if input.ndim == 3 else input.unsqueeze(0)).unsqueeze(-2)
    require(input.is_contiguous() and not channels_last(row))
    return fresh(size, input.dtype)


def _max_pool(
    dims: int, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> torch.Tensor:  # fmt: skip
    require(not return_indices)
    return _pooled(input, dims, kernel_size, stride, padding, dilation, ceil_mode)


def _avg_pool(
    dims: int, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: None = None,
) -> torch.Tensor:  # fmt: skip
    require(type(count_include_pad) is bool and divisor_override is None)
    return _pooled(input, dims, kernel_size, stride, padding, 1, ceil_mode)


def _adaptive_pool(dims: int, input: Any, output_size: Any) -> torch.Tensor:
    require(type(output_size) is int or len(output_size) == dims)
    return _in_format((*_windowed(input, dims)[:-dims], *per_dim(output_size, dims)), input, dims)


def _pairs(*values: Any) -> list[tuple[int, ...]]:
    require(all(type(value) is int or len(value) == 2 for value in values))
    return [per_dim(value, 2) for value in values]


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> torch.Tensor:
    shape = sure_float(input).shape
    require(len(shape) == 4 and 0 not in shape)
    kernels, *settings = _pairs(kernel_size, stride, padding, dilation)
    spots = map(_output_length, shape[2:], kernels, *settings)
    return fresh((shape[0], shape[1] * product(kernels), product(spots)), input.dtype)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    shape = sure_float(input).shape
    require(len(shape) == 3 and 0 not in shape)
    size, kernels, *settings = _pairs(output_size, kernel_size, stride, padding, dilation)
    spots = map(_output_length, size, kernels, *settings)
    require(shape[1] % product(kernels) == 0 and product(spots) == shape[2])
    return fresh((shape[0], shape[1] // product(kernels), *size), input.dtype)


def _resized(shape: Shape, size: Any, scale_factor: Any) -> tuple[int, ...]:
    dims = len(shape) - 2
    if size is not None:
        require(scale_factor is None)
        return per_dim(size, dims) if type(size) is int or len(size) == dims else ()
    factors = tuple(scale_factor) if type(scale_factor) in (tuple, list) else (scale_factor,) * dims
    require(len(factors) == dims)
    require_number(*factors)
    return tuple(int(length * float(factor)) for length, factor in zip(shape[2:], factors, strict=True))


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> torch.Tensor:  # fmt: skip
    shape = sure_float(input).shape
    require(len(shape) in _LINEAR_MODES and 0 not in shape and not recompute_scale_factor)
    smooth = mode == _LINEAR_MODES[len(shape)] or (mode == "bicubic" and len(shape) == 4)
    require(smooth or (mode in ("nearest", "nearest-exact") and align_corners is None))
    require(not antialias or (smooth and len(shape) == 4))
    space = _resized(shape, size, scale_factor)
    require(len(space) > 0 and min(space) > 0)
    return fresh_in_format((*shape[:2], *space), input)


RULES: dict[Any, Any] = {
    **{getattr(torch, f"conv{dims}d"): partial(_convolution, dims) for dims in (1, 2, 3)},
    **{getattr(torch, f"conv_transpose{dims}d"): partial(_transposed_convolution, dims) for dims in (1, 2, 3)},
    **{getattr(F, f"max_pool{dims}d"): partial(_max_pool, dims) for dims in (1, 2)},
    **{getattr(F, f"avg_pool{dims}d"): partial(_avg_pool, dims) for dims in (1, 2)},
    **{getattr(F, f"adaptive_avg_pool{dims}d"): partial(_adaptive_pool, dims) for dims in (1, 2)},
    F.unfold: unfold,
    F.fold: fold,
    F.interpolate: interpolate,
}
