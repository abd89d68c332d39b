"""Makes a method of a model the one that is traced: Class.method, run on an instance that is built as for the class."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from vit_trace.base.refused import refuse
from vit_trace.targets.complaints import silenced
from vit_trace.targets.inputs import Axis, Feed, Plan

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.record.build.anyhow import Built
    from vit_trace.targets.target import Foreign


MARK = "_traced_method"
"""Name of the attribute of a class whose forward is another method."""


def is_method(model: object) -> bool:
    """Whether a method of the model is traced, which leaves to others what its forward uses besides."""
    return hasattr(type(model), MARK)


class Method(NamedTuple):
    """A method by its class and name."""

    owner: type
    name: str

    def of(self, model: Any) -> Any:
        """The model with this method as its forward: as the class of the same name whose forward it is.

        While the method runs the model has its own forward, which the method may call.
        """
        own, method = type(model), getattr(type(model), self.name)

        @functools.wraps(method)
        def forward(model: Any, *args: Any, **kwargs: Any) -> Any:
            around = type(model)
            model.__class__ = own
            try:
                return method(model, *args, **kwargs)
            finally:
                model.__class__ = around

        names = {"forward": forward, "__module__": own.__module__, "__qualname__": own.__qualname__, MARK: self.name}
        model.__class__ = type(own.__name__, (own,), names)
        return model


def is_module(value: object) -> TypeGuard[nn.Module]:
    """Whether it is a model, or a part of one."""
    from torch import nn

    return isinstance(value, nn.Module)


@contextmanager
def with_method(model: nn.Module, name: str) -> Iterator[None]:
    """The model with a method as its forward meanwhile."""
    own = type(model)
    if name not in ("forward", "__call__", ""):
        Method(own, name).of(model)
    try:
        yield
    finally:
        model.__class__ = own


def method_named(parent: object, name: str, value: object) -> Method | None:
    """The method that a name of a class is; None where it is something else, or the class makes no model."""
    from torch import nn

    if not isinstance(parent, type) or not issubclass(parent, nn.Module) or isinstance(value, type):
        return None
    kept = next((vars(one)[name] for one in parent.__mro__ if name in vars(one)), None)
    usual = callable(value) and not isinstance(kept, (staticmethod, classmethod)) and name != "__init__"
    return Method(parent, name) if usual else None


def traced_method(model: Foreign, method: Method) -> Foreign:
    """The target with a method as the forward of its model. Raises Refused where it takes no such input."""
    again, spec = model.again, f"{model.spec}.{method.name}"

    def plans(one: Built) -> Sequence[Plan]:
        return _plans(method, one.model, model.usual(one))

    method.of(model.built.model)
    fed = _plans(method, model.built.model, model.plans)
    if not any(_takes(method, plan) for plan in fed):
        message = f"{spec} does not take what the model's forward takes"
        raise refuse("usage", message, help=(f"--input SHAPE for each argument of {method.name}, in its order",))
    return replace(
        model,
        spec=spec,
        make=lambda: method.of(model.make()),
        again=None if again is None else lambda changes: method.of(again(changes)),
        plans=fed,
        usual=plans,
    )


def _takes(method: Method, plan: Plan) -> bool:
    """Whether a call with the inputs of a plan fits the method's signature."""
    args, kwargs = plan.inputs({})
    try:
        inspect.signature(getattr(method.owner, method.name)).bind(None, *args, **kwargs)
    except TypeError:
        return False
    return True


def _plans(method: Method, model: nn.Module, plans: Sequence[Plan]) -> Sequence[Plan]:
    """Ways to feed a method: what the model's forward gives it, where that calls it; else as the model is fed."""
    for plan in plans:
        given = _given(method, model, plan)
        if given is not None:
            return [given, *plans]
    return plans


def _given(method: Method, model: nn.Module, plan: Plan) -> Plan | None:
    """What a forward on one plan gives the method; None where it does not come to it, or gives more than tensors."""
    from torch import Tensor

    class _Found(Exception):
        pass

    heard: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []

    def hear(*args: Any, **kwargs: Any) -> Any:
        heard.append((args, kwargs))
        raise _Found

    before, own = type(model), type(model).__mro__[1]
    args, kwargs = plan.inputs({})
    model.__class__ = type(own.__name__, (own,), {method.name: staticmethod(hear)})
    try:
        with silenced():
            model(*args, **kwargs)
    except Exception:  # whatever ends it: what counts is what was heard
        pass
    finally:
        model.__class__ = before
    if not heard or not heard[0][0] or heard[0][1] or not all(isinstance(one, Tensor) for one in heard[0][0]):
        return None
    if not kwargs and len(args) == len(heard[0][0]) and all(map(operator.is_, args, heard[0][0])):
        return plan  # what the forward itself is given, whose sizes can vary
    batch = plan.sizes.get("b")
    feeds = [Feed(None, _axes(tuple(one.shape), batch), str(one.dtype).removeprefix("torch.")) for one in heard[0][0]]
    return Plan(tuple(feeds), {"b": batch} if batch else {})


def _axes(shape: tuple[int, ...], batch: int | None) -> tuple[Axis, ...]:
    return ("b", *shape[1:]) if shape and shape[0] == batch else shape
