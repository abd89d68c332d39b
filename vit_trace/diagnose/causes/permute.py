"""permute names an axis twice, and so leaves one out. It takes every axis once, in the new order.
Example: permute(0, 3, 3, 1) of four axes names 3 twice, and 2 not at all.
"""

from collections.abc import Iterator

from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.changes.calls import call_changed
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene

PERMUTE = CauseKind("permute", __doc__)


def _missing_axis_named(question: Question) -> Iterator[Fix]:
    """Puts the missing axis in one of the two places of an axis that is named twice."""
    ndim, dims = len(question.scene.operands[0].shape), question.scene.sizes("dims")
    left = [axis for axis in range(ndim) if axis not in [one % ndim for one in dims]]
    before = f"permute({', '.join(map(str, dims))})"
    for place in range(ndim) if len(left) == 1 else ():
        after = [*dims[:place], left[0], *dims[place + 1 :]]
        if len({axis % ndim for axis in after}) == ndim:
            text = f"permute({', '.join(map(str, after))}) instead of {before}"
            yield from call_changed(question.scene, text, {"dims": [*after]})


@finds("permute", tensors=1, edits=[_missing_axis_named])
def repeated_axis(scene: Scene) -> Cause | None:
    """`x.permute(0, 3, 3, 1)`."""
    ndim, dims = len(scene.operands[0].shape), scene.sizes("dims")
    places = [axis % ndim for axis in dims if -ndim <= axis < ndim]
    twice = next((axis for axis in places if places.count(axis) > 1), None)
    if twice is None or len(dims) != ndim or len(places) != ndim:
        return None
    left = ", ".join(str(axis) for axis in range(ndim) if axis not in places)
    return Cause(PERMUTE, f"permute({', '.join(map(str, dims))}) names axis {twice} twice, and {left} not at all")
