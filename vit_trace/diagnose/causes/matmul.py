"""A matrix product (matmul, @, bmm, einsum, attention) of tensors whose inner sizes differ.
Example: q 2×5×6 @ k 2×8×5: 6 is not 8. The last size of the first has to be the last but one of the second.
A transpose is missing, or the two sides were projected to different widths.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import turned
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene, Side, axes_text, called, side

MATMUL = CauseKind("matmul", __doc__)

RANKS = {"mm": 2, "addmm": 2, "bmm": 3, "baddbmm": 3, "addbmm": 3}
"""Products -> the only number of axes that they take."""

PRODUCTS = {*RANKS, "matmul", "mv", "dot"}
BIASED = {"addmm", "baddbmm", "addbmm"}
"""Products whose first tensor is added."""


def _heads_repeated(question: Question) -> Iterator[Fix]:
    """`k.repeat_interleave(4, 1)`: each head of keys serves several of queries."""
    scene = question.scene
    pair = scene.operands[:2]
    for place, other in ((1, 0), (0, 1)) if len(pair) == 2 else ():
        few, many = pair[place].shape, pair[other].shape
        if len(few) == len(many) == 4 and few[0] == many[0] and 1 < few[1] < many[1] and not many[1] % few[1]:
            yield from turned(scene, place, ("repeat_interleave", many[1] // few[1], 1))


def _last_axes_exchanged(question: Question) -> Iterator[Fix]:
    """Exchanges the last two axes of one of two matrices."""
    scene = question.scene
    start = 1 if scene.call in BIASED else 0
    first, second = (operand.shape for operand in scene.operands[start : start + 2])
    if min(len(first), len(second)) < 2 or first[-1] == second[-2]:
        return
    if first[-1] == second[-1]:
        yield from turned(scene, start + 1, ("transpose", -2, -1))
    if first[-2] == second[-2]:
        yield from turned(scene, start, ("transpose", -2, -1))


@finds(*PRODUCTS, tensors=2, edits=[_last_axes_exchanged, _heads_repeated])
def inner_sizes_differ(scene: Scene) -> Cause | None:
    """`a @ b`: a's last size against b's last but one, then the axes in front."""
    start = 1 if scene.call in BIASED else 0
    first, second = scene.operands[start], scene.tensor(start + 1)
    if second is None:
        return None
    rank = RANKS.get(scene.call)
    wrong = next((one for one in (first, second) if rank is not None and len(one.shape) != rank), None)
    if wrong is not None and rank is not None:
        text = f"{scene.call} takes tensors of {axes_text(rank)}; {called(wrong)} is {shape_text(wrong.shape)}"
        return Cause(WRONG_RANK, text, rank=rank)
    if not first.shape or not second.shape:
        return Cause(WRONG_RANK, f"{scene.call} of a tensor without axes")
    inner = -2 if len(second.shape) > 1 else -1
    if first.shape[-1] != second.shape[inner]:
        one, two = side(first, -1), side(second, inner)
        text = f"{scene.call} of {shape_text(first.shape)} and {shape_text(second.shape)}: {one.size} is not {two.size}"
        return Cause(MATMUL, text, sides=(one, two))
    return next(_numbers_of_matrices_differ(scene, first, second), None)


def _numbers_of_matrices_differ(scene: Scene, first: Operand, second: Operand) -> Iterator[Cause]:
    """The axes in front of the matrices, which are broadcast."""
    for back in range(3, min(len(first.shape), len(second.shape)) + 1):
        sizes = {first.shape[-back], second.shape[-back]}
        if len(sizes) == 2 and (1 not in sizes or scene.call == "bmm"):
            one, two = side(first, -back), side(second, -back)
            text = f"{scene.call}: {one.name} has {one.size} matrices on axis {one.axis}, {two.name} has {two.size}"
            yield Cause(MATMUL, text, sides=(one, two))


def _letters_in_place(question: Question) -> Iterator[Fix]:
    """Exchanges two axes of one tensor of an einsum, so that each letter has one size."""
    scene, equation = question.scene, str(question.scene.argument("[0]", "equation") or "")
    terms = [*zip(equation.replace(" ", "").split("->")[0].split(","), scene.operands, strict=False)]
    for place, (term, operand) in enumerate(terms):
        known = {letter: size for at, (one, held) in enumerate(terms) if at != place
                 for letter, size in zip(one, held.shape, strict=False)}  # fmt: skip
        for one, two in combinations(range(1, len(operand.shape)), 2):
            sizes = [*operand.shape]
            sizes[one], sizes[two] = sizes[two], sizes[one]
            if tuple(sizes) != operand.shape and all(
                known.get(*pair) == pair[1] for pair in zip(term, sizes, strict=False)
            ):
                yield from turned(scene, place, ("transpose", one, two))


@finds("einsum", edits=[_letters_in_place])
def letter_with_two_sizes(scene: Scene) -> Cause | None:
    """`torch.einsum("bij,bjk->bik", x, y)`: a letter with two sizes, or a term with other axes than its tensor."""
    equation = scene.argument("[0]", "equation")
    if not isinstance(equation, str):
        return None
    names = equation.replace(" ", "").split("->")[0].split(",")
    terms = [pair for pair in zip(names, scene.operands, strict=False) if "." not in pair[0]]
    for term, operand in terms:
        if len(term) != len(operand.shape):
            text = f"einsum names {axes_text(len(term))} ({term}) of {called(operand)}, which is "
            return Cause(WRONG_RANK, text + shape_text(operand.shape), rank=len(term))
    for letter, one, two in names_with_two_sizes(terms):
        if 1 not in (one.size, two.size):
            text = f"einsum {equation}: {letter} is {one.size} in {one.name} and {two.size} in {two.name}"
            return Cause(MATMUL, text, sides=(one, two))
    return None


def names_with_two_sizes(terms: Iterable[tuple[Sequence[str], Operand]]) -> Iterator[tuple[str, Side, Side]]:
    """(name of an axis, its first size, another one) in the terms of an einsum, each with its tensor."""
    seen: dict[str, Side] = {}
    for names, operand in terms:
        for axis, name in enumerate(names):
            here = side(operand, axis)
            if seen.setdefault(name, here).size != here.size:
                yield name, seen[name], here
