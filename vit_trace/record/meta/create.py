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
    fresh,
    fresh_as,
    require,
    require_number,
    sizes_of,
    sure_float,
    writable,
)

_NONLINEARITIES = frozenset(("linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"))
_WIDE = 1e4  # a wider range may not fit float16, which torch reports


def _on_meta(device: Any) -> None:
    """Leaves every other device to torch; without one, that of the innermost `with torch.device(...)` counts."""
    if device is None:  # torch.get_default_device is ten times as slow
        depths = range(torch._C._len_torch_function_stack() - 1, -1, -1)
        modes = map(torch._C._get_function_stack_at, depths)
        device = next((mode.device for mode in modes if isinstance(mode, DeviceContext)), None)
    require(device == META if type(device) is torch.device else type(device) is str and device == "meta")


def _made(
    *sizes: Any, size: Any = None, dtype: torch.dtype | None = None, device: Any = None, requires_grad: bool = False
) -> torch.Tensor:
    _on_meta(device)
    dtype = dtype or torch.get_default_dtype()
    require(dtype in ORDINARY and type(requires_grad) is bool and (not requires_grad or dtype in FLOATS))
    require(size is None or not sizes)
    made = fresh(sizes_of(sizes if size is None else (size,)), dtype)
    return made.requires_grad_() if requires_grad else made


def _random(*sizes: Any, dtype: torch.dtype | None = None, **options: Any) -> torch.Tensor:
    require(dtype is None or dtype in FLOATS)
    return _made(*sizes, dtype=dtype, **options)


def full(size: Any, fill_value: Any, *, dtype: torch.dtype | None = None, **options: Any) -> torch.Tensor:
    natural = {float: torch.get_default_dtype(), int: torch.int64, bool: torch.bool}[type(fill_value)]
    return _made(tuple(size), dtype=dtype or natural, **options)


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: torch.dtype | None = None, **options: Any) -> Any:
    start, end = (0, start) if end is None else (start, end)
    # between bounds that are not whole the length depends on rounding
    require(type(start) is type(end) is type(step) is int and step != 0 and (end - start) * step >= 0)
    require(dtype is not torch.bool)
    return _made(-((start - end) // step), dtype=dtype or torch.int64, **options)


def linspace(start: Any, end: Any, steps: Any, **options: Any) -> torch.Tensor:
    require_number(start, end)
    return _random(steps, **options)


def like(input: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    if device is not None:
        _on_meta(device)
    require(type(input) in PLAIN and input.is_meta and input.dtype in ORDINARY and (dtype is None or dtype in ORDINARY))
    return fresh_as(input.detach(), dtype or input.dtype)


def _float_like(input: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require((dtype or input.dtype) in FLOATS)
    return like(input, dtype=dtype, device=device)


def _full_like(input: Any, fill_value: Any, **options: Any) -> torch.Tensor:
    require_number(fill_value)
    return _float_like(input, **options)


def new(x: Any, *size: Any, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    require(type(x) in PLAIN and x.is_meta)
    return _made(*size, dtype=dtype or x.dtype, device=device or META)


def _is_small(*values: Any) -> bool:
    return all(type(value) in NUMBERS and -_WIDE < value < _WIDE for value in values)


def _is_spread(mean: Any, std: Any) -> bool:
    return type(mean) in NUMBERS and type(std) in NUMBERS and std >= 0


def _filled(x: Any, may: bool, generator: None = None) -> torch.Tensor:
    """What an in-place function returns: the tensor that it was given."""
    require(may and generator is None)
    return writable(sure_float(x))


def _uniform_(x: Any, low: Any = 0, high: Any = 1, *, generator: None = None, **bounds: Any) -> torch.Tensor:
    low, high = bounds.pop("from", low), bounds.pop("to", high)  # `from` cannot name a parameter
    return _filled(x, not bounds and _is_small(low, high) and low <= high, generator)


def _initialised(tensor: Any, may: bool, generator: None = None) -> torch.Tensor:
    """What an initialiser returns: its tensor. torch.nn.init writes without grad, so a Parameter may need grad."""
    require(may and generator is None)
    require(type(tensor) in PLAIN and tensor.is_meta and tensor.dtype in FLOATS and not tensor.is_inference())
    require(tensor.numel() > 0 and 0 not in tensor.stride())
    return tensor  # type: ignore[no-any-return]


def _init_uniform(tensor: Any, a: float = 0.0, b: float = 1.0, generator: None = None) -> torch.Tensor:
    return _initialised(tensor, _is_small(a, b) and a <= b, generator)


def _init_normal(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: None = None) -> torch.Tensor:
    return _initialised(tensor, _is_spread(mean, std), generator)


def _init_kaiming(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: None = None
) -> torch.Tensor:
    named = mode in ("fan_in", "fan_out") and nonlinearity in _NONLINEARITIES
    return _initialised(tensor, type(a) in NUMBERS and named and tensor.ndim >= 2, generator)


RULES: dict[Any, Any] = {
    (torch.randn, torch.rand): _random,
    (torch.empty, torch.zeros, torch.ones): _made,
    torch.full: full,
    torch.arange: arange,
    torch.linspace: linspace,
    torch.eye: lambda n, m=None, **options: _made(n, n if m is None else m, **options),
    (torch.empty_like, torch.zeros_like, torch.ones_like): like,
    (torch.randn_like, torch.rand_like): _float_like,
    torch.full_like: _full_like,
    "new_empty new_zeros new_ones": new,
    "fill_": lambda x, value: _filled(x, _is_small(value)),
    "zero_": lambda x: writable(sure_float(x)),
    "normal_": lambda x, mean=0, std=1, *, generator=None: _filled(x, _is_spread(mean, std), generator),
    "uniform_": _uniform_,
    init.uniform_: _init_uniform,
    init.normal_: _init_normal,
    init.constant_: lambda tensor, val: _initialised(tensor, _is_small(val)),
    (init.kaiming_uniform_, init.kaiming_normal_): _init_kaiming,
}
