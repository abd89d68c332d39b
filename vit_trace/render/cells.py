"""Makes the cells of a row: label, shape with what changed, formula, numbers. Table and tree share them."""

import os
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from vit_trace.base.trace import Source, TensorSpec, Trace
from vit_trace.base.words import bytes_text, compact, shape_text
from vit_trace.dims.formula import on_screen
from vit_trace.render import theme
from vit_trace.render.legible import printable
from vit_trace.view.rows import Row
from vit_trace.view.summary import title


def borderless(indent: int = 0) -> Table:
    """A table without lines or header, two blanks between its columns."""
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, indent))


def label_cell(row: Row) -> Text:
    """The stage's name, and how many equal blocks it stands for."""
    text = Text("  " * row.level)
    text.append(printable(row.label) or "(root)", theme.HEADING if row.heading else "")
    text.append("" if row.share[1] else row.times, theme.FOLDED)
    if row.failed:
        text.append(" ✗", theme.FAILED)
    return text


def operation_cell(row: Row) -> Text:
    return Text(printable(row.operation), theme.QUIET if row.heading else "")


def _new_axes(spec: TensorSpec, before: TensorSpec | None) -> list[bool]:
    """For each axis of a shape, whether its size or formula differs from the shape above it."""
    if before is None:
        return [False] * len(spec.shape)
    new, old = (list(zip(one.shape, one.dims, strict=True)) for one in (spec, before))
    if len(new) == len(old):
        return [one != two for one, two in zip(new, old, strict=True)]
    flags = [True] * len(new)
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        flags[block.b : block.b + block.size] = [False] * block.size
    return flags


def marked(parts: Sequence[str], new: Sequence[bool], separator: str) -> Text:
    """The parts with a separator; new ones stand out."""
    text = Text()
    for place, (part, is_new) in enumerate(zip(parts, new, strict=True)):
        text.append(separator if place else "", theme.SAME)
        text.append(part, theme.CHANGED if is_new else theme.SAME)
    return text


def shape_cell(spec: TensorSpec, before: TensorSpec | None) -> Text:
    """5×65×1024."""
    if not spec.shape:
        return Text("scalar", theme.SAME)
    return marked([shape_text((size,)) for size in spec.shape], _new_axes(spec, before), "×")


def formula_cell(spec: TensorSpec, before: TensorSpec | None) -> Text:
    """b × n+1 × dim; empty where no axis has a formula."""
    if not has_formula(spec):
        return Text("")
    return marked([on_screen(dim) for dim in spec.dims], _new_axes(spec, before), " × ")


def has_formula(spec: TensorSpec) -> bool:
    return any(dim != str(size) for size, dim in zip(spec.shape, spec.dims, strict=True))


def tensor_cells(row: Row, before: TensorSpec | None) -> tuple[list[Text], list[Text]]:
    """The shapes of a stage's tensors and their formulas, line by line; equal neighbours together with their number."""
    shapes, formulas = [], []
    for _, run in groupby(row.shapes, lambda spec: (spec.shape, spec.dims)):
        *others, spec = run
        count = Text().append(f"{len(others) + 1} of " if others else "", theme.SAME)
        shapes.append(count.append_text(shape_cell(spec, before)))
        formulas.append(formula_cell(spec, before))
    return shapes or [Text("")], formulas or [Text("")]


def per_block(count: int, row: Row, batch: int = 1) -> str:
    """A count to three digits, per image; for equal blocks 6× 8.40 M; empty for zero, ? for an unknown count."""
    if count <= 0:
        return "?" if count else ""
    each = compact(count // row.repeats // batch)
    return f"{row.repeats}× {each}" if row.repeats > 1 else each


def bytes_per_block(row: Row) -> str:
    """Saved bytes; for equal blocks 12× 1.7 MiB."""
    each = bytes_text(row.saved // row.repeats) if row.saved else ""
    return f"{row.repeats}× {each}" if each and row.repeats > 1 else each


def source_cell(source: Source | None) -> Text:
    """vit.py:116"""
    return Text(f"{os.path.basename(source.file)}:{source.line}" if source else "", theme.SAME)


def title_text(trace: Trace, width: int) -> Text:
    """The class and its hyperparameters, broken only between phrases."""
    phrases = list(map(printable, title(trace)))
    text = joined_phrases(phrases, width)
    text.stylize(theme.TITLE, 0, len(phrases[0]))
    return text


def joined_phrases(phrases: Sequence[str], width: int, separator: str = " · ", lead: str = "") -> Text:
    """The phrases on as few lines as possible behind a lead, broken only between phrases."""
    lines: list[str] = []
    for phrase in map(printable, phrases):
        if lines and cell_len(lines[-1]) + cell_len(phrase) + len(separator) <= width:
            lines[-1] += f"{separator}{phrase}"
        else:
            lines.append((" " * len(lead) if lines else lead) + phrase)
    return Text("\n".join(lines))
