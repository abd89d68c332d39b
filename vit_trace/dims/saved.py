"""Reads a saved trace and examines what a file may hold and a trace may not: formulas, numbers, places. No torch."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vit_trace.base.trace import Line, Listed, Operand, Parameter, Source, Stage, TensorSpec, Trace, TraceFormatError
from vit_trace.dims.formula import LARGEST, FormulaError, parse, split_formulas, symbols_of

MAX_AXES = 64
"""Most axes of a tensor; torch has no more."""

MAX_DEPTH = 20
"""Most levels of lists and objects in a hyperparameter."""

MAX_SPAN = 1_000
"""Most lines of one span of source."""

_LONG = re.compile(rb"[:,\[\s]-?[0-9]{%d}" % len(str(LARGEST)))

Placed = tuple[str, Any]
"""Where a record stands in the document, and the record."""


def saved_trace(text: bytes) -> Trace:
    """The trace that a document holds. Raises TraceFormatError with the place of what cannot be."""
    trace = Trace.from_json(text)
    if _LONG.search(text):
        _require_numbers(trace, "trace")
    _require_sizes(trace)
    _require_formulas(trace)
    for place, value in trace.target.hyperparameters.items():
        _require_depth(value, f"target.hyperparameters.{place}")
    for place, line in _lines(trace.listing):
        if line.line < 1:
            raise TraceFormatError(f"{place} is line {line.line}")
    for place, span in _spans(trace):
        if not (0 < span.line <= span.end_line < span.line + MAX_SPAN and 0 <= span.column <= LARGEST):
            raise TraceFormatError(f"{place} spans the lines {span.line} to {span.end_line}")
    return trace


def _require_numbers(value: Any, place: str) -> None:
    """Raise TraceFormatError for a number that is above `LARGEST`, anywhere in the document."""
    if isinstance(value, int) and abs(value) > LARGEST:
        raise TraceFormatError(f"{place} is a number above 10^{len(str(LARGEST)) - 1}")
    fields = getattr(value, "__struct_fields__", None)
    inner: Iterable[tuple[str, Any]] = ()
    if fields is not None:
        inner = ((f"{place}.{name}", getattr(value, name)) for name in fields)
    elif isinstance(value, Mapping):
        inner = ((f"{place}.{name}", one) for name, one in value.items())
    elif isinstance(value, (list, tuple)):
        inner = ((f"{place}[{number}]", one) for number, one in enumerate(value))
    for where, one in inner:
        _require_numbers(one, where)


def _require_depth(value: Any, place: str, depth: int = MAX_DEPTH) -> None:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if inner and not depth:
        raise TraceFormatError(f"{place} is nested more than {MAX_DEPTH} levels deep")
    for one in inner:
        _require_depth(one, place, depth - 1)


def _require_sizes(trace: Trace) -> None:
    """Raise TraceFormatError for a tensor of too many axes or of a size below -1, which stands for an unknown one."""
    for place, one in _tensors(trace):
        if len(one.shape) > MAX_AXES or len(one.dims) != len(one.shape) or min(one.shape, default=0) < -1:
            raise TraceFormatError(f"{place} has {len(one.shape)} axes, {len(one.dims)} dims, sizes {one.shape[:8]}")
    failure = trace.failure
    if failure is not None and failure.stage is not None and not 0 <= failure.stage < len(trace.stages):
        raise TraceFormatError(f"failure.stage is {failure.stage}, there are {len(trace.stages)} stages")


def _require_formulas(trace: Trace) -> None:
    """Raise TraceFormatError for a text that is no formula of the trace's symbols."""
    known, seen = trace.symbols.keys(), set()
    for place, text in _formulas(trace):
        if text in seen:
            continue
        seen.add(text)
        try:
            unknown = symbols_of(parse(text)) - known
        except FormulaError as error:
            raise TraceFormatError(f"{place}: {error}") from None
        if unknown:
            raise TraceFormatError(f"{place}: {text} names {min(unknown)}, which is no symbol of the trace")
    _require_order({name: symbol.formula for name, symbol in trace.symbols.items() if symbol.formula is not None})


def _require_order(formulas: Mapping[str, str]) -> None:
    """Raise TraceFormatError for symbols that follow from each other in a circle."""
    waiting = {name: symbols_of(parse(text)) & formulas.keys() for name, text in formulas.items()}
    while waiting:
        ready = [name for name, needed in waiting.items() if not needed & waiting.keys()]
        if not ready:
            raise TraceFormatError(f"symbols.{min(waiting)} follows from itself: {formulas[min(waiting)]}")
        for name in ready:
            del waiting[name]


def _formulas(trace: Trace) -> Iterator[tuple[str, str]]:
    """Every formula with its place."""
    yield from ((f"symbols.{name}", one.formula) for name, one in trace.symbols.items() if one.formula is not None)
    for number, record in enumerate(trace.construction):
        yield from ((f"construction[{number}]", text) for text in split_formulas(record.formula or "") if text)
    for number, branch in enumerate(trace.branches):
        yield from ((f"branches[{number}]", text) for pair in branch.items() for text in pair)
    for number, whole in enumerate(trace.wholes):
        yield from ((f"wholes[{number}]", text) for text in (whole.top, whole.bottom))
    for place, tensor in _tensors(trace):
        yield from ((f"{place}.dims[{axis}]", dim) for axis, dim in enumerate(tensor.dims))
    for place, line in _lines(trace.listing):
        for note in line.notes:
            yield from ((place, text) for text in split_formulas(note.formula) if text)


def _tensors(trace: Trace) -> Iterator[tuple[str, TensorSpec | Parameter | Operand]]:
    """Every record with a shape and formulas, with its place."""
    stages: Sequence[Stage] = trace.stages
    for stage in stages:
        yield from _numbered(f"stages[{stage.index}].inputs", stage.inputs)
        yield from _numbered(f"stages[{stage.index}].outputs", stage.outputs)
    yield from _numbered("parameters", trace.parameters)
    yield from _numbered("outputs", trace.outputs)
    if trace.failure is not None:
        yield from _numbered("failure.operands", trace.failure.operands)
    for place, line in _lines(trace.listing):
        for note in line.notes:
            yield from _numbered(f"{place}.tensors", note.tensors)


def _lines(listing: Sequence[Listed]) -> Iterator[tuple[str, Line]]:
    for place, listed in _numbered("listing", listing):
        yield from _numbered(f"{place}.lines", listed.lines)


def _numbered(place: str, records: Sequence[Any]) -> Iterator[Placed]:
    return ((f"{place}[{number}]", record) for number, record in enumerate(records))


def _spans(trace: Trace) -> Iterator[tuple[str, Source]]:
    """Every span of source with its place."""
    for place, one in (*_numbered("stages", trace.stages), *_numbered("construction", trace.construction)):
        if one.source is not None:
            yield place, one.source
    failures = (trace.failure,) if trace.failure is not None else ()
    for place, one in (*_numbered("diagnostics", trace.diagnostics), *_numbered("failure", failures)):
        if one.span is not None:
            yield place, one.span
        yield from ((f"{place}.labels", label.span) for label in one.labels)
