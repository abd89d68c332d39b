"""Fits the columns of a table to a width: which are shown, how wide each is, where a cell is broken.

Which columns there are depends on the width alone. A cell is broken between words, before a × of a formula and behind
a dot of a path, never within a word.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

GAP = 2
FROM_WIDTH = dict(stage=0, operation=0, shape=0, params=0, formula=100, flops=120, mixes=145, source=160)
"""Column -> width of the screen from which it is shown."""

RIGHT = {"shape", "params", "flops", "saved", "share", "beside", "ratio"}
"""Columns that end at their right edge; so do several of a kind, `beside 0` and `beside 1`."""

FLEXIBLE = {"stage": 4, "operation": 2, "formula": 3, "mixes": 1, "beside": 3}
"""Columns whose cells may be broken, and what one more line costs; so are several of a kind."""

PIECE = re.compile(r"\s*(?:[×→*/+-] )?[^\s]+?(?:(?<=\.)(?=[A-Za-z_])|(?=\s)|$)\s*")
"""What stays together: a word, a factor with the × before it, one name of a path."""

WITHIN_NAME = re.compile(r"\s*.[^\s]*?(?:_(?!_)|(?<=[a-z])(?=[A-Z])|\s|$)\s*")
"""Where a name that is too wide is broken: relative_ position_ bias, Swin Transformer Block."""

WITHIN_PRODUCT = re.compile(r"\s*(?:× )?.[^\s]*?(?:(?=[·⌈])|\s|$)\s*")
"""Where a product that is too wide is broken: 3 ·heads ·dim_head."""


class Columns(NamedTuple):
    """Names and widths of the columns shown."""

    names: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.widths) + GAP * (len(self.widths) - 1)

    def edge(self, name: str) -> int:
        """Where a column ends."""
        place = self.names.index(name) + 1
        return Columns(self.names[:place], self.widths[:place]).total

    def width_of(self, name: str) -> int:
        return self.widths[self.names.index(name)]

    def lay_out(self, texts: Mapping[str, Text]) -> Text:
        """One text per column, side by side, each padded to the column's width; numbers and shapes to the right."""
        line = Text()
        for name, width in zip(self.names, self.widths, strict=True):
            text = texts.get(name, Text())
            line.append(" " * GAP if line else "")
            pad = " " * max(0, width - text.cell_len)
            line.append_text(Text(pad).append_text(text) if name.split()[0] in RIGHT else text.copy().append(pad))
        line.rstrip()
        return line


def broken(text: Text, width: int, hang: int = 0) -> list[Text]:
    """The text in lines of a width, later ones indented by `hang`: broken between pieces, else within a long name."""
    if text.cell_len <= width:
        return [text]
    plain = text.plain
    ends, start, room = [], 0, width
    lead = len(plain) - len(plain.lstrip())
    for found in PIECE.finditer(plain, lead):
        long = cell_len(found[0].strip()) > width - max(hang, lead)
        within = WITHIN_PRODUCT if "·" in found[0] else WITHIN_NAME
        for part in within.finditer(plain, *found.span()) if long else [found]:
            if part.start() > lead and cell_len(plain[start : part.end()].rstrip()) > room:
                ends.append(part.start())
                start, room = part.start(), width - hang
    first, *others = text.divide(ends)
    for one in (first, *others):
        one.rstrip()
    return [first, *(Text(" " * hang).append_text(_lstripped(one)) for one in others)]


def _lstripped(text: Text) -> Text:
    return text[len(text.plain) - len(text.plain.lstrip()) :] if text.plain[:1] == " " else text


class Cell(NamedTuple):
    """A text of a column and the indent of its later lines; where it is too wide, it may stand `below` its row."""

    text: Text
    hang: int = 0
    below: bool = False


def fitted(names: Sequence[str], cells: Mapping[str, Sequence[Cell]], room: int) -> Columns:
    """The widths of the columns within `room`: cells that can be broken are, where that adds the fewest lines.

    A long name is broken only where breaking between pieces is not enough.
    """
    lines = {name: [[cell.text.cell_len] for cell in cells[name]] for name in names}
    widths = {name: max((size for held in lines[name] for size in held), default=0) for name in names}
    costs = {name: FLEXIBLE[kind] for name in names if (kind := name.split()[0]) in FLEXIBLE}
    for least in ({name: max(map(_longest_piece, cells[name])) for name in costs}, dict.fromkeys(costs, 1)):
        while (excess := sum(widths.values()) + GAP * (len(names) - 1) - room) > 0:
            found = [(name, _step(cells[name], lines[name], widths[name], least[name])) for name in costs]
            steps = [(one.added * costs[name] / (widths[name] - one.width), name, one) for name, one in found if one]
            if not steps:
                break
            _, name, step = min(steps, key=lambda one: one[:2])
            if step.width < widths[name] - excess:  # no narrower than there is need
                step = _narrowed(cells[name], lines[name], widths[name] - excess) or step
            widths[name], lines[name] = step.width, step.lines
    return Columns(tuple(names), tuple(widths[name] for name in names))


def _longest_piece(cell: Cell) -> int:
    """Cells of the widest piece of a text, which begins a line; 0 of one that need not stand in its column."""
    if cell.below:
        return 0
    text = cell.text.plain
    lead = len(text) - len(text.lstrip())
    pieces = [cell_len(found[0].strip()) for found in PIECE.finditer(text, lead)]
    return max([lead + pieces[0], *(cell.hang + one for one in pieces[1:])]) if pieces else 0


class _Step(NamedTuple):
    """A column made narrower: its width, the widths of its cells' lines, and how many lines that adds."""

    width: int
    lines: list[list[int]]
    added: int


def _step(cells: Sequence[Cell], lines: list[list[int]], width: int, least: int) -> _Step | None:
    """The column at the next smaller width, at least `least`; None where a piece does not fit that."""
    smaller = max((size for held in lines for size in held if size < width), default=width - 1)
    sizes = range(max(smaller, least), width)
    return next(filter(None, (_narrowed(cells, lines, one) for one in sizes)), None)


def _narrowed(cells: Sequence[Cell], lines: list[list[int]], width: int) -> _Step | None:
    found = list(lines)
    for place, held in enumerate(lines):
        if max(held, default=0) > width:
            text, hang, below = cells[place]
            found[place] = [0, 0] if below else [one.cell_len for one in broken(text, width, hang)]
            if max(found[place]) > width:
                return None
    added = sum(map(len, found)) - sum(map(len, lines))
    return _Step(width, found, added)
