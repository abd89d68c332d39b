"""Rules for functions that work element by element: arithmetic, comparison, activations, dropout, also in place."""

from typing import Any

import torch
import torch.nn.functional as F

from vit_trace.record.meta.core import (
    FLOATS,
    NUMBERS,
    PLAIN,
    Rule,
    axis,
    broadcast,
    elementwise,
    fresh,
    fresh_as,
    require,
    require_number,
    sure,
    sure_alike,
    sure_float,
    writable,
)


def _promoted(a: Any, b: Any) -> torch.dtype:
    """The dtype of a tensor with a tensor or number, both such that a rule may speak for them."""
    dtype = sure(a).dtype
    if type(b) in NUMBERS:
        require_number(b)
        return dtype if dtype in FLOATS else torch.result_type(a, b)
    return dtype if dtype is sure(b).dtype else torch.result_type(a, b)


def _combined(a: Any, b: Any, dtype: torch.dtype) -> torch.Tensor:
    if type(b) in NUMBERS:
        return fresh(a.shape, dtype) if a.is_contiguous() else fresh_as(a, dtype)
    if a.is_contiguous() and b.is_contiguous():
        return fresh(broadcast(a.shape, b.shape), dtype)
    # where dtypes differ torch on meta casts first, which may change the layout
    require(a.dtype is b.dtype in FLOATS)
    return elementwise((a, b), dtype)


def _arithmetic(input: Any, other: Any) -> torch.Tensor:
    return _combined(input, other, _promoted(input, other))


def _addition(input: Any, other: Any, *, alpha: int = 1) -> torch.Tensor:
    require(type(alpha) is int and alpha == 1)
    return _arithmetic(input, other)


def _subtraction(input: Any, other: Any, *, alpha: int = 1) -> torch.Tensor:
    require(not any(getattr(value, "dtype", None) is torch.bool for value in (input, other)))
    return _addition(input, other, alpha=alpha)


def _true_division(input: Any, other: Any) -> torch.Tensor:
    dtype = _promoted(input, other)
    return _combined(input, other, dtype if dtype in FLOATS else torch.get_default_dtype())


def division(input: Any, other: Any, *, rounding_mode: str | None = None) -> torch.Tensor:
    require(rounding_mode in (None, "floor", "trunc"))
    return _true_division(input, other) if rounding_mode is None else _floored(input, other)


def _floored(input: Any, other: Any) -> torch.Tensor:
    # on meta torch lays out a floor division of other layouts in its own way
    require(input.is_contiguous() and (type(other) in NUMBERS or other.is_contiguous()))
    return _float_arithmetic(input, other)


def _float_arithmetic(input: Any, other: Any) -> torch.Tensor:
    dtype = _promoted(input, other)
    require(dtype in FLOATS)
    return _combined(input, other, dtype)


def _power(input: Any, exponent: Any) -> torch.Tensor:
    if type(input) not in NUMBERS:
        return _float_arithmetic(input, exponent)
    require(exponent.is_contiguous())
    return _float_arithmetic(exponent, input)


def _reflected(rule: Rule) -> Rule:
    """The rule for `number <operator> tensor`, which torch hands over with the tensor first."""

    def reflection(input: Any, other: Any) -> Any:
        require_number(other)
        return rule(input, other)

    return reflection


def comparison(input: Any, other: Any) -> torch.Tensor:
    _promoted(input, other)
    return _combined(input, other, torch.bool)


def logic(input: Any, other: Any) -> torch.Tensor:
    return _combined(sure_alike(input, torch.bool), sure_alike(other, torch.bool), torch.bool)


def _in_place(rule: Rule) -> Rule:
    """The rule for a function that writes what another would return into its first tensor."""

    def written(x: Any, *others: Any, **more: Any) -> Any:
        result = rule(writable(x), *others, **more)
        require(torch.can_cast(result.dtype, x.dtype) and result.shape == x.shape)
        return x

    return written


def where(condition: Any, input: Any, other: Any) -> torch.Tensor:
    dtype = _promoted(other, input) if type(input) in NUMBERS else _promoted(input, other)
    tensors = [each for each in (input, other) if type(each) not in NUMBERS]
    require(all(tensor.dtype is dtype or tensor.is_contiguous() for tensor in tensors))
    return elementwise((sure_alike(condition, torch.bool), *tensors), dtype)


def masked_fill(input: Any, mask: Any, value: Any) -> torch.Tensor:
    sure_alike(mask, torch.bool)
    require(torch.can_cast(_promoted(input, value), input.dtype))
    return fresh(broadcast(input.shape, mask.shape), input.dtype)


