"""Records what was seen of the model's own code: calls, runs of statements, what they bound. Keeps no tensor."""

from dataclasses import dataclass, field
from types import CodeType
from typing import NamedTuple

from torch import nn

from vit_trace.base.trace import TensorSpec, Trace
from vit_trace.record.source.makers import Maker
from vit_trace.record.source.statements import Function, Unit


class Made(NamedTuple):
    """A tensor that a line bound, and what made it."""

    spec: TensorSpec
    maker: Maker | None


Value = tuple[Made, ...] | int | float | tuple[int, ...]


class Bound(NamedTuple):
    """One thing a line made: `kind` is argument, value, return, yield, parameter or raise."""

    kind: str
    name: str
    value: Value | None
    line: int


class Execution(NamedTuple):
    """One run of a statement: what it bound, and the range of stages that were opened meanwhile."""

    unit: Unit
    bound: tuple[Bound, ...]
    start: int
    end: int


@dataclass
class Call:
    """One call of a listed function: its module, the stage it runs in, what its statements did."""

    function: Function
    module: str | None
    of_module: bool = False
    stage: int = -1
    runs: list[Execution] = field(default_factory=list)
    ran: set[int] = field(default_factory=set)
    sides: set[tuple[int, bool]] = field(default_factory=set)
    owner: nn.Module | None = None
    made: list[tuple[int, nn.Module]] = field(default_factory=list)


class WatchedCode(NamedTuple):
    """What is known of a code object, held here so that its id stays its own. `watched` are the lines of `marks`."""

    code: CodeType
    entry: tuple[str, str]
    part: bool
    function: Function | None
    marks: dict[int, tuple[tuple[int, bool], ...]]
    watched: frozenset[int | None] = frozenset()


class Heard(NamedTuple):
    """One recording: its trace, and the calls of the model's own functions."""

    trace: Trace
    constructors: list[Call]
    forwards: list[Call]
