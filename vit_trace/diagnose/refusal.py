"""Describes a stage at which a real run stops, though a trace on the meta device goes on. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from vit_trace.base.trace import Operand, Parameter, Stage, Value


@dataclass(frozen=True)
class Refusal:
    """The stage, with the call that raises there: `kind` is the exception's, the rest is as a failure records it."""

    stage: Stage
    code: str
    message: str
    kind: str
    call: str
    operands: tuple[Operand, ...]
    arguments: dict[str, Value]


def held_as_operand(parameter: Parameter) -> Operand:
    """A parameter as an operand of the failing call."""
    return Operand(parameter.name, parameter.shape, parameter.dims, parameter.dtype, parameter.name)
