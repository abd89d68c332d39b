"""Lays out what a diagnostic's code means: `vit-trace explain CODE`. Imports every room that registers codes."""

import re
from collections.abc import Iterator
from textwrap import fill, shorten

import vit_trace.codes.meanings
import vit_trace.diagnose.layout  # noqa: F401  # both register what their codes mean
from vit_trace.base.modules import import_all
from vit_trace.check import rules
from vit_trace.codes.registry import AREA_OF, MEANINGS, TITLES
from vit_trace.diagnose import causes, silent
from vit_trace.weights import causes as misfits

for package in (causes, silent, rules, misfits):
    import_all(package.__name__)

WIDTH = 100
"""Widest text, in columns, on a screen of any width."""

ALL = "codes"
"""The word that stands for every code."""


def explain_code(code: str, width: int = WIDTH, whole: bool = True) -> str:
    """A code's meaning in lines of `width`; empty for a word that is none.

    For `codes` the page of all in Markdown, which is docs/diagnostics.md; if not `whole`, a line for each.
    """
    if code == ALL:
        return _page() if whole else _lines(width)
    if code not in MEANINGS:
        return ""
    laid_out = (fill(text, min(width, WIDTH), break_on_hyphens=False) for text in _sentences(MEANINGS[code]))
    return "\n".join([code, *laid_out])


def _sentences(text: str) -> list[str]:
    """The text in pieces that each start a line; lines that continue a sentence are joined."""
    pieces: list[str] = []
    for line in text.splitlines():
        if pieces and not pieces[-1].endswith(".") and not (pieces[-1].startswith("Example") and line[0].isupper()):
            pieces[-1] += f" {line}"
        else:
            pieces.append(line)
    return pieces


def _by_area() -> Iterator[tuple[str, list[str]]]:
    """The title of each area, with its codes."""
    for area, title in TITLES.items():
        yield title, sorted(code for code, its_area in AREA_OF.items() if its_area == area)


def _lines(width: int) -> str:
    """A line for each code: the code, and as much of its first sentence as fits."""
    longest, lines = max(map(len, MEANINGS)), []
    for title, codes in _by_area():
        lines += ["", title]
        for code in codes:
            sentence = re.split(r"(?<=[^.]\.) (?=[A-Z])", _sentences(MEANINGS[code])[0])[0]
            room = min(width, WIDTH) - longest - 2
            lines.append(f"{code:{longest}}  {shorten(sentence, max(room, 12), placeholder=' …')}")
    return "\n".join(lines[1:])


def _page() -> str:
    """Every code with its meaning: docs/diagnostics.md."""
    parts = [
        "# Diagnostics",
        "Made by `vit-trace explain codes > docs/diagnostics.md`; `vit-trace explain CODE` shows one of them.",
    ]
    for title, codes in _by_area():
        parts.append(f"## {title}")
        parts += [f"### {code}\n\n{MEANINGS[code]}" for code in codes]
    return "\n\n".join(parts).replace("\nExample:", "\n\nExample:")
