"""Says what a change is: records that say themselves, apply themselves and become a remedy's JSON. No torch at the top.

A trial builds the model with a change's `settings`, or takes a copy of it where the change `alters` the model; it then
applies `to_model` and `to_inputs`, and runs the forward `during` the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vit_trace.base.trace import Remedy, Source, Stage, Trace, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.scene import Shape

if TYPE_CHECKING:
    from torch import Tensor, nn

Kind = Literal["hyperparameter", "input", "parameter", "attribute", "model", "call"]
Inputs = tuple[tuple[Any, ...], dict[str, Any]]
Method = tuple[str, *tuple[int, ...]]
"""A method of a tensor with its arguments: ("transpose", 1, 2); interpolate and pad are torch.nn.functional's."""

ALONE: tuple[Method, ...] = (("alone",),)
"""In place of methods: the tensor takes the place of the tuple, or another container, that was handed over with it."""

MULTIHEAD = "MultiheadAttention"
BATCH_FIRST = "batch_first"
"""The attribute of torch's attention that says whether the batch comes before the tokens."""

ATTRIBUTES = {
    "Linear": ("out_features", "in_features"),
    "Conv": ("out_channels", "in_channels"),
    "BatchNorm": ("num_features",),
    "GroupNorm": ("num_channels",),
    "LayerNorm": ("normalized_shape",),
    "Embedding": ("num_embeddings", "embedding_dim"),
}
"""The attributes that hold the sizes of a weight's axes, by how the name of the layer's class begins."""


@dataclass(frozen=True)
class Fix:
    """A change that might make the forward run; `text` says it, `kind` is its kind in the JSON of a trace.

    The model is built with the hyperparameters `settings`.
    """

    text: str
    settings: Mapping[str, Value] = field(default_factory=dict, kw_only=True)

    kind: ClassVar[Kind]
    alters: ClassVar[bool] = False

    @property
    def heard(self) -> bool:
        """Whether torch has to be called for every step: one that works is to be changed."""
        return False

    def values(self) -> dict[str, Value]:
        """The change as data, in the JSON of a trace."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The same for changes that do the same."""
        return f"{self.kind} {self.values()}"

    def to_model(self, model: nn.Module) -> None:
        """Change a model that nothing else uses."""

    def to_inputs(self, given: Inputs) -> Inputs:
        return given

    def during(self, model: nn.Module) -> AbstractContextManager[None]:
        """A context that the forward runs in."""
        return nullcontext()

    def for_batch(self, old: int, new: int) -> Fix:
        """The same change for a batch of another size."""
        return self


@dataclass(frozen=True)
class SettingChange(Fix):
    """Other hyperparameters."""

    kind: ClassVar[Kind] = "hyperparameter"

    def values(self) -> dict[str, Value]:
        return dict(self.settings)


@dataclass(frozen=True)
class InputChange(Fix):
    """An input after `steps`, of another `shape` or `dtype`, for a model with `settings`.

    It is the first one, or the one that is called `name` and stands at a `place` among the inputs.
    """

    steps: tuple[Method, ...] = ()
    shape: Shape | None = None
    dtype: str = ""
    name: str = ""
    place: int = 0

    kind: ClassVar[Kind] = "input"

    @staticmethod
    def sized(shape: Sequence[int], text: str = "") -> InputChange:
        """An input of another shape."""
        return InputChange(text or f"an input of {shape_text(shape)}", shape=tuple(shape))

    def values(self) -> dict[str, Value]:
        parts: dict[str, Value] = {
            "steps": _as_json(self.steps),
            "shape": list(self.shape or ()),
            "dtype": self.dtype,
            "input": self.name,
            "hyperparameters": dict(self.settings),
        }
        return {name: value for name, value in parts.items() if value}

    def to_inputs(self, given: Inputs) -> Inputs:
        return _change_tensor(given, self.turned, self.place)

    def turned(self, tensor: Tensor) -> Tensor:
        import torch

        tensor = _turn(tensor, self.steps)
        if self.shape is not None:
            tensor = tensor.new_zeros(self.shape)
        return tensor.to(getattr(torch, self.dtype)) if self.dtype else tensor


