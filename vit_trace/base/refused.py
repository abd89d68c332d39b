"""Refuses to start, with the diagnostics that say why."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from vit_trace.base.trace import Diagnostic

MOST = 1_000
"""Characters of a refusal's text from which its middle is left out."""


class Refused(Exception):
    """Something cannot start; `diagnostics` say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))
        self.diagnostics = diagnostics


@contextmanager
def value_errors() -> Iterator[None]:
    """Turns a refusal into the ValueError that a program expects, with the diagnostic's message, notes and help."""
    try:
        yield
    except Refused as refused:
        error = ValueError(str(refused))
        for one in refused.diagnostics:
            for text in (*(f"note: {note}" for note in one.notes), *(f"help: {help}" for help in one.help)):
                error.add_note(text)
        raise error from refused


def refuse(code: str, message: str, *, help: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> Refused:
    texts = (message, *notes, *help)
    if any(len(text) > MOST for text in texts):
        message, notes, help = _short(message), tuple(map(_short, notes)), tuple(map(_short, help))
    return Refused(Diagnostic(code, "error", message, None, notes, help))


def _short(text: str) -> str:
    """The text without its middle where it is too long to be read: it quotes what was typed."""
    return text if len(text) <= MOST else f"{text[: MOST // 2]}…{text[-MOST // 4 :]}"


def require_known(flag: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        near = get_close_matches(value, values, 1)
        help = (f"did you mean {near[0]}?",) if near else (f"one of {', '.join(values)}",)
        raise refuse("unknown-value", f"{flag} {value}: there is no such {flag.strip('-')}", help=help)
