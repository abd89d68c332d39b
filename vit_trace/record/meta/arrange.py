"""Rules for functions that move elements: cat, stack, copies, indexing by tensors, roll, flip, repeat.

Torch answers views in C++: of reshape and getitem only the cases that copy are answered.
"""

from typing import Any

import torch
import torch.nn.functional as F

from vit_trace.record.meta.core import (
    Shape,
    axes,
    axis,
    broadcast,
    channels_last,
    fresh,
    fresh_strided,
    product,
    require,
    sizes_of,
    strides_in_order,
    sure,
    sure_alike,
    sure_float,
)

_INDICES = frozenset((int, slice, type(...), torch.Tensor))


def cat(tensors: Any, dim: Any = 0) -> torch.Tensor:
    require(type(tensors) in (tuple, list))
    first = sure(tensors[0])
    dtype, shape = first.dtype, first.shape
    at, length = axis(dim, len(shape)), 0
    before, after = shape[:at], shape[at + 1 :]
    for tensor in tensors:
        own = sure_alike(tensor, dtype).shape
        require(len(own) == len(shape) and own[:at] == before and own[at + 1 :] == after)
        length += own[at]
    require(0 < len(shape) < 5 or first.is_contiguous())
    size = (*before, length, *after)
    if len(shape) == 4 and all(map(channels_last, tensors)):
        return fresh_strided(size, strides_in_order(size, (0, 2, 3, 1)), dtype)
    return fresh(size, dtype)


def stack(tensors: Any, dim: Any = 0) -> torch.Tensor:
    require(type(tensors) in (tuple, list))
    first = sure(tensors[0])
    dtype, shape = first.dtype, first.shape
    at = axis(dim, len(shape) + 1)
    for tensor in tensors:
        require(sure_alike(tensor, dtype).shape == shape)
    # torch stacks by cat, which keeps channels last where it sees it
    require(len(shape) < 4 or first.is_contiguous())
    return fresh((*shape[:at], len(tensors), *shape[at:]), dtype)


def contiguous(x: Any, *, memory_format: torch.memory_format = torch.contiguous_format) -> torch.Tensor:
    require(memory_format is torch.contiguous_format)
    return x if sure(x).is_contiguous() else fresh(x.shape, x.dtype)


def _is_view(shape: Shape, strides: Shape, target: Shape) -> bool:
    """Whether a tensor can be seen in another shape without a copy: each run of dims dense in memory splits evenly."""
    dims = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size != 1]
    wanted = iter(reversed([size for size in target if size != 1]))
    while dims:
        size, stride = dims.pop()
        while dims and dims[-1][1] == stride * size:
            size *= dims.pop()[0]
        while size > 1:
            part = next(wanted)
            if size % part:
                return False
            size //= part
    return True


def reshape(input: Any, shape: Any) -> Any:
    if sure(input).is_contiguous():
        return NotImplemented
    target, count = list(shape), input.numel()
    require(count > 0 and all(type(size) is int for size in target))
    if -1 in target:
        at = target.index(-1)
        target[at] = 1
        target[at] = count // product(target)
    require(min(target, default=1) > 0 and product(target) == count)
    require(not _is_view(input.shape, input.stride(), target))
    return fresh(target, input.dtype)


def flatten(input: Any, start_dim: Any = 0, end_dim: Any = -1) -> Any:
    shape = sure(input).shape
    start, end = axis(start_dim, len(shape)), axis(end_dim, len(shape))
    require(start < end)
    return reshape(input, (*shape[:start], product(shape[start : end + 1]), *shape[end + 1 :]))


