"""Replaces characters that must not reach a terminal, and those that a stream cannot encode: × by x in the C locale."""

import codecs
import io

PLAIN = str.maketrans("×·÷→›…✗—ᵀ─│├└┌┐┘┤┬┴┼━┃", "x*/>>~!-T-|+++++++++-|")
"""Character of our screens -> the ASCII character that replaces it."""

HANDLER = "vit-trace-plain"


def printable(text: str) -> str:
    """The text with control characters as escapes, \\x1b: written out, an escape sequence cannot reach the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The codec error handler: replaces what cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(char if char.isascii() else "?" for char in text), error.end


def make_legible(*streams: object) -> None:
    """Make the streams replace what their encoding lacks; in UTF-8 only broken bytes of a file name."""
    codecs.register_error(HANDLER, _replaced)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
