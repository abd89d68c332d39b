"""Says whether a model that runs after a change still means what it meant: what runs is not always right. No torch.

A change is not worth offering if a parameter takes the batch size into its shape, a layer of features is made as wide
as there are pixels or tokens, one position is added to all tokens, the images become something else than a batch, or
the input grows far beyond what the model was made for.
"""

from collections.abc import Iterator
from math import prod

from vit_trace.base.trace import Stage, Trace
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.inputs import first_input
from vit_trace.diagnose.changes.records import AttributeChange, Fix, InputChange
from vit_trace.diagnose.naming import formula_of
from vit_trace.diagnose.scene import Scene, Side
from vit_trace.dims.formula import parse, symbols_of

LARGER = 4
"""Times its own size that a side of the input may grow."""

ADDED = {"add", "iadd", "radd", "add_"}

GRID = {"H", "W", "T", "h", "w", "t", "n", "H_model", "W_model", "h_model", "w_model", "n_model"}
"""Symbols that count pixels, patches and frames."""


def means_the_same(question: Question, change: Fix, after: Trace) -> bool:
    """Whether the model, changed so that it runs, is still such a model."""
    return not any(reason for reason in _reasons(question, change, after))


def _reasons(question: Question, change: Fix, after: Trace) -> Iterator[bool]:
    """What speaks against a change, each as whether it is so."""
    if isinstance(change, AttributeChange):
        yield from (_wrong_width(question.scene, side) for side in question.cause.sides if _takes(change, side))
    if isinstance(change, InputChange) and change.shape is not None:
        yield _far_larger(question, change.shape)
    yield one_position_for_all(question.scene.trace, after)
    yield not _of_a_batch(after)


def _takes(change: AttributeChange, side: Side) -> bool:
    """Whether a change gives a parameter or an attribute the size of a side that is not that parameter."""
    sizes = {size for value in change.values().values() for size in (value if isinstance(value, list) else [value])}
    held = side.operand.parameter if side.operand is not None else ""
    return side.size in sizes and held not in change.values()


def _wrong_width(scene: Scene, side: Side) -> bool:
    """Whether a side's size is the batch size, or a count of pixels or tokens that no weight of the model has."""
    formula = formula_of(side)
    if not formula:
        return False
    used = symbols_of(parse(formula))
    if "b" in used:
        return True
    counted = (dim for one in scene.trace.parameters for dim in one.dims)
    return bool(used & GRID) and not any(symbols_of(parse(dim)) & GRID for dim in counted if not dim.isdigit())


def _far_larger(question: Question, shape: tuple[int, ...]) -> bool:
    """Whether a side of the input becomes many times what it is and what the model was made for."""
    given, made_for = first_input(question.scene), question.case.expected or ()
    if len(given) != len(shape):
        return prod(shape) > LARGER**2 * prod(given)
    own = made_for if len(made_for) == len(shape) else given
    return any(new > LARGER * max(old, meant) for new, old, meant in zip(shape, given, own, strict=True))


def one_position_for_all(before: Trace, after: Trace) -> bool:
    """Whether a sum after a change spreads one token over a table of positions, or one position over all tokens."""
    known = {stage.name: stage for stage in before.stages if stage.outputs}
    return any(_spreads(stage) and not _spreads(known.get(stage.name)) for stage in after.stages)


def _spreads(stage: Stage | None) -> bool:
    """Whether a sum of tokens and something else has one of them where the other has many."""
    if stage is None or stage.operation.strip("_+") not in ADDED | {""} or len(stage.inputs) != 2:
        return False
    first, second = (one.shape for one in stage.inputs)
    if len(first) != len(second) or len(first) != 3:
        return False
    return 1 in (first[1], second[1]) and first[1] != second[1] and first[2] == second[2]


def _of_a_batch(after: Trace) -> bool:
    """Whether the outputs are as many as the images, where they have axes at all."""
    batch = next((spec.shape[0] for stage in after.stages if stage.kind == "input" for spec in stage.outputs), 0)
    shaped = [output for output in after.outputs if output.shape]
    return not shaped or not batch or any(size % batch == 0 for output in shaped for size in output.shape)
