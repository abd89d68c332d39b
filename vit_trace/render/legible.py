"""Streams that cannot hold every character: a terminal in the C locale gets × as x instead of a traceback.

One character for one, so that columns stay columns.
"""

from __future__ import annotations

import codecs
import io

PLAIN: dict[int, str] = str.maketrans(
    {"×": "x", "·": "*", "÷": "/", "→": ">", "›": ">", "…": "~", "✗": "!", "—": "-", "ᵀ": "T"}
)
"""What stands for the characters of our screens where they cannot be written."""
LINES = "─│├└┌┐┘┤┬┴┼━┃"
PLAIN |= {ord(line): plain for line, plain in zip(LINES, "-|+++++++++-|", strict=True)}

HANDLER = "vit-trace-plain"


def replaced(error: UnicodeError) -> tuple[str, int]:
    """The codec error handler: what cannot be encoded as something that can."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(char if char.isascii() else "?" for char in text), error.end


def make_legible(*streams: object) -> None:
    """Let the streams replace what their encoding does not have, UTF-8 only broken bytes of a file name."""
    codecs.register_error(HANDLER, replaced)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
