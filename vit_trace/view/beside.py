"""Puts traces of one model at several values side by side: their rows, and in numbers what differs. No layout."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

from vit_trace.base.trace import Trace
from vit_trace.base.words import bytes_text, flops_text, shape_text
from vit_trace.dims.values import UNKNOWN
from vit_trace.view.outline import outline
from vit_trace.view.rows import Row
from vit_trace.view.screen import Screen
from vit_trace.view.summary import batch_of


class Labelled(NamedTuple):
    """A trace and the values that it is at: image_size=384."""

    label: str
    trace: Trace


class Difference(NamedTuple):
    """One quantity in each of the traces, and how many times the first the last one is."""

    name: str
    values: tuple[str, ...]
    ratio: str = ""


def rows_beside(traces: Sequence[Labelled], screen: Screen) -> list[tuple[Row, ...]]:
    """For each row of the first trace, the rows of the same stage in all of them; rows without a shape stay alone."""
    first, *others = (outline(one.trace, screen.stage, screen.levels, screen.fold).rows for one in traces)
    found = [{row.stage: row for row in rows if row.stage is not None} for rows in others]
    beside = []
    for row in first[: screen.top]:
        alone = row.stage is None or row.heading or not row.shapes
        beside.append((row, *(rows[row.stage] for rows in found if not alone and row.stage in rows)))
    return beside


def differences(traces: Sequence[Labelled]) -> Iterator[Difference]:
    """Symbols, parameters and totals that are not the same in all traces."""
    first = traces[0].trace
    for name in first.symbols:
        values = [one.trace.symbols[name].value for one in traces]
        yield from _differing(name, values, list(map(str, values)))
    for place, parameter in enumerate(first.parameters):
        shapes = [one.trace.parameters[place].shape for one in traces]
        if len(set(shapes)) > 1 and "." not in parameter.name:
            told = tuple(shape_text(shape) if UNKNOWN not in shape else "?" for shape in shapes)
            yield Difference(parameter.name, told, _ratio(*(prod(shapes[place]) for place in (0, -1))))
    totals = [one.trace.totals for one in traces]
    if {one.bound for one in totals} == {"exact"}:
        counts = [one.parameters for one in totals]
        yield from _differing("parameters", counts, [f"{count:,}" for count in counts])
        sizes = [one.parameter_bytes for one in totals]
        yield from _differing("bytes of parameters", sizes, list(map(bytes_text, sizes))) if all(sizes) else ()
    flops = [one.flops for one in totals]
    if all(flops):
        texts = [flops_text(one.totals.flops, batch_of(one)).split(", batch")[0] for _, one in traces]
        yield from _differing("FLOPs", flops, texts)


def _differing(name: str, values: Sequence[int], texts: Sequence[str]) -> Iterator[Difference]:
    if len(set(values)) > 1:
        yield Difference(name, tuple(texts), _ratio(values[0], values[-1]))


def _ratio(first: int, last: int) -> str:
    """×2.25; "" where one is not known, or both are nearly the same."""
    text = f"×{last / first:.3g}" if first > 0 and last > 0 else ""
    return "" if text == "×1" else text
