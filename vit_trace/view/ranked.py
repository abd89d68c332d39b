"""Sorts the steps of a trace by what they have: each once, under its whole name, with its share. No layout."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vit_trace.base.trace import Trace
from vit_trace.base.words import module_ranges, unnumbered
from vit_trace.view.fold import StageNode, tree
from vit_trace.view.outline import Outline, chosen, inclusive, operation, outline, says_nothing_new
from vit_trace.view.rows import Row
from vit_trace.view.screen import Screen

FIELDS = {"params": "parameters", "flops": "flops", "saved": "saved"}
"""Order -> the numbers of a row that it compares."""


def viewed_rows(trace: Trace, screen: Screen) -> Outline:
    """The rows of a table or tree: in the order of the forward, or sorted, or the first of either."""
    rows = outline(trace, screen.stage, screen.levels, screen.fold)
    rows = ranked(rows, screen.stage, screen.sort) if screen.sort else rows
    return first_rows(rows, screen.top) if screen.top else rows


def ranked(rows: Outline, stage: str | None, by: str) -> Outline:
    """An outline of the steps that have something, those first that have most; equal steps in equal modules once."""
    field, trace = FIELDS[by], rows.trace
    left = dict(trace.saved or {})
    whole = sum(left.values()) if by == "saved" else getattr(trace.totals, field)
    groups: dict[object, list[Row]] = {}
    for row in _steps(tree(trace) if stage is None else chosen(trace, stage), left):
        if getattr(row, field) > 0:
            same = (re.sub(r"\d+", "*", row.label), row.operation, row.parameters, row.flops, row.saved, row.shapes)
            groups.setdefault(same, []).append(row)
    found = sorted(map(_together, groups.values()), key=lambda row: -getattr(row, field))
    return replace(rows, rows=tuple(replace(row, share=(getattr(row, field), whole)) for row in found))


def first_rows(found: Outline, top: int) -> Outline:
    """The outline with its first rows; of sorted ones, with their sums."""
    rows = found.rows[:top]
    if not any(row.share[1] for row in rows):
        return replace(found, rows=rows)
    sums = sum(row.parameters for row in rows), sum(row.flops for row in rows)
    return replace(found, rows=rows, partial=True, parameters=sums[0], flops=sums[1])


def _steps(nodes: Sequence[StageNode], saved: dict[str, int]) -> Iterator[Row]:
    """Each step that is not a heading, and a heading for what it holds itself; takes from `saved` what it says."""
    for node in nodes:
        stage = node.stage
        leaf = not node.children or says_nothing_new(node)
        parameters, flops = inclusive(node) if leaf else (stage.parameters, stage.flops)
        row = Row(0, unnumbered(stage.name), operation(stage), stage.outputs, stage.inputs, 1, parameters, flops)
        kept = saved.pop(stage.module, 0) if stage.kind == "module" else 0
        yield replace(row, source=stage.source, stage=stage.index, mixes=stage.mixes or (), saved=kept)
        if not leaf:
            yield from _steps(node.children, saved)


def _together(rows: list[Row]) -> Row:
    """Equal steps as one row: blocks.0…11.mlp.fc1."""
    label, count = module_ranges([row.label for row in rows]), len(rows)
    one = replace(rows[0], label=label, repeats=count)
    return replace(one, parameters=count * one.parameters, flops=count * one.flops, saved=count * one.saved)
