"""Finds an image that is not a multiple of the patch, so that the patch embedding leaves out its edge."""

from collections.abc import Iterator
from math import prod

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.changes.records import InputChange
from vit_trace.diagnose.pixels import dropping_embeddings
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake

SIDES = {1: ("value",), 2: ("row", "column"), 3: ("slice", "row", "column")}
"""Words for one step along each side of a series, an image, a volume or a clip."""


@silent_mistake("pixels-dropped")
def pixels_dropped(trace: Trace, _: MakeCase) -> Iterator[Mistake]:
    """The image is not a multiple of the patch, and the rows or columns left over at its edge are never used.
    Example: 225 = 14·16 + 1: one row is dropped.
    Resize or crop to a multiple of the patch, so that you decide what is lost.
    """
    for found in dropping_embeddings(trace):
        sides = list(zip(found.image, found.grid, found.patch, strict=True))
        lost = [(size % patch, word) for (size, _, patch), word in zip(sides, SIDES[len(sides)], strict=True)]
        text = " and ".join(f"the last {count} {word}{'s' * (count > 1)}" for count, word in lost if count)
        sums = dict.fromkeys(f"{size} = {count}·{patch} + {size - count * patch}" for size, count, patch in sides)
        pixels = prod(found.image)
        note = f"{', '.join(sums)}: {pixels - prod(found.grid) * prod(found.patch)} of {pixels} pixels are never used"
        whole = tuple(count * patch for _, count, patch in sides)
        remedy = InputChange.sized((*found.leading, *whole), f"an input of {shape_text(whole)}")
        message = f"{found.stage.name} drops {text} of the {shape_text(found.image)} image"
        yield Mistake(message, found.stage.source, (note,), (remedy,))
