"""Lays out a diagnostic: headline, place, the line with carets under the span, notes, help; escapes control codes."""

import linecache
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vit_trace.base.trace import Diagnostic, Label, Source
from vit_trace.config.files import may_show
from vit_trace.render.console import FittingConsole
from vit_trace.render.legible import printable
from vit_trace.render.places import COMMAND_LINE, near_here

STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
GUTTER_STYLE = "dim"
HELP_STYLE = "cyan"
TAB = "    "

PLACE = "-->"
"""Stands before file.py:10:5."""

LABEL_WIDTH = 40
"""Longest first note, in characters, that stands beside the carets instead of below."""

WIDEST_SOURCE = 160
"""Columns of a source line; of a longer one, the part around the span is shown, even without a limited width."""

NARROWEST_SOURCE = 8
"""Columns of a source line on the narrowest screen."""

MOST_LINES = 6
"""Lines of a span; the middle of a longer one is left out."""

Styled = tuple[str, str]
"""A text and its style."""


class _Line(NamedTuple):
    """One source line as shown, and where its carets start and end, in terminal cells."""

    number: int
    text: str
    start: int
    end: int


def print_diagnostic(console: Console, diagnostic: Diagnostic) -> None:
    """Print, wrapped between words to the width of the terminal or of COLUMNS; a longer word goes on below."""
    wraps = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    for line in diagnostic_lines(diagnostic, console.width if wraps else None):
        if isinstance(console, FittingConsole) and line.plain.lstrip().startswith(PLACE):
            console.print_whole(line)
        else:
            console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


def concise(diagnostic: Diagnostic) -> str:
    """`file:line:col: error[code]: message` on one line, counted from 1 as editors do."""
    span = diagnostic.span
    place = f"{span.file}:{span.line}:{span.column + 1}: " if span else ""
    return _visible(f"{place}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}")


def diagnostic_lines(diagnostic: Diagnostic, width: int | None = None) -> list[Text]:
    """The lines of a diagnostic, without line ends; notes, help and headline wrapped if there is a width."""
    style = STYLES[diagnostic.severity]
    head = f"{diagnostic.severity}[{_visible(diagnostic.code)}]: "
    lines = _wrapped((head, style), (_visible(diagnostic.message), "bold"), width, hang=2)
    notes = list(diagnostic.notes)
    if diagnostic.span:
        label = notes.pop(0) if notes and not diagnostic.labels and _is_label(diagnostic.span, notes[0], width) else ""
        lines += _source_lines(diagnostic.span, label, style, width, diagnostic.labels)
    for lead, texts in ((("note: ", "bold"), notes), (("help: ", HELP_STYLE), diagnostic.help)):
        for text in texts:
            lines += _paragraphs(lead, text, width)
    return lines


def _paragraphs(lead: Styled, text: str, width: int | None) -> list[Text]:
    """The text behind its lead; each further line of it under the first."""
    hang = len(lead[0])
    lines = []
    for line in text.split("\n"):
        lines += _wrapped(lead, (_visible(line), ""), width, hang)
        lead = (" " * hang, "")
    return lines


def _wrapped(lead: Styled, text: Styled, width: int | None, hang: int) -> list[Text]:
    """The text behind its lead, broken at spaces only; the console breaks a word that is wider than the line."""
    words, style = text
    first, *others = _broken(words, width, len(lead[0]), hang)
    return [Text.assemble(lead, (first, style)), *(Text.assemble(" " * hang, (other, style)) for other in others)]


def _broken(text: str, width: int | None, taken: int, hang: int) -> list[str]:
    if width is None or taken + cell_len(text) <= width:
        return [text]
    lines, line, room = [], "", width - taken
    for word in text.split(" "):
        if line and cell_len(line) + 1 + cell_len(word) > room:
            lines.append(line)
            line, room = word, width - hang
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _is_label(span: Source, note: str, width: int | None) -> bool:
    if not span.text or span.line != span.end_line or "\n" in note or len(note) > LABEL_WIDTH:
        return False
    room = _room(span, width)
    return _shown(span, room)[-1].end + 1 + cell_len(_visible(note)) <= room


def _source_lines(span: Source, label: str, style: str, width: int | None, labels: Sequence[Label] = ()) -> list[Text]:
    gutter, room = _gutter(span), _room(span, width)
    place = span.file if span.file == COMMAND_LINE else f"{near_here(span.file)}:{span.line}:{span.column + 1}"
    link = f"link {Path(span.file).as_uri()}" if os.path.isabs(span.file) else ""
    lines = [Text.assemble((f"{' ' * gutter}{PLACE} ", GUTTER_STYLE), (_visible(place), link))]
    if not span.text:
        return lines
    bar = " " * (gutter + 1) + "|"
    lines.append(Text(bar, GUTTER_STYLE))
    before = span.line - 1
    for line in _shown(span, room):
        if line.number > before + 1:
            lines.append(Text("...", GUTTER_STYLE))
        before = line.number
        number = "" if span.file == COMMAND_LINE else str(line.number)
        lines.append(Text.assemble((f"{number:>{gutter}} | ", GUTTER_STYLE), line.text))
        if labels and (marks := _labelled(span, labels, room)):
            lines += [Text.assemble((bar + " ", GUTTER_STYLE), (mark, style)) for mark in marks]
            continue
        carets = "^" * max(1, line.end - line.start)
        lines.append(Text.assemble((bar + " ", GUTTER_STYLE), " " * line.start, (carets, style)))
    if label:
        lines[-1].append(f" {_visible(label)}", style)
    return lines


