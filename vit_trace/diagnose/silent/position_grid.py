"""Finds positions that are the same for all tokens, or that follow the images of the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake

if TYPE_CHECKING:
    from vit_trace.mixing.measure import Measured


@silent_mistake("position-grid")
def position_grid(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A table of positions is added so that tokens do not differ by it: one position for all tokens, or one for each
    image of the batch; or the table was made for another grid with as many places, such as 16×16 for 8×32 patches;
    or relative positions share rows of a table.
    Example: pos_embed[:, :1], or pos_embed[:b] in place of pos_embed[:, :n]. It runs, but the model cannot tell where a
    token is.
    """
    from vit_trace.mixing.tables import other_grids

    measured = case().measured
    if measured is not None:
        yield from _measured(measured)
    for own in (one for one in case().samples() if one.own):
        for table in other_grids(trace, own):
            made_for, tokens = shape_text(table.made_for), shape_text(table.tokens)
            message = f"{table.stage.name} adds {table.name}, made for {made_for} positions, to {tokens} tokens"
            note = f"each feature of {table.name} follows the rows or the columns of {made_for} places"
            yield Mistake(message, table.stage.source, (note,))


def _measured(measured: Measured) -> Iterator[Mistake]:
    """What a small copy shows."""
    from vit_trace.mixing.sums import positions_of_masks, same_positions
    from vit_trace.mixing.tables import odd_offsets, turned_tables

    for event, name, what in (*same_positions(measured), *positions_of_masks(measured)):
        stage = measured.stage(event)
        given = " and ".join(shape_text(tensor.shape) for tensor in event.given[:2])
        note = f"in a small copy {stage.operation} gets {given}"
        yield Mistake(f"{stage.name} takes {what} of {name}", measured.source(event), (note,))
    for event, made_for, tokens in once_a_line(turned_tables(measured), lambda one: measured.stage(one[0])):
        note = f"in a small copy: {shape_text(tokens)} tokens, whose positions are those of {shape_text(made_for)}"
        what = f"{measured.stage(event).name} gets positions of columns for rows"
        yield Mistake(what, measured.source(event), (note,))
    for event, what in once_a_line(odd_offsets(measured), lambda one: measured.stage(one[0])):
        note = "in a small copy, by its index: row offset · (2·width - 1) + column offset has a row for each offset"
        yield Mistake(f"{measured.stage(event).name} {what}", measured.source(event), (note,))
