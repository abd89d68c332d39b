"""Shows the failing call to those who explain it: its operands, sizes and numbers, and names for them. No torch."""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.base.trace import Failure, Operand, Parameter, Source, Stage, Trace, Value
from vit_trace.base.words import message_text, shape_text

if TYPE_CHECKING:
    from vit_trace.record.source.makers import Maker

Shape = tuple[int, ...]

Sources = Mapping[int, "tuple[Maker | None, ...]"]
"""By the index of a stage, what made each of its inputs."""

NAMESPACES = {"torch", "F", "nn", "np", "numpy", "einops", "functional"}
"""Names that a long expression may start with and that are not variables of the model."""

LONGEST_NAME = 32
"""Characters of an expression that names an operand; a longer one is shortened."""

MOST_NUMBERS = 8
"""Numbers of a frame in one note; the rest is left out."""

REFLECTED = re.compile(r"^[ir](?=(add|sub|mul|truediv|div|floordiv|pow|mod|and|or|xor|matmul)$)")


@dataclass(frozen=True)
class Side:
    """One of the sizes that disagree: axis `axis` of an operand, or a number that the code or the model wants."""

    operand: Operand | None
    axis: int | None
    size: int
    name: str


@dataclass(frozen=True)
class Scene:
    """A failed trace and shortcuts into it; `sources` are known where the failing forward could be run again."""

    trace: Trace
    failure: Failure
    sources: Sources | None = None

    @cached_property
    def stage(self) -> Stage | None:
        index = self.failure.stage
        return self.trace.stages[index] if index is not None else None

    @cached_property
    def call(self) -> str:
        """The failing function's plain name: add for iadd, __radd__ and add_."""
        return REFLECTED.sub("", self.failure.call.strip("_"))

    @property
    def operands(self) -> tuple[Operand, ...]:
        return self.failure.operands

    @cached_property
    def name(self) -> str:
        """How a sentence names the failing stage."""
        stage = self.stage
        return (stage.name or "the model") if stage is not None else "the model"

    @cached_property
    def layer(self) -> str:
        """The path of the failing layer, or what the failing step is called."""
        stage = self.stage
        if stage is not None and stage.kind == "module" and stage.module:
            return stage.module
        return self.call

    @cached_property
    def raised(self) -> tuple[str, str]:
        """(kind of the exception, its message)"""
        kind, _, said = self.failure.exception.partition(": ")
        return kind, message_text(kind, said)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.trace.parameters}

    @cached_property
    def inputs(self) -> list[Stage]:
        return [stage for stage in self.trace.stages if stage.kind == "input"]

    @cached_property
    def whole_numbers(self) -> dict[str, int]:
        """The whole numbers of the failing frame, by name."""
        return {name: value for name, value in self.failure.values.items() if type(value) is int}

    def tensor(self, place: int) -> Operand | None:
        return self.operands[place] if place < len(self.operands) else None

    def argument(self, *names: str) -> Value:
        """A plain argument by position ("[1]") or name."""
        return next((self.failure.arguments[name] for name in names if name in self.failure.arguments), None)

    def integer(self, *names: str, default: int) -> int:
        value = self.argument(*names)
        return value if type(value) is int else default

    def sizes(self, *names: str) -> tuple[int, ...]:
        """Sizes given as one list or one by one from position 1 on."""
        value = self.argument(*names, "[1]")
        if not isinstance(value, list):
            value = [self.failure.arguments.get(f"[{place}]") for place in range(1, 32)]
        return tuple(item for item in value if type(item) is int)


class WrittenCall(NamedTuple):
    """A call as it is written: the function's last name, its arguments by place and by name."""

    name: str
    given: list[str]
    keywords: dict[str, str]


def call_written(span: Source | None) -> WrittenCall | None:
    """The call at a place in the source; None for anything else."""
    try:
        node = ast.parse(span.text.strip(), mode="eval").body if span is not None else None
    except SyntaxError:
        return None
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {one.arg: ast.unparse(one.value) for one in node.keywords if one.arg}
    return WrittenCall(name, [*map(ast.unparse, node.args)], keywords)


