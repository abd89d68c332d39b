"""Makes visible what must not reach a terminal, and replaces what a stream cannot encode: × by x in the C locale."""

import codecs
import io
import json
from collections.abc import Callable, Iterable
from typing import IO

PLAIN = str.maketrans("×·÷→›…✗—ᵀ⌈⌉─│├└┌┐┘┤┬┴┼━┃", "x*/>>~!-T[]-|+++++++++-|")
"""Character of our screens -> the ASCII character that replaces it."""

COLORS = ("auto", "always", "never")

CHOSEN = {"color": "auto"}
"""What --color asks for."""

HANDLER = "vit-trace-plain"


def _escaped(text: str, keep: str, escape: Callable[[str], str]) -> str:
    """The text with each character that is not printable, but for those of `keep`, as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else escape(c) for c in text)


def printable(text: str) -> str:
    """One line: control characters as escapes, \\x1b. Written out, an escape sequence cannot reach the terminal."""
    return _escaped(text, "", _in_python)


def visible(text: str) -> str:
    """As `printable`, of several lines, with their tabs and form feeds."""
    return "\n".join(_escaped(line, "\t\f", _in_python) for line in text.split("\n"))


def visible_json(text: str) -> str:
    """A JSON text with what is not printable as JSON writes it, \\u001b; line ends stay."""
    return "\n".join(_escaped(line, "", lambda c: json.dumps(c)[1:-1]) for line in text.split("\n"))


def _in_python(character: str) -> str:
    return repr(character)[1:-1]


class Visible:
    """A text stream that passes on what is written to it, made visible; the formats of programs write to it."""

    def __init__(self, stream: IO[str], escape: Callable[[str], str]) -> None:
        self._stream, self._escape = stream, escape

    def write(self, text: str) -> int:
        return self._stream.write(self._escape(text))

    def writelines(self, texts: Iterable[str]) -> None:
        self._stream.writelines(map(self._escape, texts))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The codec error handler: replaces what cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(char if char.isascii() else "?" for char in text), error.end


codecs.register_error(HANDLER, _replaced)


def make_legible(*streams: object) -> None:
    """Make the streams replace what their encoding lacks; in UTF-8 only broken bytes of a file name."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
