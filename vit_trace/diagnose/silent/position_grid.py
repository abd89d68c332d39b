"""Finds positions that are the same for all tokens, or that follow the images of the batch."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("position-grid")
def position_grid(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A table of positions is added so that tokens do not differ by it: one position for all tokens, or one for each
    image of the batch; or the table was made for another grid with as many places, such as 16×16 for 8×32 patches.
    Example: pos_embed[:, :1], or pos_embed[:b] in place of pos_embed[:, :n]. It runs, but the model cannot tell where a
    token is.
    """
    from vit_trace.mixing.sums import same_positions
    from vit_trace.mixing.tables import other_grids

    measured = case().measured
    for event, name, what in same_positions(measured) if measured is not None else ():
        assert measured is not None
        stage = measured.stage(event)
        one, two = (shape_text(tensor.shape) for tensor in event.given[:2])
        note = f"in a small copy {stage.operation} gets {one} and {two}"
        yield Mistake(f"{stage.name} takes {what} of {name}", stage.source, (note,))
    for own in (one for one in case().samples() if one.own):
        for table in other_grids(trace, own):
            made_for, tokens = shape_text(table.made_for), shape_text(table.tokens)
            message = f"{table.stage.name} adds {table.name}, made for {made_for} positions, to {tokens} tokens"
            note = f"each feature of {table.name} follows the rows or the columns of {made_for} places"
            yield Mistake(message, table.stage.source, (note,))
