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
    table,
    writable,
)

_result_type = torch.result_type
_can_cast = torch.can_cast


def promoted(a: Any, b: Any) -> torch.dtype:
    """The dtype of a tensor with a tensor or number, both such that a rule may speak for them."""
    dtype = sure(a).dtype
    if type(b) in NUMBERS:
        require_number(b)
        return dtype if dtype in FLOATS else _result_type(a, b)
    return dtype if dtype is sure(b).dtype else _result_type(a, b)


def combined(a: Any, b: Any, dtype: torch.dtype) -> torch.Tensor:
    if type(b) in NUMBERS:
        return fresh(a.shape, dtype) if a.is_contiguous() else fresh_as(a, dtype)
    if a.is_contiguous() and b.is_contiguous():
        return fresh(broadcast(a.shape, b.shape), dtype)
    # where dtypes differ torch on meta casts first, which may change the layout
    require(a.dtype is b.dtype in FLOATS)
    return elementwise((a, b), dtype)


def arithmetic(input: Any, other: Any) -> torch.Tensor:
    return combined(input, other, promoted(input, other))


def addition(input: Any, other: Any, *, alpha: int = 1) -> torch.Tensor:
    require(type(alpha) is int and alpha == 1)
    return arithmetic(input, other)


def is_bool(value: Any) -> bool:
    return type(value) not in NUMBERS and value.dtype is torch.bool


def subtraction(input: Any, other: Any, *, alpha: int = 1) -> torch.Tensor:
    require(not is_bool(input) and not is_bool(other))
    return addition(input, other, alpha=alpha)


def true_division(input: Any, other: Any) -> torch.Tensor:
    dtype = promoted(input, other)
    return combined(input, other, dtype if dtype in FLOATS else torch.get_default_dtype())


def division(input: Any, other: Any, *, rounding_mode: str | None = None) -> torch.Tensor:
    require(rounding_mode in (None, "floor", "trunc"))
    return true_division(input, other) if rounding_mode is None else floored(input, other)


def floored(input: Any, other: Any) -> torch.Tensor:
    # on meta torch lays out a floor division of other layouts in its own way
    require(input.is_contiguous() and (type(other) in NUMBERS or other.is_contiguous()))
    return float_arithmetic(input, other)


def float_arithmetic(input: Any, other: Any) -> torch.Tensor:
    dtype = promoted(input, other)
    require(dtype in FLOATS)
    return combined(input, other, dtype)


def power(input: Any, exponent: Any) -> torch.Tensor:
    if type(input) not in NUMBERS:
        return float_arithmetic(input, exponent)
    require(exponent.is_contiguous())
    return float_arithmetic(exponent, input)


def reflected(rule: Rule) -> Rule:
    """The rule for `number <operator> tensor`, which torch hands over with the tensor first."""

    def reflection(input: Any, other: Any) -> Any:
        require_number(other)
        return rule(input, other)

    return reflection


def comparison(input: Any, other: Any) -> torch.Tensor:
    promoted(input, other)
    return combined(input, other, torch.bool)


def logic(input: Any, other: Any) -> torch.Tensor:
    return combined(sure_alike(input, torch.bool), sure_alike(other, torch.bool), torch.bool)


def arithmetic_(x: Any, other: Any) -> torch.Tensor:
    require(_can_cast(promoted(writable(x), other), x.dtype))
    require(type(other) in NUMBERS or broadcast(x.shape, other.shape) == x.shape)
    return x  # type: ignore[no-any-return]


def addition_(x: Any, other: Any, *, alpha: int = 1) -> torch.Tensor:
    require(type(alpha) is int and alpha == 1)
    return arithmetic_(x, other)


def subtraction_(x: Any, other: Any, *, alpha: int = 1) -> torch.Tensor:
    require(not is_bool(x) and not is_bool(other))
    return addition_(x, other, alpha=alpha)


def where(condition: Any, input: Any, other: Any) -> torch.Tensor:
    dtype = promoted(other, input) if type(input) in NUMBERS else promoted(input, other)
    tensors = [each for each in (input, other) if type(each) not in NUMBERS]
    require(all(tensor.dtype is dtype or tensor.is_contiguous() for tensor in tensors))
    return elementwise((sure_alike(condition, torch.bool), *tensors), dtype)


def masked_fill(input: Any, mask: Any, value: Any) -> torch.Tensor:
    sure_alike(mask, torch.bool)
    require(_can_cast(promoted(input, value), input.dtype))
    return fresh(broadcast(input.shape, mask.shape), input.dtype)


def masked_fill_(x: Any, mask: Any, value: Any) -> torch.Tensor:
    sure_alike(mask, torch.bool)
    require(_can_cast(promoted(writable(x), value), x.dtype) and broadcast(x.shape, mask.shape) == x.shape)
    return x  # type: ignore[no-any-return]