@dataclass(frozen=True)
class ModelDtype(Fix):
    """The model in another dtype."""

    dtype: str

    kind: ClassVar[Kind] = "model"
    alters: ClassVar[bool] = True

    def values(self) -> dict[str, Value]:
        return {"dtype": self.dtype}

    def to_model(self, model: nn.Module) -> None:
        import torch

        model.to(getattr(torch, self.dtype))


@dataclass(frozen=True)
class AttributeChange(Fix):
    """Attributes of modules, each by its path."""

    attributes: Mapping[str, Value]

    kind: ClassVar[Kind] = "attribute"
    alters: ClassVar[bool] = True

    @staticmethod
    def batch_first(paths: Iterable[str], text: str) -> AttributeChange:
        """nn.MultiheadAttention that takes the batch first."""
        return AttributeChange(text, {f"{path}.{BATCH_FIRST}".removeprefix("."): True for path in paths})

    def values(self) -> dict[str, Value]:
        return dict(self.attributes)

    def to_model(self, model: nn.Module) -> None:
        for name, value in self.attributes.items():
            path, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(path), attribute, value)


@dataclass(frozen=True)
class ParameterResize(AttributeChange):
    """Parameters in other shapes, with attributes that follow."""

    attributes: Mapping[str, Value] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    kind: ClassVar[Kind] = "parameter"

    def values(self) -> dict[str, Value]:
        return {**{name: list(shape) for name, shape in self.shapes.items()}, **self.attributes}

    def to_model(self, model: nn.Module) -> None:
        for name, shape in self.shapes.items():
            _resize(model, name, shape)
        super().to_model(model)


