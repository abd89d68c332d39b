"""Says what becomes of a model at other settings: it runs, is refused, pads, drops pixels or leaves out features."""

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Failure, Stage, Trace
from vit_trace.diagnose.causes import cause_of
from vit_trace.diagnose.scene import Scene
from vit_trace.diagnose.silent import mistakes
from vit_trace.probing.bounded import TooLong
from vit_trace.probing.variants import Variants

RUNS, REFUSED, PADS, DROPS, LEAVES_OUT, UNKNOWN = (
    "runs",
    "refused",
    "pads",
    "drops pixels",
    "leaves out features",
    "unknown",
)

SILENT = {
    "pixels-dropped": DROPS,
    "heads-do-not-divide-dim": LEAVES_OUT,
    "broadcast-one": "broadcasts",
    "positions-cut": "cuts positions",
}
"""Silent mistakes that numbers decide, with what becomes of the model."""


class Outcome(NamedTuple):
    """What becomes of a model: a word, the stage, why; `padded` counts the steps that pad a tensor to more values."""

    word: str
    where: str = ""
    why: str = ""
    padded: int = 0


def outcome_of(variants: Variants, values: Mapping[str, int]) -> Outcome:
    """What becomes of a model with these values."""
    try:
        trace = variants.trace(values)
    except (Refused, TooLong) as error:
        return Outcome(UNKNOWN, "", str(error))
    except Exception as error:  # whatever its constructor raises
        return Outcome(REFUSED, "the constructor", _first_line(error))
    if trace.failure is not None:
        return _refusal(trace, trace.failure)
    padding = [one for one in trace.stages if one.operation == "pad" and _grows(one)]
    for code, word in SILENT.items():
        if (found := next(mistakes(trace, code), None)) is not None:
            return Outcome(word, "", found.message)
    where = padding[0].name if padding else ""
    return Outcome(RUNS, where, f"{where} pads" if padding else "", len(padding))


def _grows(stage: Stage) -> bool:
    return bool(stage.inputs and stage.outputs) and prod(stage.outputs[0].shape) > prod(stage.inputs[0].shape)


def _refusal(trace: Trace, failure: Failure) -> Outcome:
    """Where and why a forward is refused."""
    scene = Scene(trace, failure)
    try:
        why = cause_of(scene).message
    except Exception:  # the cause is worth less than the outcome
        why = failure.exception.partition("\n")[0]
    return Outcome(REFUSED, scene.name, why)


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
