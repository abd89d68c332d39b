"""The failing call as the causes see it: its operands, sizes and numbers, and what a cause is. No torch."""

from __future__ import annotations

import linecache
import re
from dataclasses import dataclass
from functools import cached_property

from vit_trace.base.trace import Failure, Operand, Parameter, Source, Stage, Trace, Value

Shape = tuple[int, ...]

NAMESPACES = {"torch", "F", "nn", "np", "numpy", "einops", "functional"}
"""What a long expression may start with that is no variable of the model."""

REFLECTED = re.compile(r"^[ir](?=(add|sub|mul|truediv|div|floordiv|pow|mod|and|or|xor|matmul)$)")


@dataclass(frozen=True)
class Side:
    """One of the sizes that disagree: axis `axis` of an operand, or a number that the code or the model wants."""

    operand: Operand | None
    axis: int | None
    size: int
    name: str


@dataclass(frozen=True)
class Cause:
    """Why a call failed: a code, one sentence that makes sense alone, further numbers, the sizes that disagree.

    `rank` is how many axes the first operand should have had; `divisor` what a size should be a multiple of; `by_value`
    that values decide, not shapes: found by running it without memory, where nothing can be tried that depends on them.
    """

    code: str
    message: str
    notes: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()
    rank: int | None = None
    divisor: int | None = None
    by_value: bool = False


@dataclass(frozen=True)
class Scene:
    """A failed trace and shortcuts into it."""

    trace: Trace
    failure: Failure

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
        """How to call the failing stage in a sentence."""
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
    def parameters(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.trace.parameters}

    @cached_property
    def inputs(self) -> list[Stage]:
        return [stage for stage in self.trace.stages if stage.kind == "input"]

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
        if isinstance(value, list):
            return tuple(item for item in value if type(item) is int)
        found = []
        for place in range(1, 32):
            size = self.failure.arguments.get(f"[{place}]")
            if type(size) is not int:
                break
            found.append(size)
        return tuple(found)


def called(operand: Operand) -> str:
    """What an operand is called in a sentence: its parameter, its variable, its expression if it is short."""
    if operand.parameter:
        return operand.parameter
    name = operand.name.removeprefix("self.")
    if name in ("", "input"):
        return "its input"
    if len(name) > 32 or "\n" in name:
        return shortened(name)
    return name


def shortened(name: str) -> str:
    """A long expression by the variable that it starts from, or by the function that it calls last."""
    start = re.match(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*(?![\w(]))*(?=[.\[])", name)
    function = re.match(r"[A-Za-z_][\w.]*(?=\()", name)
    if start is not None and start[0].split(".")[0] not in NAMESPACES:
        return start[0]
    return f"{function[0]}(…)" if function else "the tensor"


def side(operand: Operand, axis: int, name: str = "") -> Side:
    if not operand.shape:  # a single number
        return Side(operand, None, 1, name or called(operand))
    return Side(operand, axis % len(operand.shape), operand.shape[axis], name or called(operand))


def axes_text(count: int) -> str:
    return f"{count} ax{'i' if count == 1 else 'e'}s"


def mentions(text: str, name: str) -> bool:
    """Whether source speaks of a variable, or of an attribute written out: self.heads, and not the heads of it."""
    return re.search(rf"(?<![\w.]){re.escape(name)}\b", text) is not None


def whole_lines(span: Source) -> str:
    """The source lines of a span, as far as they can be read."""
    lines = [linecache.getline(span.file, number) for number in range(span.line, span.end_line + 1)]
    return "".join(lines) or span.text