@dataclass(frozen=True)
class LayerInput(Fix):
    """The first input of some layers, or the tensor at a place among their inputs, after methods.

    `back` are methods on the layers' output.
    """

    modules: tuple[str, ...]
    steps: tuple[Method, ...]
    operand: int = 0
    back: tuple[Method, ...] = ()

    kind: ClassVar[Kind] = "call"

    def values(self) -> dict[str, Value]:
        values: dict[str, Value] = {"modules": list(self.modules), "steps": _as_json(self.steps)}
        values |= {"back": _as_json(self.back)} if self.back else {}
        return values | ({"operand": self.operand} if self.operand else {})

    @contextmanager
    def during(self, model: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for path in self.modules:
                hook = model.get_submodule(path).register_forward_pre_hook(
                    lambda _, *given: _edited(given, self.steps, self.operand),
                    with_kwargs=True,
                )
                stack.callback(hook.remove)
                turned = model.get_submodule(path).register_forward_hook(
                    lambda _, __, out: _turn(out, self.back) if self.back else out
                )
                stack.callback(turned.remove)
            yield

    def for_batch(self, old: int, new: int) -> Fix:
        return replace(self, steps=_of_batch(self.steps, old, new))


@dataclass(frozen=True)
class CallChange(Fix):
    """The call at `span` with other arguments by name, other sizes by their place, or `steps` on one of its tensors;
    a pad with its `pairs` in another order, where pair 3 adds nothing.

    `operand` is the place of that tensor among the tensors. The call is changed where it raises, or where it `runs`;
    `others` are further calls that are changed with it.
    """

    call: str
    span: Source
    arguments: Mapping[str, Value] = field(default_factory=dict)
    operand: int = 0
    steps: tuple[Method, ...] = ()
    sizes: Mapping[int, int] = field(default_factory=dict)
    pairs: tuple[int, ...] = ()
    others: tuple[CallChange, ...] = ()
    runs: bool = False

    kind: ClassVar[Kind] = "call"

    @property
    def heard(self) -> bool:
        return self.runs

    def values(self) -> dict[str, Value]:
        place = [self.span.line, self.span.column, self.span.end_line, self.span.end_column]
        where: dict[str, Value] = {"call": self.call, "file": self.span.file, "span": place}
        if self.others:
            where |= {"others": [one.values() for one in self.others]}
        if self.arguments:
            return where | {"arguments": dict(self.arguments)}
        if self.pairs:
            return where | {"pairs": [*self.pairs]}
        if self.sizes:
            return where | {"sizes": {str(place): size for place, size in self.sizes.items()}}
        return where | {"operand": self.operand, "steps": _as_json(self.steps)}

    @contextmanager
    def during(self, model: nn.Module) -> Iterator[None]:
        from vit_trace.record.amended import EINOPS, CalledAgain, einops_called_again

        with ExitStack() as stack:
            for one in (self, *self.others):
                if one.call in EINOPS:
                    stack.enter_context(einops_called_again(one.span, one.edited))
                    continue
                stack.enter_context(CalledAgain(one.call, one.span, one.edited, one.runs))
            yield

    def for_batch(self, old: int, new: int) -> Fix:
        return replace(self, steps=_of_batch(self.steps, old, new))

    def edited(self, given: Inputs) -> Inputs:
        """The call's arguments with the change."""
        args, kwargs = given
        if self.arguments:
            return args[:1], {**kwargs, **self.arguments}
        if self.pairs:
            pad = [*(args[1] if len(args) > 1 else kwargs["pad"]), *[0] * 8][:8]
            ordered = [number for place in self.pairs for number in pad[2 * place : 2 * place + 2]]
            return (args[0], ordered), {name: one for name, one in kwargs.items() if name != "pad"}
        if self.sizes:
            held = [*(args[1:] or kwargs.values())]
            held = [*held[0]] if len(held) == 1 and isinstance(held[0], (tuple, list)) else held
            return (args[0], [self.sizes.get(place, size) for place, size in enumerate(held)]), {}
        return _edited(given, self.steps, self.operand)


@dataclass(frozen=True)
class NumberChange(CallChange):
    """Other sizes, where the line has the number `literal`: the same number may stand in further lines."""

    literal: int = 0


def methods_text(steps: Iterable[Method]) -> str:
    """.flatten(2).transpose(1, 2); what is left from a place on as a slice, [:, 1:]"""
    return "".join(
        f"[{':, ' * numbers[0]}{numbers[1]}:]"
        if name == "narrow"
        else f"[{numbers[0]}]"
        if name == "__getitem__"
        else f".{name}({', '.join(map(str, numbers))})"
        for name, *numbers in steps
    )


def _as_json(steps: Iterable[Method]) -> Value:
    return [[*step] for step in steps]


def _turn(tensor: Tensor, steps: Iterable[Method]) -> Tensor:
    """The tensor after methods, or functions of torch.nn.functional, with their arguments."""
    from torch.nn.functional import interpolate, pad

    for name, *numbers in steps:
        if name == "interpolate":
            tensor = interpolate(tensor, numbers, mode="bilinear")
        else:
            tensor = pad(tensor, numbers) if name == "pad" else getattr(tensor, name)(*numbers)
    return tensor


def _of_batch(steps: tuple[Method, ...], old: int, new: int) -> tuple[Method, ...]:
    """The methods for another batch: what is expanded to the batch is expanded to that one."""
    return tuple(
        (name, *(new if one == old and name == "expand" else one for one in numbers)) for name, *numbers in steps
    )


def batch_comes_first(trace: Trace, stage: Stage) -> bool | None:
    """Whether nn.MultiheadAttention was built with batch_first=True: it exchanges batch and tokens before it projects.

    None where it raised before it did either.
    """
    inside = (one.operation for one in trace.stages[stage.index :] if one.parent == stage.index)
    found = next((one for one in inside if one in ("transpose", "linear")), "")
    return found == "transpose" if found else None


def images_for_tokens(trace: Trace, batch: int) -> list[str]:
    """The paths of nn.MultiheadAttention that take their tokens first, and get the batch there."""
    return [
        stage.module
        for stage in trace.stages
        if stage.operation == MULTIHEAD and batch_comes_first(trace, stage) is False
        for spec in stage.inputs[:1]
        if len(spec.shape) == 3 and spec.shape[0] == batch != spec.shape[1]
    ]


def _edited(given: Inputs, steps: tuple[Method, ...], place: int) -> Inputs:
    """The arguments after methods on one tensor, or with that tensor in place of the container that holds it."""
    return _alone(given, place) if steps == ALONE else _change_tensor(given, lambda tensor: _turn(tensor, steps), place)


def _alone(given: Inputs, place: int) -> Inputs:
    from vit_trace.record.meta.tensors import leaves

    args, kwargs = given
    values = [*args, *kwargs.values()]
    for at, value in enumerate(values):
        held = [tensor for _, tensor in leaves(value)]
        if place < len(held):
            values[at] = held[place]
            break
        place -= len(held)
    return tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :], strict=True))