def getitem(x: Any, index: Any) -> Any:
    """Indexing by tensors of positions; all else is a view, or depends on values."""
    parts = index if type(index) is tuple else (index,)
    tensors = [part for part in parts if type(part) is torch.Tensor]
    if not tensors:
        return NotImplemented  # so common that raising would cost more than torch does
    require(all(tensor.ndim > 0 for tensor in tensors))
    require(all(part is None or type(part) in _INDICES for part in parts))
    view = sure(x)[tuple(slice(None) if type(part) is torch.Tensor else part for part in parts)]
    require(view.is_contiguous() and view.numel() > 0)
    dims = _indexed_dims(parts, x.ndim)
    require(dims == list(range(dims[0], dims[0] + len(dims))))
    shape: tuple[int, ...] = ()
    for tensor in tensors:
        shape = broadcast(shape, sure_alike(tensor, torch.int64).shape)
    require(0 not in shape)
    return fresh((*view.shape[: dims[0]], *shape, *view.shape[dims[-1] + 1 :]), x.dtype)


def _indexed_dims(parts: tuple[Any, ...], ndim: int) -> list[int]:
    """Which dims the tensors among the parts index, once ints, slices and None have had their effect."""
    dims, at = [], 0
    for part in parts:
        if type(part) is torch.Tensor:
            dims.append(at)
        if part is ...:
            at += ndim - sum(other is not None and other is not ... for other in parts)
        elif type(part) is not int:
            at += 1
    return dims


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> torch.Tensor:  # fmt: skip
    require(max_norm is None and padding_idx is None and sure_float(weight).ndim == 2)
    return fresh((*sure_alike(input, torch.int64).shape, weight.shape[1]), weight.dtype)


def gather(input: Any, dim: Any, index: Any) -> torch.Tensor:
    at, shape = axis(dim, sure(input).ndim), input.shape
    own = sure_alike(index, torch.int64).shape
    require(len(own) == len(shape) > 0)
    require(all(i == at or length <= limit for i, (length, limit) in enumerate(zip(own, shape, strict=True))))
    return fresh(own, input.dtype)


def roll(input: Any, shifts: Any, dims: Any = ()) -> torch.Tensor:
    steps = (shifts,) if type(shifts) is int else tuple(shifts)
    named = (dims,) if type(dims) is int else tuple(dims)
    require(all(type(step) is int for step in steps) and sure(input).numel() > 0)
    require(len(steps) == (len(named) or 1) and (input.ndim > 0 or not named))
    for dim in named:
        axis(dim, input.ndim)
    return fresh(input.shape, input.dtype)


def flip(input: Any, dims: Any) -> torch.Tensor:
    require(type(dims) in (tuple, list) and len(dims) > 0 and input.ndim > 0)
    axes(dims, sure(input).ndim)
    return input.clone()  # type: ignore[no-any-return]


def repeat(input: Any, *repeats: Any) -> torch.Tensor:
    times, shape = sizes_of(repeats), sure(input).shape
    require(len(times) >= len(shape))
    shape = (1,) * (len(times) - len(shape)) + shape
    return fresh(tuple(size * time for size, time in zip(shape, times, strict=True)), input.dtype)


def repeat_interleave(input: Any, repeats: Any, dim: Any = None) -> torch.Tensor:
    at, shape = axis(dim, sure(input).ndim), input.shape
    require(type(repeats) is int and repeats > 0 and input.is_contiguous() and len(shape) > 0)
    return fresh((*shape[:at], shape[at] * repeats, *shape[at + 1 :]), input.dtype)


RULES: dict[Any, Any] = {
    "cat concat concatenate": cat,
    "stack": stack,
    "contiguous": contiguous,
    "flatten": flatten,
    "__getitem__": getitem,
    "gather": gather,
    "roll": roll,
    "repeat": repeat,
    "repeat_interleave": repeat_interleave,
    torch.reshape: reshape,
    torch.Tensor.reshape: lambda x, *shape: reshape(x, shape[0] if isinstance(shape[0], (tuple, list)) else shape),
    torch.flip: flip,
    torch.Tensor.flip: lambda x, *dims: flip(x, dims[0] if type(dims[0]) in (tuple, list) else dims),
    F.embedding: embedding,
}
