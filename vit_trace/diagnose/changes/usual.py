"""Puts the changes that may help most causes in order: the input's layout first, parameters late."""

from collections.abc import Iterator

from vit_trace.diagnose.cause import Changes, Question
from vit_trace.diagnose.changes.inputs import expected_input, layouts, other_inputs, swapped_axes
from vit_trace.diagnose.changes.pads import padded_axes
from vit_trace.diagnose.changes.parameters import resized
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.changes.settings import (
    dividing_numbers,
    lengths_of_input,
    matching_hyperparameters,
    proportional,
    simple_fractions,
)
from vit_trace.diagnose.changes.solved import solved


def _line_edits(question: Question) -> Iterator[Fix]:
    """The edits of the failing line that the finder was registered with."""
    for edit in question.cause.edits:
        yield from edit(question)


def usual(
    layout: Changes = layouts,
    sizes: tuple[Changes, ...] = (),
    parameters: Changes = resized,
    last: tuple[Changes, ...] = (swapped_axes,),
) -> tuple[Changes, ...]:
    """The usual order; a cause names what it wants instead of a part of it.

    Args:
        layout: other orders or numbers of the input's axes.
        sizes: other sizes of the input, after the one that the model expects.
        parameters: parameters in another size.
        last: what is tried where nothing else worked.
    """
    return (
        layout,
        matching_hyperparameters,
        _line_edits,
        padded_axes,
        solved,
        dividing_numbers,
        expected_input,
        *sizes,
        other_inputs,
        lengths_of_input,
        proportional,
        simple_fractions,
        parameters,
        *last,
    )