def _labelled(span: Source, labels: Sequence[Label], room: int) -> list[str]:
    """Carets under each label's span, with its text beside them or, if there is no room, on a line below."""
    places: list[tuple[int, int, str]] = []
    text = _full_lines(span)[0]
    if _shown(span, room)[0].text.startswith("…"):  # the line starts further on than the labels' columns count from
        return []
    for label in sorted(labels, key=lambda label: label.span.column):
        shown = _windowed(span.line, text, label.span.column, min(label.span.end_column, len(text)), room)
        inside = span.line == span.end_line == label.span.line and not shown.text.startswith("…")
        if not inside or shown.end > room or (places and shown.start < places[-1][1]):
            return []
        places.append((shown.start, max(shown.end, shown.start + 1), _visible(label.text)))
    return _beside(places, room) or _below(places, room)


def _beside(places: list[tuple[int, int, str]], room: int) -> list[str]:
    """All texts on the line of the carets; empty if one does not fit before the next carets."""
    line = ""
    for start, end, text in places:
        if len(line) > start:
            return []
        line = line.ljust(start) + "^" * (end - start) + f" {text}  "
    return [line.rstrip()] if len(line.rstrip()) <= room else []


def _below(places: list[tuple[int, int, str]], room: int) -> list[str]:
    """The carets with the last text beside them, then each other text under its own carets, from the right."""
    carets = ""
    for start, end, _ in places:
        carets = carets.ljust(start) + "^" * (end - start)
    *others, (_, _, last) = places
    if len(carets) + 1 + len(last) > room:
        others = places
    else:
        carets += f" {last}"
    return [carets, *(" " * min(start, max(0, room - len(text))) + text for start, _, text in reversed(others))]


def _gutter(span: Source) -> int:
    return 1 if span.file == COMMAND_LINE else len(str(span.end_line))


def _room(span: Source, width: int | None) -> int:
    """Columns for source lines beside their numbers."""
    return WIDEST_SOURCE if width is None else max(NARROWEST_SOURCE, min(WIDEST_SOURCE, width - _gutter(span) - 3))


def _shown(span: Source, room: int = WIDEST_SOURCE) -> list[_Line]:
    """The lines of the span without the middle of a long one, each with its part of the span."""
    texts = _full_lines(span)
    last = len(texts) - 1
    shown = []
    for index, text in enumerate(texts):
        if last >= MOST_LINES and MOST_LINES - 2 <= index < last:
            continue
        start = span.column if index == 0 else len(text) - len(text.lstrip())
        end = span.end_column if index == last else len(text)
        shown.append(_windowed(span.line + index, text, min(start, len(text)), min(max(start, end), len(text)), room))
    return shown


def _full_lines(span: Source) -> list[str]:
    """Whole lines. A span may hold only its own text, as a recorded call does: that is moved to its column."""
    texts = _lines_in_file(span) or span.text.split("\n")
    alone = texts[0] == span.text and len(texts) == 1 and len(span.text) == span.end_column - span.column
    if span.column and (alone or len(texts[0]) < span.column):
        texts[0] = " " * span.column + texts[0]
    return texts


def _lines_in_file(span: Source) -> list[str]:
    """The lines in the file, if they still hold the text of the span."""
    if span.file == COMMAND_LINE or not span.text or not may_show(span.file):
        return []
    lines = [linecache.getline(span.file, number).rstrip("\n") for number in range(span.line, span.end_line + 1)]
    text = "\n".join(lines)
    end = len(text) - len(lines[-1]) + span.end_column
    return lines if text[span.column : end].rstrip("\n") == span.text.rstrip("\n") else []


def _windowed(number: int, text: str, start: int, end: int, room: int) -> _Line:
    """The line in at most `room` cells, with the start of the span visible and `…` for what is left out."""
    left = 0 if _fits(text[:end], room) else start
    while left and _fits(text[left - 1 : start], room // 4):
        left -= 1
    pieces = ["…" if left else "", *map(_visible, text[left : left + room])]
    cut = left + room < len(text)
    while cell_len("".join(pieces)) > room - cut:
        pieces.pop()
        cut = True
    first, final = (cell_len("".join(pieces[: column - left + 1])) for column in (start, end))
    return _Line(number, "".join(pieces) + "…" * cut, first, final)


def _fits(text: str, room: int) -> bool:
    return len(text) < room and cell_len(_visible(text)) < room


def _visible(text: str) -> str:
    return printable(text.replace("\t", TAB))