def number_unary(input: Any) -> torch.Tensor:
    require(sure(input).dtype is not torch.bool)
    return input.clone()  # type: ignore[no-any-return]


def float_unary(input: Any) -> torch.Tensor:
    return sure_float(input).clone()


def float_unary_(x: Any) -> torch.Tensor:
    return writable(sure_float(x))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> torch.Tensor:
    dtype = sure_float(input).dtype
    require_number(value)
    return elementwise((input, sure_alike(tensor1, dtype), sure_alike(tensor2, dtype)), dtype)


def _bounds(low: Any, high: Any) -> None:
    require(low is not None or high is not None)
    require_number(*(bound for bound in (low, high) if bound is not None))


def clamp(input: Any, min: Any = None, max: Any = None) -> torch.Tensor:
    _bounds(min, max)
    return sure_float(input).clone()


def clamp_(x: Any, min: Any = None, max: Any = None) -> torch.Tensor:
    _bounds(min, max)
    return writable(sure_float(x))


def gelu(input: Any, *, approximate: str = "none") -> torch.Tensor:
    require(approximate in ("none", "tanh"))
    return sure_float(input).clone()


def activation(input: Any, inplace: bool = False) -> torch.Tensor:
    return writable(sure_float(input)) if inplace else sure_float(input).clone()


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> torch.Tensor:
    require_number(negative_slope)
    return activation(input, inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> torch.Tensor:
    require_number(alpha)
    return activation(input, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> torch.Tensor:
    require_number(min_val, max_val)
    require(min_val <= max_val)
    return activation(input, inplace)


def softplus(input: Any, beta: float = 1, threshold: float = 20) -> torch.Tensor:
    require_number(beta, threshold)
    return sure_float(input).clone()


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    require(type(input) in PLAIN and type(p) in NUMBERS and 0 <= p <= 1)
    if not training or p == 0 or input.numel() == 0:
        return input  # type: ignore[no-any-return]
    return activation(input, inplace)


def glu(input: Any, dim: int = -1) -> torch.Tensor:
    at, shape = axis(dim, sure_float(input).ndim), input.shape
    require(len(shape) > 0 and shape[at] % 2 == 0 and input.is_contiguous())
    return fresh((*shape[:at], shape[at] // 2, *shape[at + 1 :]), input.dtype)


_UNARY = (
    "exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan tanh sigmoid erf erfinv square reciprocal floor ceil relu"
)

RULES: dict[Any, Rule] = {
    **table(
        {
            "add __add__": addition,
            "mul multiply __mul__": arithmetic,
            "__radd__ __rmul__": reflected(arithmetic),
            "sub subtract __sub__": subtraction,
            "rsub __rsub__": reflected(subtraction),
            "maximum minimum": lambda input, other: combined(input, sure(other), promoted(input, other)),
            "div divide __div__": division,
            "true_divide __truediv__": true_division,
            "__rtruediv__ __rdiv__": reflected(true_division),
            "pow __pow__": power,
            "fmod remainder __mod__": float_arithmetic,
            "floor_divide __floordiv__": floored,
            "__rpow__": reflected(lambda input, other: power(other, input)),
            "eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__": comparison,
            "__and__ __or__ __xor__ bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor": logic,
            "__invert__ bitwise_not logical_not": lambda input: sure_alike(input, torch.bool).clone(),
            "add_ __iadd__": addition_,
            "mul_ __imul__": arithmetic_,
            "sub_ __isub__": subtraction_,
            "div_ __itruediv__ __idiv__ pow_": lambda x, other: arithmetic_(sure_float(x), other),
            "masked_fill": masked_fill,
            "masked_fill_": masked_fill_,
            "addcmul": addcmul,
            _UNARY: float_unary,
            " ".join(f"{name}_" for name in (*_UNARY.split(), "abs", "neg")): float_unary_,
            "abs absolute __abs__ neg negative __neg__ sign": number_unary,
            "clamp clip": clamp,
            "clamp_ clip_": clamp_,
            "clamp_min clamp_max": lambda x, bound: clamp(x, bound),
            "clamp_min_ clamp_max_": lambda x, bound: clamp_(x, bound),
        }
    ),
    torch.where: where,
    F.gelu: gelu,
    F.leaky_relu: leaky_relu,
    F.elu: elu,
    F.hardtanh: hardtanh,
    F.softplus: softplus,
    F.dropout: dropout,
    F.glu: glu,
    **dict.fromkeys((F.relu, F.silu, F.mish, F.hardswish, F.hardsigmoid, F.relu6, F.selu), activation),
    **dict.fromkeys((F.sigmoid, F.tanh, F.logsigmoid), float_unary),
}
