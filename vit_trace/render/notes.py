"""Writes the notes beside a source line: `q, k, v 5×16×65×64  b × heads × n+1 × dim_head`."""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from vit_trace.base.trace import Line, Listed, Note, TensorSpec
from vit_trace.base.words import module_ranges, shape_text
from vit_trace.dims.formula import on_screen, split_formulas
from vit_trace.render.cells import has_formula
from vit_trace.render.legible import printable


class Words(NamedTuple):
    """A note in pieces: the name, its shapes or value, their formula, further remarks."""

    name: str
    shape: str
    formula: str
    more: str = ""

    def __str__(self) -> str:
        return "  ".join(filter(None, (" ".join(filter(None, self[:2])), self.formula, self.more)))


LEADS = {"return": "returns", "yield": "yields", "raise": "✗ raises", "branch": "took"}


def note_words(note: Note, modules: Sequence[str] = ()) -> Words:
    """The note in pieces; `modules` are all modules that the function ran in."""
    lead = " ".join(filter(None, ("→" if note.follows else "", LEADS.get(note.kind, ""))))
    name = " ".join(filter(None, (lead, printable(note.name))))
    shape, formula = tensors(note.tensors)
    if note.value:
        shape, formula = note.value, ", ".join(map(on_screen, split_formulas(note.formula)))
    if formula.replace(" ", "") == re.sub(r"[ ()]", "", shape):
        formula = ""
    times = f"×{note.times}" if note.times > 1 else ""
    where = f"in {module_ranges(telling(note.modules, modules))}" if note.modules else ""
    return Words(name, shape, formula, "  ".join(filter(None, (times, where))))


def line_words(line: Line, modules: Sequence[str] = ()) -> list[Words]:
    """The notes of a line in pieces; what it mixes stands behind the last."""
    found = [note_words(note, modules) for note in line.notes]
    if line.mixes:
        *found, last = found or [Words("", "", "")]
        found.append(last._replace(more="  ".join(filter(None, (last.more, f"mixes {', '.join(line.mixes)}")))))
    return found


def tensors(specs: Sequence[TensorSpec]) -> tuple[str, str]:
    """(shapes, formulas) of tensors; equal neighbours together, with their number."""
    runs = [(spec, len(list(run))) for spec, run in groupby(specs)]
    shapes = [
        f"{spec.path} {f'{count} of ' if count > 1 else ''}{shape_text(spec.shape)}".lstrip() for spec, count in runs
    ]
    formulas = [" × ".join(map(on_screen, spec.dims)) for spec, _ in runs if has_formula(spec)]
    return ", ".join(shapes), ", ".join(dict.fromkeys(formulas))


def telling(some: Sequence[str], modules: Sequence[str]) -> Sequence[str]:
    """The shortest prefixes that distinguish the paths from all others: layers.0 for layers.0.blocks.0.attn."""
    split = [module.split(".") for module in some]
    others = [module.split(".") for module in modules if module not in some]
    for length in range(1, max(map(len, split), default=0)):
        starts = {tuple(parts[:length]) for parts in split}
        if others and not starts & {tuple(parts[:length]) for parts in others}:
            return list(dict.fromkeys(".".join(parts[:length]) for parts in split))
    return some


def shown_lines(listed: Listed, ran_only: bool) -> list[Line]:
    """The lines of a function to show; without idle lines, no two blank ones in a row."""
    lines: list[Line] = []
    for line in listed.lines:
        if not ran_only or (line.ran and (line.text.strip() or line.notes or (lines and lines[-1].text.strip()))):
            lines.append(line)
    return lines
