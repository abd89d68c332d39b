"""Explains NumPy's refusal of arrays, in an augmentation or a loader: the arrays of the line, with their shapes."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping

from vit_trace.base.trace import Diagnostic, Label, Source
from vit_trace.base.words import shape_text
from vit_trace.record.raised.crash import Crash
from vit_trace.record.raised.expressions import parsed
from vit_trace.record.source import frames
from vit_trace.scripts.slices import Scope

REFUSED = re.compile(
    r"could not be broadcast|could not broadcast|cannot reshape array|core dimension|must have the same shape"
    r"|concatenation axis must match|same number of dimensions|not aligned|did not match indexed array"
)
"""What NumPy says of shapes."""

MOVES = ((1, 2, 0), (2, 0, 1))
"""Orders of the axes that move the channels to the end, or to the front."""

CODE = "array-shapes"
Shape = tuple[int, ...]


def of_arrays(crash: Crash) -> Diagnostic | None:
    """The arrays of a line that NumPy refused; None where it is another failure."""
    numpy, said = sys.modules.get("numpy"), " ".join(str(crash.error).split())
    if numpy is None or not isinstance(crash.error, (ValueError, IndexError)) or not REFUSED.search(said):
        return None
    home = os.path.dirname(str(numpy.__file__))
    own = next(
        ((frame, at) for frame, at in reversed(crash.own) if not frame.f_code.co_filename.startswith(home)), None
    )
    span = frames.span(own[0].f_code, own[1]) if own is not None else None
    held = dict(_arrays(Scope(own[0]), span, numpy.ndarray)) if own is not None and span is not None else {}
    if not held or span is None:
        return None
    shapes = " and ".join(f"{name} {shape_text(shape)}" for name, shape in [*held.items()][:3])
    why = said.partition("(")[0].partition(", but")[0].strip().removesuffix(" with shapes").removesuffix(" together")
    message = f"NumPy refuses {shapes}: {why}"
    help = tuple(_turned(held)) if "broadcast" in said else ()
    labels = tuple(_labels(held, span))
    return Diagnostic(CODE, "error", message, span, (crash.quoted,), help, labels)


def _arrays(scope: Scope, span: Source, kind: type) -> Iterator[tuple[str, Shape]]:
    """(expression, shape) of each array that the line names."""
    node = parsed(span)
    for one in ast.walk(node) if node is not None else ():
        value = scope.value(one) if isinstance(one, (ast.Name, ast.Attribute, ast.Subscript)) else None
        several = value if isinstance(value, (list, tuple)) else [value]
        for place, array in enumerate(several[:4]):
            if isinstance(array, kind):
                name = ast.unparse(one)
                yield (name if array is value else f"{name}[{place}]"), tuple(array.shape)  # type: ignore[attr-defined]


def _turned(held: Mapping[str, Shape]) -> Iterator[str]:
    """The second image with its channels where the first has them."""
    if len(held) != 2:
        return
    (one, first), (two, second) = held.items()
    for axes in MOVES if len(second) == 3 else ():
        if tuple(second[axis] for axis in axes) == first != second:
            text = f"{two}.transpose({', '.join(map(str, axes))})"
            yield f"{text} has the axes of {one} {shape_text(first)}: the channels of one come last, of the other first"


def _labels(held: Mapping[str, Shape], span: Source) -> Iterator[Label]:
    for name, shape in held.items():
        start = span.text.find(name)
        if span.line == span.end_line and start >= 0:
            columns = span.column + start, span.column + start + len(name)
            yield Label(Source(span.file, span.line, span.line, *columns, name), shape_text(shape))
