"""Shows text in a page with colours: diagnostics as they stand on a screen, and lines of Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from keyword import iskeyword

from rich.text import Text

from vit_trace.base.trace import Diagnostic
from vit_trace.render.legible import printable

COLUMNS = 110

TOKEN = re.compile(r"""(?P<com>#.*)|(?P<str>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<kw>[A-Za-z_]\w*)""")
"""What of a line has a colour."""

STYLES = {"bold": "bold", "dim": "quiet", "red": "red", "yellow": "yellow", "cyan": "cyan", "green": "green"}
"""A word of rich's style -> the class of the page."""


def diagnostics_in_page(diagnostics: Sequence[Diagnostic]) -> str:
    """The lines of diagnostics as HTML; all that is not of this file is escaped."""
    from markupsafe import Markup

    from vit_trace.render.diagnostics import diagnostic_lines

    lines = (line for one in diagnostics for line in (*diagnostic_lines(one, COLUMNS), Text()))
    return Markup("\n").join(Markup("").join(map(_styled, line.divide(_cuts(line)))) for line in lines)


def coloured(line: str) -> str:
    """A line of Python as HTML, with its strings, comments and keywords marked."""
    from markupsafe import Markup, escape

    pieces, end = [], 0
    text = printable(line.replace("\t", "    "))
    for found in TOKEN.finditer(text):
        name = found.lastgroup or ""
        if name != "kw" or iskeyword(found[0]):
            pieces += [escape(text[end : found.start()]), Markup('<span class="{}">{}</span>').format(name, found[0])]
            end = found.end()
    return Markup("").join((*pieces, escape(text[end:])))


def _cuts(line: Text) -> list[int]:
    """Where a style of the line begins or ends."""
    return sorted({edge for span in line.spans for edge in (span.start, span.end)} - {0, len(line.plain)})


def _styled(part: Text) -> str:
    from markupsafe import Markup, escape

    styles = " ".join(str(style) for style in (part.style, *(one.style for one in part.spans)))
    words = set(re.findall(r"[a-z]+", styles))
    classes = " ".join(name for word, name in STYLES.items() if word in words)
    return Markup('<span class="{}">{}</span>').format(classes, part.plain) if classes else escape(part.plain)