def _number_unary(input: Any) -> torch.Tensor:
    require(sure(input).dtype is not torch.bool)
    return input.clone()  # type: ignore[no-any-return]


def _float_unary(input: Any) -> torch.Tensor:
    return sure_float(input).clone()


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> torch.Tensor:
    dtype = sure_float(input).dtype
    require_number(value)
    return elementwise((input, sure_alike(tensor1, dtype), sure_alike(tensor2, dtype)), dtype)


def clamp(input: Any, min: Any = None, max: Any = None) -> torch.Tensor:
    bounds = [bound for bound in (min, max) if bound is not None]
    require(len(bounds) > 0)
    require_number(*bounds)
    return sure_float(input).clone()


def gelu(input: Any, *, approximate: str = "none") -> torch.Tensor:
    require(approximate in ("none", "tanh"))
    return sure_float(input).clone()


def _activated(input: Any, inplace: bool, *numbers: Any) -> torch.Tensor:
    require_number(*numbers)
    return writable(sure_float(input)) if inplace else sure_float(input).clone()


def _hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> torch.Tensor:
    require(min_val <= max_val)
    return _activated(input, inplace, min_val, max_val)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    require(type(input) in PLAIN and type(p) in NUMBERS and 0 <= p <= 1)
    if not training or p == 0 or input.numel() == 0:
        return input  # type: ignore[no-any-return]
    return _activated(input, inplace)


def glu(input: Any, dim: int = -1) -> torch.Tensor:
    at, shape = axis(dim, sure_float(input).ndim), input.shape
    require(len(shape) > 0 and shape[at] % 2 == 0 and input.is_contiguous())
    return fresh((*shape[:at], shape[at] // 2, *shape[at + 1 :]), input.dtype)


_UNARY = (
    "exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan tanh sigmoid erf erfinv square reciprocal floor ceil relu"
)

RULES: dict[Any, Any] = {
    "add __add__": _addition,
    "mul multiply __mul__": _arithmetic,
    "__radd__ __rmul__": _reflected(_arithmetic),
    "sub subtract __sub__": _subtraction,
    "rsub __rsub__": _reflected(_subtraction),
    "maximum minimum": lambda input, other: _combined(input, sure(other), _promoted(input, other)),
    "div divide __div__": division,
    "true_divide __truediv__": _true_division,
    "__rtruediv__ __rdiv__": _reflected(_true_division),
    "pow __pow__": _power,
    "fmod remainder __mod__": _float_arithmetic,
    "floor_divide __floordiv__": _floored,
    "__rpow__": _reflected(lambda input, other: _power(other, input)),
    "eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__": comparison,
    "__and__ __or__ __xor__ bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor": logic,
    "__invert__ bitwise_not logical_not": lambda input: sure_alike(input, torch.bool).clone(),
    "add_ __iadd__": _in_place(_addition),
    "mul_ __imul__": _in_place(_arithmetic),
    "sub_ __isub__": _in_place(_subtraction),
    "div_ __itruediv__ __idiv__ pow_": _in_place(_float_arithmetic),
    "masked_fill": masked_fill,
    "masked_fill_": _in_place(masked_fill),
    "addcmul": addcmul,
    _UNARY: _float_unary,
    " ".join(f"{name}_" for name in (*_UNARY.split(), "abs", "neg")): _in_place(_float_unary),
    "abs absolute __abs__ neg negative __neg__ sign": _number_unary,
    "clamp clip": clamp,
    "clamp_ clip_": _in_place(clamp),
    "clamp_min clamp_max": lambda x, bound: clamp(x, bound),
    "clamp_min_ clamp_max_": _in_place(lambda x, bound: clamp(x, bound)),
    torch.where: where,
    F.gelu: gelu,
    F.leaky_relu: lambda input, negative_slope=0.01, inplace=False: _activated(input, inplace, negative_slope),
    F.elu: lambda input, alpha=1.0, inplace=False: _activated(input, inplace, alpha),
    F.hardtanh: _hardtanh,
    F.softplus: lambda input, beta=1, threshold=20: _activated(input, False, beta, threshold),
    F.dropout: dropout,
    F.glu: glu,
    (F.relu, F.silu, F.mish, F.hardswish, F.hardsigmoid, F.relu6, F.selu): (
        lambda input, inplace=False: _activated(input, inplace)
    ),
    (F.sigmoid, F.tanh, F.logsigmoid): _float_unary,
}
