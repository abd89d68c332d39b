"""Refuses to start, with the diagnostics that say why."""

from difflib import get_close_matches

from vit_trace.base.trace import Diagnostic


class Refused(Exception):
    """Something cannot start; `diagnostics` say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))
        self.diagnostics = diagnostics


def refuse(code: str, message: str, *, help: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> Refused:
    return Refused(Diagnostic(code, "error", message, None, notes, help))


def require_known(flag: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        near = get_close_matches(value, values, 1)
        help = (f"did you mean {near[0]}?",) if near else (f"one of {', '.join(values)}",)
        raise refuse("unknown-value", f"{flag} {value}: there is no such {flag.strip('-')}", help=help)