def _change_tensor(given: Inputs, change: Callable[[Tensor], Tensor], place: int) -> Inputs:
    """The arguments with one tensor changed: the one that stands at a place among the tensors."""
    from torch import Tensor
    from torch.utils._pytree import tree_flatten, tree_unflatten

    flat, tree = tree_flatten(given)
    tensors = [at for at, value in enumerate(flat) if isinstance(value, Tensor)]
    flat[tensors[place]] = change(flat[tensors[place]])
    args, kwargs = tree_unflatten(flat, tree)
    return args, kwargs


def first_tensor(given: Inputs) -> Tensor | None:
    """The first tensor among arguments."""
    from torch import Tensor
    from torch.utils._pytree import tree_leaves

    return next((value for value in tree_leaves(given) if isinstance(value, Tensor)), None)


def twice_the_batch(given: Inputs) -> Inputs:
    """The arguments with twice as many images: each tensor whose first axis is as long as that of the first one."""
    from torch import Tensor
    from torch.utils._pytree import tree_map_only

    first = first_tensor(given)
    if first is None or not first.shape:
        return given
    batch = first.shape[0]

    def doubled(tensor: Tensor) -> Tensor:
        return tensor.repeat(2, *[1] * (tensor.ndim - 1)) if tensor.shape[:1] == (batch,) else tensor

    changed: Inputs = tree_map_only(Tensor, doubled, given)
    return changed


def size_attribute(layer: str, axis: int) -> str:
    """The attribute that holds the size of a weight's axis; "" where the class has none."""
    axis = 1 - axis if layer.startswith("ConvTranspose") and axis < 2 else axis
    names = next((names for start, names in ATTRIBUTES.items() if layer.startswith(start)), ())
    return names[axis] if axis < len(names) else ""


def _resize(model: nn.Module, name: str, shape: Shape) -> None:
    """Give a parameter or buffer another shape, and its module the attributes that hold its sizes."""
    import torch
    from torch import nn

    path, _, attribute = name.rpartition(".")
    module = model.get_submodule(path)
    held: dict[str, Any] = module._parameters if attribute in module._parameters else module._buffers
    old: Tensor = held[attribute]
    bare = torch.empty(shape, dtype=old.dtype, device=old.device)
    held[attribute] = nn.Parameter(bare, old.requires_grad) if isinstance(old, nn.Parameter) else bare
    if attribute == "weight" and hasattr(module, "normalized_shape"):
        setattr(module, "normalized_shape", shape)  # noqa: B010  # a module's attributes are tensors to mypy
    elif attribute == "weight":
        for axis, size in enumerate(shape):
            if word := size_attribute(type(module).__name__, axis):
                setattr(module, word, size)


@dataclass(frozen=True)
class Tried:
    """A change that was tried and runs, and the output it gave."""

    change: Fix
    output: str

    def remedy(self) -> Remedy:
        return Remedy(self.change.text, self.change.kind, self.change.values(), self.output)

    def help(self) -> str:
        return f"{self.change.text} (tried: runs, output {self.output})"
