"""What every shape rule stands on: which tensors a rule may speak for, and how it makes a result.

A helper that cannot be certain raises `_Unsure`, and torch answers instead.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from vit_trace.record.meta.values import count_change

Rule = Callable[..., Any]
Shape = Sequence[int]

META = torch.device("meta")
PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))
HALVES = frozenset((torch.float16, torch.bfloat16))
FLOATS = HALVES | {torch.float32, torch.float64}
INTEGERS = frozenset((torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))
ORDINARY = FLOATS | INTEGERS | {torch.bool}
NUMBERS = frozenset((int, float))

product = math.prod
_strided = torch.strided
_empty = torch.empty
_grad_enabled = torch.is_grad_enabled
_LARGE = 2**31  # beyond this an int may overflow some dtype, which torch reports


class _Unsure(Exception):
    """The rule does not cover this call: torch has to answer."""


def require(condition: bool) -> None:
    if not condition:
        raise _Unsure


def sure(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, if it is one whose shape, dtype and strides tell all there is to know."""
    ordinary = type(tensor) in PLAIN and tensor.is_meta and tensor.dtype in ORDINARY and tensor.layout is _strided
    if not ordinary or (tensor.requires_grad and _grad_enabled()):
        raise _Unsure
    return tensor


def sure_float(tensor: torch.Tensor) -> torch.Tensor:
    if sure(tensor).dtype in FLOATS:
        return tensor
    raise _Unsure


