"""Pieces of a row as text: label, shape with what changed, formula, numbers. Shared by table and tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import SequenceMatcher

from rich.text import Text

from vit_trace.base.trace import Source, TensorSpec, Trace
from vit_trace.base.words import compact
from vit_trace.dims.formula import on_screen as formula_on_screen
from vit_trace.dims.values import used
from vit_trace.render import theme
from vit_trace.view.outline import Outline, Row


def printable(text: str) -> str:
    """The text with control characters shown instead of sent to the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def label(row: Row) -> Text:
    """The stage's name, and how many equal blocks it stands for."""
    text = Text("  " * row.level)
    text.append(printable(row.label) or "(root)", theme.HEADING if row.heading else "")
    if row.repeats > 1 and "," not in row.label:
        text.append(f" ×{row.repeats}", theme.FOLDED)
    if row.failed:
        text.append(" ✗", theme.FAILED)
    return text


def operation(row: Row) -> Text:
    return Text(printable(row.operation), theme.QUIET if row.heading else "")


def axes(spec: TensorSpec) -> list[tuple[int, str]]:
    """Size and formula of each axis: two axes are the same when both are."""
    return list(zip(spec.shape, spec.dims, strict=True))


def changed(spec: TensorSpec, before: TensorSpec | None) -> list[bool]:
    """For each axis of a shape whether it is new against the shape above it."""
    if before is None:
        return [False] * len(spec.shape)
    new, old = axes(spec), axes(before)
    if len(new) == len(old):
        return [one != two for one, two in zip(new, old, strict=True)]
    flags = [True] * len(new)
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        flags[block.b : block.b + block.size] = [False] * block.size
    return flags


def joined(parts: Sequence[str], flags: Sequence[bool], separator: str) -> Text:
    """The parts with a separator; what changed stands out."""
    text = Text()
    for place, (part, flag) in enumerate(zip(parts, flags, strict=True)):
        if place:
            text.append(separator, theme.SAME)
        text.append(part, theme.CHANGED if flag else theme.SAME)
    return text


def shape(spec: TensorSpec, before: TensorSpec | None) -> Text:
    """5×65×1024."""
    if not spec.shape:
        return Text("scalar", theme.SAME)
    return joined([str(size) if size >= 0 else "?" for size in spec.shape], changed(spec, before), "×")


def formula(spec: TensorSpec, before: TensorSpec | None) -> Text:
    """b × n+1 × dim; empty where no axis has a formula."""
    if not has_formula(spec):
        return Text("")
    return joined([on_screen(dim) for dim in spec.dims], changed(spec, before), " × ")


def has_formula(spec: TensorSpec) -> bool:
    return any(dim != str(size) for size, dim in zip(spec.shape, spec.dims, strict=True))


def on_screen(dim: str) -> str:
    """A formula as people write it: 3·heads·dim_head, n+1."""
    return formula_on_screen(dim)


def shapes(row: Row, before: TensorSpec | None) -> Text:
    """All shapes a stage gives: equal ones once with how many there are, others a line each."""
    return alike(row.shapes, lambda spec: shape(spec, before), counted=True)


def formulas(row: Row, before: TensorSpec | None) -> Text:
    return alike(row.shapes, lambda spec: formula(spec, before), counted=False)


def alike(specs: Sequence[TensorSpec], show, counted: bool) -> Text:  # type: ignore[no-untyped-def]
    """One line per run of equal shapes."""
    runs: list[tuple[TensorSpec, int]] = []
    for spec in specs:
        if runs and (runs[-1][0].shape, runs[-1][0].dims) == (spec.shape, spec.dims):
            runs[-1] = (spec, runs[-1][1] + 1)
        else:
            runs.append((spec, 1))
    lines = []
    for spec, count in runs:
        line = Text(f"{count} of " if counted and count > 1 else "", theme.SAME)
        lines.append(line.append_text(show(spec)))
    return Text("\n").join(lines)


def number(count: int) -> str:
    """A count in three digits, nothing for none."""
    return compact(count) if count else ""


def per_block(count: int, row: Row) -> str:
    """A count; for equal blocks how many times what."""
    if not count:
        return ""
    return f"{row.repeats}× {compact(count // row.repeats)}" if row.repeats > 1 else compact(count)


def place(source: Source | None) -> str:
    """vit.py:116"""
    return f"{os.path.basename(source.file)}:{source.line}" if source else ""


def title(outline: Outline, width: int) -> Text:
    """The class and its hyperparameters, broken only between phrases."""
    name, *phrases = outline.title
    text = closing([printable(name), *map(printable, phrases)], width)
    text.stylize(theme.TITLE, 0, len(printable(name)))
    return text


def legend(trace: Trace) -> list[str]:
    """The symbols that formulas of the trace use, with their values: n = h·w = 64."""
    names = used(trace)
    return [
        f"{name} = {on_screen(symbol.formula)} = {symbol.value}" if symbol.formula else f"{name} {symbol.value}"
        for name, symbol in trace.symbols.items()
        if name in names
    ]


def closing(phrases: Sequence[str], width: int, separator: str = " · ") -> Text:
    """The phrases on as few lines as they need, broken only between phrases."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + len(phrase) + len(separator) <= width:
            lines[-1] += f"{separator}{phrase}"
        else:
            lines.append(phrase)
    return Text("\n".join(lines))
