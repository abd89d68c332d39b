"""Records what is kept of a failing call, and the frames of its traceback."""

from dataclasses import dataclass, field
from types import FrameType

from torch import nn

from vit_trace.base.trace import Operand, Value
from vit_trace.record.source import frames


@dataclass
class Captured:
    """The facts of one failing call; empty where the traceback does not tell."""

    call: str = ""
    operands: list[Operand] = field(default_factory=list)
    arguments: dict[str, Value] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    traceback: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """One frame of a traceback: where it stands, and the module whose forward it runs in."""

    frame: FrameType
    lasti: int
    module: nn.Module | None


def is_machinery(filename: str) -> bool:
    return filename.startswith(frames.MACHINERY) and filename != frames.MODEL_FILE


def is_own(frame: FrameType) -> bool:
    return frames.owner(frame.f_code.co_filename) == frames.OWN