def sure_alike(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if sure(tensor).dtype is dtype:
        return tensor
    raise _Unsure


def writable(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that torch would let us write into: no two of its elements share memory."""
    require(0 not in sure(tensor).stride() or tensor.numel() < 2)
    require(not tensor.is_inference() or torch.is_inference_mode_enabled())
    count_change(tensor)
    return tensor


def require_number(*values: Any) -> None:
    for value in values:
        require(type(value) in NUMBERS and (type(value) is float or -_LARGE < value < _LARGE))


def fresh(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    # sizes one by one: reading them from a sequence costs torch a microsecond more
    return _empty(*shape, dtype=dtype, device=META) if shape else _empty((), dtype=dtype, device=META)


def fresh_strided(shape: Shape, strides: Shape, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty_strided(shape, strides, dtype=dtype, device=META)


def fresh_as(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A new tensor in the layout `preserve_format` gives; clone, unlike empty_like, is C++ on meta."""
    copy = tensor.clone()
    return copy if copy.dtype is dtype else fresh_strided(copy.shape, copy.stride(), dtype)


def axis(dim: Any, ndim: int) -> int:
    """`dim` counted from the front; a tensor without dims takes 0 and -1."""
    ndim = ndim or 1
    if type(dim) is not int or not -ndim <= dim < ndim:
        raise _Unsure
    return dim % ndim


def axes(dims: Any, ndim: int) -> tuple[int, ...]:
    """The dims named by an int, a tuple or list of ints, or, by None or an empty one, all of them."""
    if type(dims) is int:
        return (axis(dims, ndim),)
    if dims is None or len(dims) == 0:
        return tuple(range(ndim))
    found = tuple(axis(dim, ndim) for dim in dims)
    require(type(dims) in (tuple, list) and len(set(found)) == len(found))
    return found


def sizes_of(values: tuple[Any, ...]) -> tuple[int, ...]:
    """The sizes of a call that takes them one by one or as one sequence."""
    require(len(values) > 0)
    shape = tuple(values[0]) if len(values) == 1 and isinstance(values[0], (tuple, list)) else values
    require(all(type(size) is int and size >= 0 for size in shape))
    return shape


def per_dim(value: Any, count: int) -> tuple[int, ...]:
    """A kernel size, stride or padding: one int for all dims, or one per dim."""
    values = (value,) if type(value) is int else tuple(value)
    values = values * count if len(values) == 1 else values
    require(len(values) == count and all(type(size) is int for size in values))
    return values


def broadcast(a: Shape, b: Shape) -> tuple[int, ...]:
    # not torch.broadcast_shapes, whose checks import sympy
    if a == b:
        return tuple(a)
    width = max(len(a), len(b))
    a, b = (1,) * (width - len(a)) + tuple(a), (1,) * (width - len(b)) + tuple(b)
    require(all(i == j or i == 1 or j == 1 for i, j in zip(a, b, strict=True)))
    return tuple(j if i == 1 else i for i, j in zip(a, b, strict=True))


def strides_in_order(shape: Shape, order: Sequence[int]) -> tuple[int, ...]:
    """Dense strides of a tensor whose dims lie in memory in this order, outermost first."""
    strides, step = [0] * len(shape), 1
    for dim in reversed(order):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def _expanded_strides(tensor: torch.Tensor, shape: Shape) -> tuple[int, ...]:
    missing = len(shape) - tensor.ndim
    own = zip(tensor.shape, tensor.stride(), shape[missing:], strict=True)
    return (0,) * missing + tuple(0 if size == 1 and full != 1 else stride for size, stride, full in own)


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether the elements fill their memory without gap or overlap, in whatever order of dims."""
    step = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def _inside(shape: Shape, operands: Sequence[Shape], a: int, b: int) -> int:
    """Whether dim `b` lies inside dim `a` in memory (1), outside (-1), or either (0): the first operand tells."""
    for strides in operands:
        i, j = strides[a], strides[b]
        if i == 0 or j == 0:
            continue
        if i != j:
            return -1 if i < j else 1
        if shape[a] > shape[b]:
            return 1
    return 0


def _elementwise_strides(shape: Shape, operands: Sequence[Shape]) -> tuple[int, ...]:
    """The strides of an elementwise result: dense, with the dims in the operands' order."""
    inward = list(range(len(shape) - 1, -1, -1))
    for start in range(1, len(inward)):
        moving = start
        for other in range(start - 1, -1, -1):
            verdict = _inside(shape, operands, inward[other], inward[moving])
            if verdict > 0:
                inward[other], inward[moving] = inward[moving], inward[other]
                moving = other
            elif verdict < 0:
                break
    return strides_in_order(shape, inward[::-1])


def elementwise(tensors: Sequence[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """A result with the tensors' broadcast shape, laid out as torch lays out an elementwise result."""
    shape: Shape = tensors[0].shape
    for tensor in tensors[1:]:
        shape = broadcast(shape, tensor.shape)
    if all(tensor.is_contiguous() for tensor in tensors):
        return fresh(shape, dtype)
    # torch on meta computes halves in float32, and its cast fills the gaps of a layout that has some
    require(all(tensor.dtype not in HALVES or _is_dense(tensor) for tensor in tensors))
    expanded = [_expanded_strides(tensor, shape) for tensor in tensors]
    return fresh_strided(shape, _elementwise_strides(shape, expanded), dtype)


def channels_last(tensor: torch.Tensor) -> bool:
    """Whether torch would suggest channels last for it: judged by strides alone, so a slice counts too."""
    if tensor.ndim != 4:
        return False
    strides, shape, least = tensor.stride(), tensor.shape, 0
    if strides[1] == 0:
        return False
    for dim in (1, 3, 2, 0):
        if shape[dim] == 0 or strides[dim] < least or (dim == 0 and least == strides[1]):
            return False
        least = strides[dim] * max(shape[dim], 1)
    return True


def fresh_in_format(shape: Shape, model: torch.Tensor) -> torch.Tensor:
    """A result in the memory format that torch would suggest for `model`."""
    if channels_last(model):
        return fresh_strided(shape, strides_in_order(shape, (0, 2, 3, 1)), model.dtype)
    require(model.ndim != 5 or model.is_contiguous())  # channels_last_3d is torch's own business
    return fresh(shape, model.dtype)


def _functions(key: Any) -> Sequence[Any]:
    if not isinstance(key, str):
        return key if isinstance(key, tuple) else (key,)
    owned = [(torch, name) for name in key.split() if name[0] != "_"] + [(torch.Tensor, name) for name in key.split()]
    return [getattr(owner, name) for owner, name in owned if hasattr(owner, name)]


def table(rules: dict[Any, Rule]) -> dict[Any, Rule]:
    """Rules by function object. A key is one function, a tuple of them, or names of functions of torch and Tensor."""
    return {function: rule for key, rule in rules.items() for function in _functions(key)}
