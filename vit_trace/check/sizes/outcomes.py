"""Says what becomes of a model at other settings: it runs, is refused, pads, drops pixels or leaves out features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Failure, Stage, Trace
from vit_trace.config.words import ConfigError
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
REPEATS = "repeats one token"

SILENT = {
    "pixels-dropped": DROPS,
    "heads-do-not-divide-dim": LEAVES_OUT,
    "broadcast-one": "broadcasts",
    "positions-cut": "cuts positions",
}
"""Silent mistakes that numbers decide, with what becomes of the model."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a model: a word; the stage and the reason, told when asked for; what it is made of.

    `padded` counts the steps that pad a tensor to more values, `repeated` those that add one token to many; `made`
    stands for all shapes of the trace.
    """

    word: str
    tell: Callable[[], tuple[str, str]] = lambda: ("", "")
    padded: int = 0
    repeated: int = 0
    made: int = 0

    @property
    def where(self) -> str:
        return self._told[0]

    @property
    def why(self) -> str:
        return self._told[1]

    @cached_property
    def _told(self) -> tuple[str, str]:
        return self.tell()


NOT_TRIED = Outcome(UNKNOWN, lambda: ("", "not tried: the budget was spent"))


def outcome_of(variants: Variants, values: Mapping[str, int], whole: bool = False) -> Outcome:
    """What becomes of a model with these values; with all its shapes, if `whole`."""
    try:
        trace = variants.trace(values, whole)
    except ConfigError as error:  # the built-in ViT's constructor
        return _outcome(REFUSED, "the constructor", str(error))
    except (Refused, TooLong) as error:
        return _outcome(UNKNOWN, "", str(error))
    except Exception as error:  # whatever its constructor raises
        return _outcome(REFUSED, "the constructor", _first_line(error))
    if (failure := trace.failure) is not None:
        return Outcome(REFUSED, partial(_refusal, trace, failure))
    padding = [one for one in trace.stages if one.operation == "pad" and _grows(one)]
    for code, word in SILENT.items():
        if (found := next(mistakes(trace, code), None)) is not None:
            return _outcome(word, "", found.message)
    told = (padding[0].name, f"{padding[0].name} pads") if padding else ("", "")
    repeating = sum(1 for one in trace.stages if one.operation == "add" and _repeats(one))
    return Outcome(RUNS, lambda: told, len(padding), repeating, _shapes(trace))


def _outcome(word: str, *told: str) -> Outcome:
    return Outcome(word, lambda: (told[0], told[1]))


def _shapes(trace: Trace) -> int:
    """A number that stands for the shapes of all stages and parameters."""
    stages = tuple((one.name, tuple(spec.shape for spec in one.outputs)) for one in trace.stages)
    return hash((stages, tuple((one.name, one.shape) for one in trace.parameters)))


def _grows(stage: Stage) -> bool:
    return bool(stage.inputs and stage.outputs) and prod(stage.outputs[0].shape) > prod(stage.inputs[0].shape)


def _repeats(stage: Stage) -> bool:
    """Whether a sum repeats the one token, or pixel, of each image: an image of one patch meets many positions."""
    if len(stage.inputs) < 2 or not stage.outputs:
        return False
    first, made = stage.inputs[0].shape, stage.outputs[0].shape
    return len(first) == len(made) > 2 and first[0] == made[0] and first != made and 1 in first[1:]


def _refusal(trace: Trace, failure: Failure) -> tuple[str, str]:
    """Where and why a forward is refused."""
    scene = Scene(trace, failure)
    try:
        why = cause_of(scene).message
    except Exception:  # the cause is worth less than the outcome
        why = failure.exception.partition("\n")[0]
    return scene.name, why


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
