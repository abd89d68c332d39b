"""Takes a function for a model where it only calls modules and torch: then it can run again, on copies of these."""

from __future__ import annotations

import builtins
import dis
import inspect
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

READING = frozenset("len range zip enumerate list tuple dict int float min max sum reversed sorted isinstance".split())
"""Functions of Python's that change nothing."""

CHANGING = ("STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "STORE_DEREF", "DELETE_", "IMPORT_", "LOAD_BUILD", "MAKE_FUN")
"""How instructions begin that change something outside the call, or make what might."""

LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
"""Flags of code that does not run when it is called."""

DOING = frozenset(
    "backward step zero_grad train eval to cuda cpu requires_grad_ manual_seed save write register_hook".split()
)
"""Names of methods that change a model, or more."""


def function_model(called: object) -> nn.Module | None:
    """The function as a model that holds the modules it calls under their variables' names; None where it does more."""
    if type(called) is not FunctionType or called.__code__.co_flags & LATER:
        return None
    steps = [*dis.get_instructions(called.__code__)]
    if any(step.opname.startswith(CHANGING) for step in steps):
        return None
    methods = {str(step.argval) for step in steps if step.opname in ("LOAD_ATTR", "LOAD_METHOD")}
    held = dict(_referred(called, steps))
    plain = all(map(_is_plain, held.values()))
    if not plain or methods & DOING or any(name.endswith("_") and not name.endswith("__") for name in methods):
        return None
    from torch import nn

    modules = {name: one for name, one in held.items() if isinstance(one, nn.Module)}
    return _model_of(called, modules) if modules else None


def _referred(function: FunctionType, steps: list[dis.Instruction]) -> Iterator[tuple[str, Any]]:
    """Variables outside the function that it reads, with what they hold."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents
    for step in steps:
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            name = str(step.argval)
            yield name, function.__globals__.get(name, getattr(builtins, name, None))


def _is_plain(value: object) -> bool:
    """Whether reading or calling it changes nothing but, perhaps, a module."""
    from torch import nn

    if isinstance(value, (nn.Module, int, float, str, tuple, type(None))):
        return True
    home = value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))
    if isinstance(value, BuiltinFunctionType | type) and home == "builtins":
        return getattr(value, "__name__", "") in READING
    return home.partition(".")[0] in ("torch", "einops", "math")


def _model_of(function: FunctionType, modules: dict[str, nn.Module]) -> nn.Module:
    """A model whose forward is the function, with the names of its arguments."""
    from torch import nn

    class Function(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._modules.update(modules)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return _bound(function, self._modules)(*args, **kwargs)

    own = inspect.signature(function)
    model = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(Function)["forward"].__signature__ = own.replace(parameters=[model, *own.parameters.values()])
    return Function()


def _bound(function: FunctionType, modules: dict[str, Any]) -> Callable[..., Any]:
    """The function with other modules in place of its own."""
    code, cells = function.__code__, function.__closure__ or ()
    closure = tuple(
        CellType(modules[name]) if name in modules else cell for name, cell in zip(code.co_freevars, cells, strict=True)
    )
    made = FunctionType(code, {**function.__globals__, **modules}, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made
