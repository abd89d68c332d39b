"""Puts traces side by side: of one model at several values, or of two models; and says what differs. No layout."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from math import prod
from typing import NamedTuple

from vit_trace.base.trace import Trace
from vit_trace.base.words import bytes_text, flops_text, shape_text
from vit_trace.dims.values import UNKNOWN, knob_of
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


def of_one_model(traces: Sequence[Labelled]) -> bool:
    """Whether the traces have the same stages in one order."""
    return len({tuple((one.name, one.operation) for one in each.trace.stages) for each in traces}) == 1


def differences(traces: Sequence[Labelled]) -> Iterator[Difference]:
    """Hyperparameters, symbols, parameters, totals and stages that are not the same in all traces."""
    held = [one.trace.target.hyperparameters for one in traces]
    told = [name for name in held[0] if len({one.trace.target.spec for one in traces}) > 1 and name in held[-1]]
    yield from _named_differing([{name: _said(one[name]) for name in told} for one in held])
    symbols = [each.trace.symbols.items() for each in traces]
    yield from _named_differing(
        [{name: str(one.value) for name, one in each if knob_of(one) not in told} for each in symbols]
    )
    shapes = [{one.name: one.shape for one in each.trace.parameters if "." not in one.name} for each in traces]
    yield from _named_differing(
        [{name: shape_text(shape) if UNKNOWN not in shape else "?" for name, shape in one.items()} for one in shapes]
    )
    totals = [one.trace.totals for one in traces]
    if {one.bound for one in totals} == {"exact"}:
        counts = [one.parameters for one in totals]
        yield from _differing("parameters", counts, [f"{count:,}" for count in counts])
        sizes = [one.parameter_bytes for one in totals]
        yield from _differing("bytes of parameters", sizes, list(map(bytes_text, sizes))) if all(sizes) else ()
    flops = [one.flops for one in totals]
    if all(flops):
        texts = [flops_text(one.totals.flops, batch_of(one)).split(", batch")[0] for _, one in traces]
        each = " per image" if all(text.endswith(" per image") for text in texts) else ""
        counts = [one.totals.flops // (batch_of(one) or 1 if each else 1) for _, one in traces]
        yield from _differing(f"FLOPs{each}", counts, [text.removesuffix(each) for text in texts])
    kept = [sum((one.trace.saved or {}).values()) for one in traces]
    yield from _differing("saved activations", kept, list(map(bytes_text, kept))) if all(kept) else ()
    if not of_one_model(traces):
        yield from _steps_apart(traces)


def _steps_apart(traces: Sequence[Labelled]) -> Iterator[Difference]:
    """The steps that only one of two models has, or whose shapes change otherwise than those of a step before."""
    first, second = ([row for row in outline(one.trace, sized=False).rows if row.node is not None] for one in traces)
    does, others = ([row.operation for row in rows] for rows in (first, second))
    seen: set[tuple[str, str]] = set()
    for tag, *ends in SequenceMatcher(None, does, others, autojunk=False).get_opcodes():
        mine, theirs = first[ends[0] : ends[1]], second[ends[2] : ends[3]]
        if tag != "equal":
            yield from (Difference(_stage_name(row), (_made(row), "")) for row in mine)
            yield from (Difference(_stage_name(row), ("", _made(row))) for row in theirs)
            continue
        for one, other in zip(mine, theirs, strict=True):
            changes = _changes(one, other)
            if not changes <= seen:
                yield Difference(_stage_name(one), (_made(one), _made(other)))
            seen |= changes


def _changes(one: Row, other: Row) -> set[tuple[str, str]]:
    """The sizes of a step that another has otherwise, by their formulas."""
    dims, others = (" × ".join(dim for spec in row.shapes for dim in spec.dims).split(" × ") for row in (one, other))
    if len(dims) != len(others):
        return {(" × ".join(dims), " × ".join(others))}
    return {pair for pair in zip(dims, others, strict=True) if pair[0] != pair[1]}


def _stage_name(row: Row) -> str:
    """The whole name of a stage, or of the blocks that a row stands for."""
    stage = row.node.stage if row.node is not None else None
    named = stage is not None and row.repeats == 1 and stage.name
    return (named or row.label or "(root)") + row.times


def _made(row: Row) -> str:
    """What a step does, and makes."""
    return " ".join((row.operation, *dict.fromkeys(shape_text(one.shape) for one in row.shapes))).strip()


def _named_differing(values: Sequence[Mapping[str, str]]) -> Iterator[Difference]:
    """What has not the same value in all."""
    for name in dict.fromkeys(name for one in values for name in one):
        texts = [one.get(name, "") for one in values]
        sizes = [text.split("×") for text in (texts[0], texts[-1])]
        numbers = [prod(map(int, one)) if all(map(str.isdecimal, one)) else 0 for one in sizes]
        if len(set(texts)) > 1:
            yield Difference(name, tuple(texts), _ratio(*numbers))


def _said(value: object) -> str:
    return "×".join(map(str, value)) if isinstance(value, list) else str(value)


def _differing(name: str, values: Sequence[int], texts: Sequence[str]) -> Iterator[Difference]:
    if len(set(values)) > 1:
        yield Difference(name, tuple(texts), _ratio(values[0], values[-1]))


def _ratio(first: int, last: int) -> str:
    """×2.25; "" where one is not known, or both are nearly the same."""
    text = f"×{last / first:.3g}" if first > 0 and last > 0 else ""
    return "" if text == "×1" else text
