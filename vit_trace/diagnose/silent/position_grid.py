"""Finds positions that are the same for all tokens, or that follow the images of the batch."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake


@silent_mistake("position-grid")
def position_grid(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A table of positions is added so that tokens do not differ by it: one position for all tokens, or one for each
    image of the batch; or the table was made for another grid with as many places, such as 16×16 for 8×32 patches;
    or relative positions share rows of a table.
    Example: pos_embed[:, :1], or pos_embed[:b] in place of pos_embed[:, :n]. It runs, but the model cannot tell where a
    token is.
    """
    from vit_trace.mixing.sums import same_positions
    from vit_trace.mixing.tables import odd_offsets, other_grids

    measured = case().measured
    for event, name, what in same_positions(measured) if measured is not None else ():
        assert measured is not None
        stage = measured.stage(event)
        one, two = (shape_text(tensor.shape) for tensor in event.given[:2])
        note = f"in a small copy {stage.operation} gets {one} and {two}"
        yield Mistake(f"{stage.name} takes {what} of {name}", stage.source, (note,))
    found = odd_offsets(measured) if measured is not None else ()
    odd = [(measured.stage(event), what) for event, what in found if measured is not None]
    for stage, what in once_a_line(odd, lambda pair: pair[0]):
        note = "in a small copy, by its index: row offset · (2·width - 1) + column offset has a row for each offset"
        yield Mistake(f"{stage.name} {what}", stage.source, (note,))
    for own in (one for one in case().samples() if one.own):
        for table in other_grids(trace, own):
            made_for, tokens = shape_text(table.made_for), shape_text(table.tokens)
            message = f"{table.stage.name} adds {table.name}, made for {made_for} positions, to {tokens} tokens"
            note = f"each feature of {table.name} follows the rows or the columns of {made_for} places"
            yield Mistake(message, table.stage.source, (note,))