def called(operand: Operand) -> str:
    """What an operand is called in a sentence: its parameter, its variable, its expression.

    A long expression is called by the variable that it starts from, or by the function that it calls last.
    """
    if operand.parameter:
        return operand.parameter
    name = operand.name.removeprefix("self.")
    if name in ("", "input"):
        return "its input"
    if len(name) <= LONGEST_NAME and "\n" not in name:
        return name
    start = re.match(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*(?![\w(]))*(?=[.\[])", name)
    function = re.match(r"[A-Za-z_][\w.]*(?=\()", name)
    if start is not None and start[0].split(".")[0] not in NAMESPACES:
        return start[0]
    return f"{function[0]}(…)" if function else "the tensor"


def side(operand: Operand, axis: int, name: str = "") -> Side:
    if not operand.shape:  # a single number
        return Side(operand, None, 1, name or called(operand))
    return Side(operand, axis % len(operand.shape), operand.shape[axis], name or called(operand))


def clash(first: Shape, second: Shape) -> int | None:
    """The axis, counted from the end from 1 on, at which two shapes do not broadcast; None where they do."""
    for back in range(1, min(len(first), len(second)) + 1):
        one, two = first[-back], second[-back]
        if one != two and 1 not in (one, two):
            return back
    return None


def with_shape(operand: Operand) -> str:
    """x 2×9×16"""
    return f"{called(operand)} {shape_text(operand.shape)}"


def sizes_text(sizes: Sequence[int]) -> str:
    """2×-1×7: sizes as the code asks for them."""
    return "×".join(map(str, sizes))


def name_in_layer(operand: Operand) -> str:
    """What a layer's input is called in a sentence about the layer."""
    name = called(operand)
    return "its input" if name == "the tensor" else name


def layer_of(operand: Operand, scene: Scene) -> str:
    """blocks.1.mlp.2 for its weight; the function's name where the weight is not a parameter."""
    return operand.parameter.rpartition(".")[0] or operand.parameter or scene.layer


def axis_note(x: Operand, wanted: int) -> tuple[str, ...]:
    """The axis with the size that a layer wants elsewhere: any but the batch; empty where there is none."""
    axis = next((axis for axis, size in enumerate(x.shape) if size == wanted and axis), None)
    return (f"axis {axis} of {shape_text(x.shape)} has {wanted}",) if axis is not None else ()


def difference(one: Side, two: Side) -> str:
    """x has 82 tokens, pos_embedding has 65"""
    if _counts_tokens(one) or _counts_tokens(two):
        return f"{one.name} has {one.size} tokens, {two.name} has {two.size}"
    return f"{one.name} has {one.size}, {two.name} has {two.size}{_common_axis(one, two)}"


def _common_axis(one: Side, two: Side) -> str:
    """ "on axis 1", or counted from the end where the two have different numbers of axes."""
    if one.axis == two.axis:
        return f" on axis {one.axis}"
    if one.operand is None or two.operand is None or one.axis is None or two.axis is None:
        return ""
    back = len(one.operand.shape) - one.axis
    if back != len(two.operand.shape) - two.axis:
        return ""
    return " on the last axis" if back == 1 else f" on axis -{back}"


def _counts_tokens(side: Side) -> bool:
    """Whether the formula of an axis counts patches."""
    operand, axis = side.operand, side.axis
    if operand is None or axis is None or axis >= len(operand.dims):
        return False
    words = set(re.findall(r"\w+", operand.dims[axis]))
    return bool({"n", "n_model"} & words or {"h", "w"} <= words or {"h_model", "w_model"} <= words)


def frame_note(scene: Scene) -> tuple[str, ...]:
    """The numbers of the raising frame that its line names, else the first few."""
    values = scene.failure.values
    line = spoken_lines(scene)
    spoken = [name for name in values if mentions(line, name)]
    names = spoken or [name for name in values if name.startswith("self.")] or list(values)
    texts = [*map(with_shape, scene.operands[:3]), *(f"{name} = {values[name]}" for name in names[:MOST_NUMBERS])]
    return (f"with {', '.join(texts)}",) if texts else ()


def axes_text(count: int) -> str:
    return f"{count} ax{'i' if count == 1 else 'e'}s"


def mentions(text: str, name: str) -> bool:
    """Whether source names a variable, or an attribute as it is written: self.heads, but not heads alone."""
    return re.search(rf"(?<![\w.]){re.escape(name)}\b", text) is not None


def spoken_lines(scene: Scene) -> str:
    """The source lines of the failing expression, as far as they can be read."""
    span = scene.failure.span
    if span is None:
        return ""
    lines = [linecache.getline(span.file, number) for number in range(span.line, span.end_line + 1)]
    return "".join(lines) or span.text
