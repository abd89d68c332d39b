"""Says whether a model that runs after a change still means what it meant: what runs is not always right. No torch.

A change is not worth offering if it holds for one batch size alone, if a layer of features is made as wide as there are
pixels or tokens, if frames are made as many as there are patches, if one token is added to all positions or one
position to all tokens, if the output has other axes than the model's own input gives, or if the input grows far beyond
what the model was made for.
"""

from collections.abc import Iterator
from math import prod

from vit_trace.base.roles import role_named
from vit_trace.base.trace import Stage, Trace
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.inputs import first_input
from vit_trace.diagnose.changes.records import (
    BATCH_FIRST,
    AttributeChange,
    CallChange,
    Fix,
    InputChange,
    LayerInput,
    ParameterResize,
    SettingChange,
    images_for_tokens,
)
from vit_trace.diagnose.naming import formula_of
from vit_trace.diagnose.scene import Shape, Side
from vit_trace.dims.formula import parse, symbols_of
from vit_trace.dims.solve import symbols_behind

LARGER = 4
"""Times its own size that a side of the input may grow."""

SUMS = {"add", "add_", "iadd", "radd"}

TIME = {"T", "t", "T_model", "t_model"}
"""Symbols that count frames."""

SPACE = {"H", "W", "h", "w", "n", "H_model", "W_model", "h_model", "w_model", "n_model"}
"""Symbols that count pixels and patches."""

GRID = TIME | SPACE

FEATURES = {"dim", "dim_head", "mlp_dim", "channels", "classes", "heads"}
"""Roles of settings that count features, or parts of them."""


def means_the_same(question: Question, change: Fix, after: Trace) -> bool:
    """Whether the model, changed so that it runs, is still such a model."""
    return not any(_objections(question, change, after))


def _objections(question: Question, change: Fix, after: Trace) -> Iterator[bool]:
    """What may speak against a change, and whether it does; the cheap ones first."""
    if isinstance(change, ParameterResize):
        yield as_wide_as_the_image(question, change)
    yield any(role_named(name) == "heads" and value == 1 for name, value in change.settings.items())
    yield isinstance(change, SettingChange) and any(map(_of_one_axis, question.cause.sides))
    yield _counts_something_else(question, change)
    if isinstance(change, InputChange) and change.shape is not None and not change.name:
        yield _far_larger(question, change.shape)
    if isinstance(change, AttributeChange) and any(name.endswith(BATCH_FIRST) for name in change.attributes):
        yield bool(images_for_tokens(after, first_input(question.scene)[0]))
    yield _spreads_one(question.scene.trace, after)
    yield _other_axes(question, change, after)
    yield _for_one_batch_alone(question, change, after)


def _of_one_axis(side: Side) -> bool:
    """Whether a size is that of a scale or a bias, which was made for other features: no reason to change a width."""
    operand = side.operand
    own = operand is not None and not operand.parameter.endswith((".weight", ".bias"))
    return operand is not None and own and bool(operand.parameter) and len(operand.shape) == 1


def as_wide_as_the_image(question: Question, change: ParameterResize) -> bool:
    """Whether a layer of a model whose layers take features is made as wide as there are pixels or tokens."""
    scene, sizes = question.scene, {size for shape in change.shapes.values() for size in shape}
    counts = {side.size for side in question.cause.sides if _counting(question, formula_of(side))}
    weights = [one for one in scene.trace.parameters if one.name.rpartition(".")[2].endswith("weight")]
    mixes = any(_counting(question, dim) for one in weights for dim in one.dims)
    return bool(sizes & counts) and not mixes and any(one.name in change.shapes for one in weights)


