"""Lays out the source listing: line numbers, coloured code, notes beside or under it. Wide code continues below."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from vit_trace.base.trace import Line, Listed
from vit_trace.base.words import module_ranges
from vit_trace.render import theme
from vit_trace.render.legible import printable
from vit_trace.render.notes import Words, line_words, shown_lines
from vit_trace.render.places import shown_path

SIDE_BY_SIDE = 100
"""Columns of a screen from which on notes stand beside the code."""

NOTES = 46
"""Fewest columns of notes beside the code."""

WIDEST_CODE = 100
"""Most columns of code that notes stand beside, on a screen of any width."""

NARROWEST_CODE = 24
"""Columns that code is broken into on a narrower screen, which then breaks the line once more."""

SYNTAX_THEME = "ansi_dark"
IDLE = "╎"
BAR = "│"


def print_source(listing: Sequence[Listed], console: Console, ran_only: bool = False) -> None:
    """Write the functions of a listing, each class under its own heading."""
    if not listing:
        console.print(Text("none of the model's own code ran here: there is nothing to list"))
        return
    gutter = max((len(str(line.line)) for listed in listing for line in listed.lines), default=1)
    noted = [cell_len(_seen(line.text)) for listed in listing for line in listed.lines if line.notes]
    side = min(max(noted, default=0), WIDEST_CODE, console.width - gutter - 5 - NOTES)
    layout = _ListingLayout(console.width, gutter, side if console.width >= SIDE_BY_SIDE else 0)
    before: Listed | None = None
    for listed in listing:
        if before is not None:
            console.print()
        if before is None or (before.file, before.class_) != (listed.file, listed.class_):
            same_file = before is not None and before.file == listed.file
            console.print(_heading(listed, same_file), overflow="fold")
        if listed.function:
            console.print(_subheading(listed), overflow="fold")
        texts = dict(zip(listed.lines, _coloured([line.text for line in listed.lines]), strict=True))
        for line in shown_lines(listed, ran_only):
            notes = line_words(line, listed.modules)
            for row in layout.rows(line, texts[line], notes):
                console.print(row, soft_wrap=True)
        before = listed


def _coloured(lines: Sequence[str]) -> list[Text]:
    """The lines in syntax colours; a function is coloured as a whole, because strings may span lines."""
    visible = [_seen(line) for line in lines]
    whole = Syntax("", "python", theme=SYNTAX_THEME, background_color="default").highlight("\n".join(visible))
    found = list(whole.split("\n", allow_blank=True))[: len(visible)]
    return [text if text.plain == line else Text(line) for text, line in zip(found, visible, strict=True)]


def _seen(line: str) -> str:
    """A line of source as it stands on a screen."""
    return printable(line.expandtabs(4))


def _heading(listed: Listed, same_file: bool) -> Text:
    """What is listed, and its file."""
    text = Text()
    if listed.class_:
        text.append(listed.class_.rpartition("<locals>.")[2], theme.HEADING).append("  ")
    file = shown_path(listed.file)
    return text.append(printable(file.rpartition(os.sep)[2] if same_file else file), theme.QUIET)


def _subheading(listed: Listed) -> Text:
    """The function's name, the modules it ran in and how often."""
    text = Text().append(listed.function, theme.TITLE)
    where = module_ranges([module for module in listed.modules if module])
    text.append(f"  {where}" if where else "", theme.QUIET)
    if listed.calls > 1:
        text.append(f"  ×{listed.calls}", theme.FOLDED)
    if listed.problem:
        text.append(f"  {listed.problem}: lines by number", theme.FAILED)
    return text


class _ListingLayout(NamedTuple):
    """Columns of the screen, of line numbers, and of the code that notes stand beside (0: notes stand below)."""

    width: int
    gutter: int
    side: int

    @property
    def indent(self) -> int:
        return self.gutter + 3

    def rows(self, line: Line, code: Text, notes: Sequence[Words]) -> Iterator[Text]:
        """The line and its notes: beside it if the code leaves room, else under it."""
        code = code if line.ran else Text(code.plain, theme.QUIET)
        beside = code.cell_len <= self.side
        pieces = folded(code, self.side if beside and self.side else max(NARROWEST_CODE, self.width - self.indent))
        room = self.width - self.indent - self.side - 3
        texts = [text for note in notes for text in _note_lines(note, room)] if beside else []
        mark = IDLE if line.text.strip() and not line.ran else " "
        number = Text().append(f"{line.line:>{self.gutter}} {mark}", theme.QUIET).append(" ")
        for place in range(max(len(pieces), len(texts))):
            row = number if place == 0 else Text(" " * self.indent)
            row.append_text(pieces[place] if place < len(pieces) else Text(""))
            row.rstrip()
            if place < len(texts):
                row.append(" " * (self.indent + self.side - row.cell_len + 1))
                row.append(f"{BAR} ", theme.QUIET).append_text(texts[place])
            yield row
        start = min(len(code.plain) - len(code.plain.lstrip()), self.width // 4)
        margin = self.indent + (self.side + 1 if self.side else start)  # in the column of other lines' notes
        for note in () if beside else notes:
            for text in _note_lines(note, self.width - margin - 2):
                yield Text(" " * margin).append(f"{BAR} ", theme.QUIET).append_text(text)


def folded(code: Text, width: int) -> list[Text]:
    """The code in pieces that fit the width, of at least 1, broken after a space if possible."""
    plain = code.plain
    if code.cell_len <= width:
        return [code]
    lead = " " * min(len(plain) - len(plain.lstrip()) + 4, width // 2)
    sizes = list(map(cell_len, plain))
    ends, start, space, taken, room = [], 0, 0, 0, width
    for place, size in enumerate(sizes):
        if taken + size > room and place > start:
            start = space if space > start else place
            ends.append(start)
            taken, room = sum(sizes[start:place]), width - len(lead)
        taken += size
        if plain[place] == " " and plain[start:place].strip():
            space = place + 1
    first, *others = code.divide(ends)
    return [first, *(Text(lead).append_text(one) for one in others)]


def _note_lines(note: Words, width: int) -> list[Text]:
    """The note on as few lines as possible, broken between its pieces, then between words."""
    name = Text(note.name, theme.FAILED if note.name.startswith("✗") else "")
    name.append(" " if note.name and note.shape else "").append(note.shape, theme.CHANGED)
    pieces = [name, Text(note.formula, theme.SAME), Text(note.more, theme.FOLDED)]
    lines: list[Text] = []
    for piece in pieces:
        if not piece.plain:
            continue
        if lines and lines[-1].cell_len + 2 + piece.cell_len <= width:
            lines[-1].append("  ").append_text(piece)
        else:
            lines += _broken_words(piece, width, bool(lines))
    return lines


def _broken_words(piece: Text, width: int, hang: bool) -> list[Text]:
    """The piece broken at spaces; a word wider than the width stays whole."""
    lead = "  " if hang else ""
    lines = [Text(lead)]
    for place, word in enumerate(piece.split(" ")):
        if place and lines[-1].cell_len + 1 + word.cell_len > max(width, 8) and lines[-1].plain.strip():
            lines.append(Text("  "))
        elif place and lines[-1].plain.strip():
            lines[-1].append(" ")
        lines[-1].append_text(word)
    return lines
