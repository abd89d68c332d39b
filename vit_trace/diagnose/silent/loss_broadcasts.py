"""Finds a loss whose two tensors have different shapes and are broadcast: each prediction meets every target."""

from collections.abc import Iterator
from math import prod

from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.causes.loss import COMPARING, arguments_written, to_shape
from vit_trace.diagnose.changes.records import CallChange, Fix, methods_text
from vit_trace.diagnose.scene import Shape, clash
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake

MODULES = {
    "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div",
    "PoissonNLLLoss": "poisson_nll_loss",
}
"""torch's modules of losses, and the functions that they call."""


@silent_mistake("loss-broadcasts")
def loss_broadcasts(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A loss gets predictions and targets of different shapes, broadcasts them, and compares each with every other.
    Example: mse_loss of 16 and 16×1 is the mean of 16×16 differences instead of 16.
    It runs, and torch only warns, but the model learns the mean of the targets. target.squeeze(-1) removes the axis.
    """
    inner = {stage.parent for stage in trace.stages}
    crossed = [*_crossed(case)]
    for stage in trace.stages:
        if any(stage.source == one.source for one in crossed) and stage.operation not in (*MODULES, *COMPARING):
            break
        call = MODULES.get(stage.operation, stage.operation)
        if call not in COMPARING or stage.index in inner or len(stage.inputs) < 2:
            continue
        one, two = (spec.shape for spec in stage.inputs[:2])
        whole = _broadcast(one, two)
        if whole is not None and (prod(whole) > max(prod(one), prod(two)) or _shared(one, two)):
            yield _mistake(stage, call, whole)
            return
    yield from crossed


def _shared(one: Shape, two: Shape) -> bool:
    """Whether a tensor of several values has one for several of the other's, behind an axis that both have."""
    pairs = list(zip(one, two, strict=True)) if len(one) == len(two) and min(prod(one), prod(two)) > 1 else []
    first = next((at for at, pair in enumerate(pairs) if min(pair) > 1), len(pairs))
    return any(min(pair) == 1 < max(pair) for pair in pairs[first:])


def _crossed(case: MakeCase) -> Iterator[Mistake]:
    """A step of a small copy where each image of one tensor meets every image of another."""
    from vit_trace.mixing.sums import crossed

    measured = case().measured
    for event, who in crossed(measured) if measured is not None else ():
        assert measured is not None
        one, two, whole = (shape_text(tensor.shape) for tensor in (*event.given[:2], event.made[0]))
        stage = measured.stage(event)
        message = f"{stage.name} broadcasts {one} and {two} to {whole}: {who}"
        yield Mistake(message, measured.source(event), ("the sizes are those of a small copy with 7 images",))
        return


def _broadcast(one: Shape, two: Shape) -> Shape | None:
    """The shape that two shapes broadcast to; None where they do not."""
    count = max(len(one), len(two))
    pairs = zip((1,) * (count - len(one)) + one, (1,) * (count - len(two)) + two, strict=True)
    return None if clash(one, two) is not None else tuple(max(pair) if min(pair) else 0 for pair in pairs)


def _mistake(stage: Stage, call: str, whole: Shape) -> Mistake:
    shapes = [spec.shape for spec in stage.inputs[:2]]
    names = arguments_written(stage.source) or ["the first tensor", "the second"]
    one, two = (f"{name} {shape_text(shape)}" for name, shape in zip(names, shapes, strict=True))
    many = prod(whole)
    count = next(one for one in (max(map(prod, shapes)), min(map(prod, shapes))) if one < many)
    message = f"{call} broadcasts {one} and {two} to {shape_text(whole)}: {many} differences instead of {count}"
    note = "each prediction is compared with the targets of the others too; torch only warns of it"
    return Mistake(message, stage.source, (note,), tuple(_remedies(stage, call, names)))


def _remedies(stage: Stage, call: str, names: list[str]) -> Iterator[Fix]:
    """The targets in the shape of the predictions, and the other way round."""
    shapes = [spec.shape for spec in stage.inputs[:2]]
    if stage.source is None or prod(shapes[0]) != prod(shapes[1]):
        return
    for place in (1, 0):
        steps = to_shape(shapes[place], shapes[1 - place])
        text = f"{names[place]}{methods_text(steps)} instead of {names[place]}"
        yield CallChange(text, call, stage.source, operand=place, steps=steps, runs=True)
