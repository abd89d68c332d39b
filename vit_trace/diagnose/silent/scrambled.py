"""Finds rows that a layer reads and that are made of pieces of several tokens, heads or pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.causes.beside_grid import grid_alone
from vit_trace.diagnose.changes.orders import other_orders
from vit_trace.diagnose.grids import swallowed
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake

if TYPE_CHECKING:
    from vit_trace.mixing.measure import Measured


@silent_mistake("scrambled")
def scrambled(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A reshape puts pieces of several tokens, heads or pixels into one row, and a layer reads it as one row.
    Examples: no transpose before heads are merged; patches cut from an image by a plain reshape; windows put together
    in another order than they were cut. The sizes are right, and the values are at wrong places. Found in a small copy,
    by following the coordinates of all values, and by asking what a token depends on where it is added to itself.
    """
    pairs = zip(swallowed(trace), grid_alone(trace), strict=False)
    for taken, change in once_a_line(pairs, lambda pair: pair[0].stage):
        yield Mistake(taken.said, taken.stage.source, (), (change,))
    measured = case().measured
    if measured is not None:
        rows = [*_rows(measured)]
        yield from rows or _moved(measured)


def _rows(measured: Measured) -> Iterator[Mistake]:
    """Rows that a layer reads, and that are made of pieces of several."""
    from vit_trace.mixing.coordinates import SUMS

    stages, found = measured.trace.stages, measured.usual.watched.coordinates.found
    for one in once_a_line(found, lambda rows: measured.own(stages[rows.mover])):
        reader, mover = measured.own(stages[one.step]), measured.own(stages[one.mover])
        made = stages[one.maker].name if one.maker is not None else "the table" if one.reader in SUMS else "the input"
        what = "pixels that lie apart" if one.apart else f"pieces of rows of {made} ({shape_text(one.made)})"
        note = f"in a small copy: {reader.name} reads {shape_text(one.shape)}, "
        note += f"and {one.share:.0%} of its rows are made of {what}"
        if one.turner is not None and not one.apart:
            mover = measured.own(stages[one.turner])
        message = f"{mover.name} scrambles {made}: {reader.name} reads rows that are made of pieces"
        if not one.share:
            note = f"in a small copy: {shape_text(one.made)} became {shape_text(one.shape)}"
            message = f"{mover.name} puts rows and columns of {made} on one axis: {reader.name} takes them for one"
        yield Mistake(message, mover.source, (note,), other_orders(measured, stages[one.mover]))


def _moved(measured: Measured) -> Iterator[Mistake]:
    """Values that were cut and joined otherwise, patches in another order, tokens at other places."""
    from vit_trace.mixing.aligned import displaced, other_pieces, otherwise_restored
    from vit_trace.mixing.attention import of_one_token

    stages, again = measured.trace.stages, measured.usual.watched.coordinates.joined
    for cut, join in once_a_line(again, lambda pair: measured.own(stages[pair[1]])):
        first, then = measured.own(stages[cut]), measured.own(stages[join])
        note = "a cut that is joined otherwise leaves the values in their order: a permute is missing between"
        yield Mistake(f"{then.name} joins what {first.name} has cut, in other pieces", then.source, (note,))
    for lookup in once_a_line(otherwise_restored(measured), measured.stage):
        note = "in a small copy: what was taken from a place is not put there again; argsort of an order undoes it"
        what = f"{measured.stage(lookup).name} puts tokens back in another order than they were taken in"
        yield Mistake(what, measured.source(lookup), (note,))
    if (turn := other_pieces(measured)) is not None:
        stage = measured.stage(turn)
        note = "in a small copy: the same values, put together as the output is, are not the input"
        yield Mistake(f"{stage.name} orders patches unlike the rest of the forward", measured.source(turn), (note,))
    for total, last in displaced(measured) if not again and not any(of_one_token(measured)) else ():
        stage, mover = measured.stage(total), measured.stage(last)
        note = f"in a small copy: {stage.name} adds to a token what was made of other tokens"
        yield Mistake(f"{mover.name} puts tokens at other places than they came from", measured.source(last), (note,))
