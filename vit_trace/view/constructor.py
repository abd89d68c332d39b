"""Tells what the constructors of a model worked out: as rows, or as the short block below a trace. No layout."""

import re
from collections.abc import Sequence
from math import prod

from vit_trace.base.trace import Construction, Parameter, Source, TensorSpec, Trace
from vit_trace.base.words import compact, name_range, shape_text
from vit_trace.dims.formula import on_screen, split_formulas
from vit_trace.dims.values import UNKNOWN
from vit_trace.view.rows import Row

MANY_QUANTITIES = 8
"""Above this many quantities, the short block has only those of the root module."""


def construction_rows(trace: Trace) -> tuple[Row, ...]:
    """What the constructors computed, then the parameters of the root module itself."""
    rows = [_construction_row(records) for records in _distinct(trace.construction)]
    for parameter in _own_parameters(trace):
        tensor = TensorSpec("", parameter.shape, parameter.dims, parameter.dtype)
        rows.append(Row(0, parameter.name, "parameter", (tensor,), parameters=_values_of(parameter)))
    return tuple(rows)


def construction_phrases(trace: Trace) -> list[str]:
    """The same in a few phrases, without what the legend of symbols says: patch_dim = c·p1·p2 = 3072."""
    groups = [records for records in _distinct(trace.construction) if not _says_legend(records[0], trace)]
    shown = groups if len(groups) <= MANY_QUANTITIES else [one for one in groups if not one[0].module]
    phrases = []
    for row in map(_construction_row, shown):
        formula = f" = {on_screen(row.formula)} =" if row.formula else " ="
        phrases.append(f"{row.label}{formula} {row.value}")
    for parameter in _own_parameters(trace):
        count = _values_of(parameter)
        held = f" ({compact(count)})" if count > 0 and len(parameter.shape) > 1 else ""
        phrases.append(f"{parameter.name} {shape_text(parameter.shape)}{held}")
    if len(shown) < len(groups):
        phrases.append(f"{len(groups) - len(shown)} more with --constructor")
    return list(dict.fromkeys(phrases))


def _says_legend(record: Construction, trace: Trace) -> bool:
    """Whether a quantity is a symbol under another name: num_features is dim."""
    return record.formula is not None and set(split_formulas(record.formula)) <= trace.symbols.keys()


def _own_parameters(trace: Trace) -> list[Parameter]:
    return [one for one in trace.parameters if "." not in one.name]


def _values_of(parameter: Parameter) -> int:
    return UNKNOWN if UNKNOWN in parameter.shape else prod(parameter.shape)


def _construction_row(records: list[Construction]) -> Row:
    """The quantities that one line of source bound, in one or more equal modules."""
    first, last = records[0], records[-1]
    bound = [record for record in records if record.module == first.module]
    return Row(
        0,
        ", ".join(record.name for record in bound),
        name_range(first.module, last.module),
        value=", ".join(_value_text(record.value) for record in bound),
        formula=", ".join(record.formula for record in bound if record.formula and not record.formula.isdigit()),
        source=first.source,
    )


def _distinct(construction: Sequence[Construction]) -> list[list[Construction]]:
    """The records in groups: those of one source line, and of equal lines in equal modules, together."""
    lines: dict[tuple[str, Source | None, str], list[Construction]] = {}
    for record in construction:
        name = "" if record.source and len(record.source.text) < 100 and "," in record.source.text else record.name
        lines.setdefault((record.module, record.source, name), []).append(record)
    groups: dict[object, list[Construction]] = {}
    for (module, source, name), records in lines.items():
        values = tuple((record.name, record.value, record.formula) for record in records)
        groups.setdefault((re.sub(r"\d+", "*", module), source, name, values), []).extend(records)
    return list(groups.values())


def _value_text(value: float | int | tuple[int, ...]) -> str:
    """A constructed value; ? for an unknown one."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "?" if value == UNKNOWN else f"{value:.6g}" if isinstance(value, float) else str(value)