def _counts_something_else(question: Question, change: Fix) -> bool:
    """Whether features are made as many as there are pixels, or frames as many as there are patches."""
    sides = question.cause.sides
    counted = [_counting(question, formula_of(side)) for side in sides]
    apart = len(sides) == 2 and sides[0].operand is not sides[1].operand  # not two axes of one tensor
    if not apart or not any(counted) or question.cause.divisor is not None:
        return False
    if not all(counted):
        if isinstance(change, SettingChange):
            return any(role_named(name) in FEATURES for name in change.settings)
        features = [one for one in sides if _counts_features(question, one)]
        if isinstance(change, ParameterResize):
            return any(one.name in change.shapes for one in features)
        in_common = frozenset.intersection(*(symbols_of(parse(formula_of(one) or "1")) for one in sides))
        return isinstance(change, InputChange) and change.shape is not None and bool(features) and not in_common
    kinds = [(bool(names & TIME), bool(names & SPACE)) for names in counted]
    edits = isinstance(change, (CallChange, LayerInput))
    return not edits and sorted(kinds) == [(False, True), (True, False)]


def _counts_features(question: Question, side: Side) -> bool:
    """Whether a size is one of features: by its formula, or since it is what a normalisation holds a number for."""
    formula, held = formula_of(side), side.operand.parameter if side.operand is not None else ""
    if formula:
        return not _counting(question, formula)
    return side.operand is not None and len(side.operand.shape) == 1 and held.endswith((".weight", ".bias"))


def _counting(question: Question, dim: str) -> set[str]:
    """The symbols of pixels, patches and frames that a formula depends on."""
    names = symbols_of(parse(dim)) if dim else frozenset()
    return {*names, *symbols_behind(names, question.scene.trace.symbols)} & GRID


def _far_larger(question: Question, shape: Shape) -> bool:
    """Whether a side of the input becomes many times what it is and what the model was made for."""
    given, made_for = first_input(question.scene), question.case.expected or ()
    if len(given) != len(shape):
        return shape[1:] != made_for[1:] and prod(shape) > LARGER**2 * prod(given)
    own = made_for if len(made_for) == len(shape) else given
    return any(new > LARGER * max(old, meant) for new, old, meant in zip(shape, given, own, strict=True))


def _spreads_one(before: Trace, after: Trace) -> bool:
    """Whether a sum after a change spreads one token over all positions, or one position over all tokens."""
    known = {stage.name: stage for stage in before.stages}
    return any(
        stage.operation in SUMS and _spreads(stage) and stage.name in known and not _spreads(known[stage.name])
        for stage in after.stages
    )


def _spreads(stage: Stage) -> bool:
    """Whether one of two tensors of tokens has one where the other has many, but as many features."""
    shapes = [one.shape for one in stage.inputs]
    if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 3:
        return False
    (*_, one, width), (*_, two, other) = shapes
    return width == other and one != two and 1 in (one, two)


def _other_axes(question: Question, change: Fix, after: Trace) -> bool:
    """Whether the output has another number of axes than the model's own input gives."""
    own = question.case.own()
    if own is None or own.failure is not None:
        return False
    pairs = zip(own.outputs, after.outputs, strict=False)
    return any(len(one.shape) != len(two.shape) for one, two in pairs)


def _for_one_batch_alone(question: Question, change: Fix, after: Trace) -> bool:
    """Whether with twice the images it fails, or gives as many outputs as before."""
    shape = first_input(question.scene)
    moved = isinstance(change, InputChange) and not change.name and change
    if (
        not shape
        or not question.cause.kind.any_batch
        or (moved and (moved.steps or (moved.shape or shape)[0] != shape[0]))
    ):
        return False
    unchanged, twice = question.case.twice(InputChange("")), question.case.twice(change)
    if unchanged is None or twice is None or _fails_before(unchanged, question.scene.trace):
        return False
    if twice.failure is not None:
        return True
    shaped = [(one.shape, two.shape) for one, two in zip(after.outputs, twice.outputs, strict=False) if one.shape]
    return bool(shaped) and all(one == two for one, two in shaped)


def _fails_before(twice: Trace, once: Trace) -> bool:
    """Whether with twice the images a forward does not get as far: its code has the batch size in it."""
    first, second = (trace.failure.stage if trace.failure is not None else None for trace in (twice, once))
    return first is not None and second is not None and first < second
