"""Rules for what makes and fills tensors: factories, `*_like`, in-place fills and `torch.nn.init`.

A factory is answered only on meta: asked for by name, or the default device of the moment.
"""

from typing import Any

import torch
from torch.nn import init
from torch.utils._device import DeviceContext

from vit_trace.record.meta.core import (
    FLOATS,
    META,
    NUMBERS,
    ORDINARY,
    PLAIN,
    Rule,
    fresh,
    fresh_as,
    require,
    require_number,
    sizes_of,
    sure_float,
    table,
    writable,
)

_function_modes = torch._C._len_torch_function_stack
_function_mode = torch._C._get_function_stack_at
_default_dtype = torch.get_default_dtype
_NONLINEARITIES = frozenset(("linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"))
_WIDE = 1e4  # a wider range may not fit float16, which torch reports


def _default_device() -> Any:
    """The device of the innermost `with torch.device(...)`; torch.get_default_device is ten times as slow."""
    for depth in range(_function_modes() - 1, -1, -1):
        mode = _function_mode(depth)
        if isinstance(mode, DeviceContext):
            return mode.device
    return None


def _on_meta(device: Any) -> None:
    device = _default_device() if device is None else device
    require(device == META if type(device) is torch.device else type(device) is str and device == "meta")


def _made(shape: tuple[int, ...], dtype: torch.dtype, device: Any, requires_grad: bool) -> torch.Tensor:
    _on_meta(device)
    require(dtype in ORDINARY and type(requires_grad) is bool and (not requires_grad or dtype in FLOATS))
    made = fresh(shape, dtype)
    return made.requires_grad_() if requires_grad else made


def _constant(
    *size: Any, dtype: torch.dtype | None = None, device: Any = None, requires_grad: bool = False
) -> torch.Tensor:
    return _made(sizes_of(size), dtype or _default_dtype(), device, requires_grad)


def sized(*sizes: Any, size: Any = None, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require(size is None or len(sizes) == 0)
    return _constant(*(sizes if size is None else (size,)), dtype=dtype, device=device)


def _random(
    *size: Any, dtype: torch.dtype | None = None, device: Any = None, requires_grad: bool = False
) -> torch.Tensor:
    require(dtype is None or dtype in FLOATS)
    return _constant(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def full(size: Any, fill_value: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    natural = {float: _default_dtype(), int: torch.int64, bool: torch.bool}[type(fill_value)]
    return _made(sizes_of((tuple(size),)), dtype or natural, device, False)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: torch.dtype | None = None, device: Any = None
) -> torch.Tensor:
    start, end = (0, start) if end is None else (start, end)
    # between bounds that are not whole the length depends on rounding
    require(type(start) is type(end) is type(step) is int and step != 0 and (end - start) * step >= 0)
    require(dtype is not torch.bool)
    return _made((-((start - end) // step),), dtype or torch.int64, device, False)


def linspace(start: Any, end: Any, steps: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require_number(start, end)
    return _random(steps, dtype=dtype, device=device)


def eye(n: Any, m: Any = None, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    return _constant(n, n if m is None else m, dtype=dtype, device=device)


def like(input: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    if device is not None:
        _on_meta(device)
    require(type(input) in PLAIN and input.is_meta and input.dtype in ORDINARY and (dtype is None or dtype in ORDINARY))
    return fresh_as(input.detach(), dtype or input.dtype)


def _random_like(input: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require((dtype or input.dtype) in FLOATS)
    return like(input, dtype=dtype, device=device)


def _full_like(input: Any, fill_value: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require_number(fill_value)
    require((dtype or input.dtype) in FLOATS)
    return like(input, dtype=dtype, device=device)


def new(x: Any, *size: Any, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require(type(x) in PLAIN and x.is_meta)
    return _made(sizes_of(size), dtype or x.dtype, device or META, False)


def _range(low: Any, high: Any, generator: None) -> None:
    require(generator is None and type(low) in NUMBERS and type(high) in NUMBERS and -_WIDE < low <= high < _WIDE)


def _spread(mean: Any, std: Any, generator: None) -> None:
    require(generator is None and type(mean) in NUMBERS and type(std) in NUMBERS and std >= 0)


def _fill_(x: Any, value: Any) -> torch.Tensor:
    require(type(value) in NUMBERS and -_WIDE < value < _WIDE)
    return writable(sure_float(x))


def _normal_(x: Any, mean: float = 0, std: float = 1, *, generator: None = None) -> torch.Tensor:
    _spread(mean, std, generator)
    return writable(sure_float(x))


def _uniform_(x: Any, low: Any = 0, high: Any = 1, *, generator: None = None, **bounds: Any) -> torch.Tensor:
    _range(bounds.pop("from", low), bounds.pop("to", high), generator)  # `from` cannot name a parameter
    require(not bounds)
    return writable(sure_float(x))


def _initialised(tensor: Any) -> torch.Tensor:
    """What an initialiser returns: its tensor. torch.nn.init writes without grad, so a Parameter may need grad."""
    require(type(tensor) in PLAIN and tensor.is_meta and tensor.dtype in FLOATS and not tensor.is_inference())
    require(tensor.numel() > 0 and 0 not in tensor.stride())
    return tensor  # type: ignore[no-any-return]


def _init_uniform(tensor: Any, a: float = 0.0, b: float = 1.0, generator: None = None) -> torch.Tensor:
    _range(a, b, generator)
    return _initialised(tensor)


def _init_normal(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: None = None) -> torch.Tensor:
    _spread(mean, std, generator)
    return _initialised(tensor)


def _init_constant(tensor: Any, val: float) -> torch.Tensor:
    require(type(val) in NUMBERS and -_WIDE < val < _WIDE)
    return _initialised(tensor)


def _init_kaiming(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: None = None
) -> torch.Tensor:
    require(type(a) in NUMBERS and mode in ("fan_in", "fan_out") and nonlinearity in _NONLINEARITIES)
    require(tensor.ndim >= 2 and generator is None)
    return _initialised(tensor)


RULES: dict[Any, Rule] = {
    **dict.fromkeys((torch.randn, torch.rand), _random),
    torch.empty: _constant,
    **dict.fromkeys((torch.zeros, torch.ones), sized),
    torch.full: full,
    torch.arange: arange,
    torch.linspace: linspace,
    torch.eye: eye,
    **dict.fromkeys((torch.empty_like, torch.zeros_like, torch.ones_like), like),
    **dict.fromkeys((torch.randn_like, torch.rand_like), _random_like),
    torch.full_like: _full_like,
    **table(
        {
            "new_empty new_zeros new_ones": new,
            "fill_": _fill_,
            "zero_": lambda x: writable(sure_float(x)),
            "normal_": _normal_,
            "uniform_": _uniform_,
        }
    ),
    init.uniform_: _init_uniform,
    init.normal_: _init_normal,
    init.constant_: _init_constant,
    **dict.fromkeys((init.kaiming_uniform_, init.kaiming_normal_), _init_kaiming),
}
