"""Words diagnostics: names, values and places in the form the user gave them (file, flag or --set)."""

from typing import NoReturn

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.places import is_flag, is_typed


class ConfigError(Exception):
    """The settings cannot be used; `diagnostics` hold all that is wrong with them."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("\n".join(problem.message for problem in diagnostics))
        self.diagnostics = diagnostics


def diagnostic(
    code: str, message: str, span: Source, notes: tuple[str, ...] = (), help: tuple[str, ...] = ()
) -> Diagnostic:
    return Diagnostic(code, "error", message, span, notes, help)


def fail(code: str, message: str, span: Source, notes: tuple[str, ...] = (), help: tuple[str, ...] = ()) -> NoReturn:
    raise ConfigError(diagnostic(code, message, span, notes, help)) from None


def as_flag(name: str) -> str:
    return "--" + cut(name).replace("_", "-")


def label(name: str, span: Source) -> str:
    return as_flag(name) if is_flag(span) else name


def as_typed(name: str, value: str, span: Source) -> str:
    if is_flag(span):
        return f"{as_flag(name)} {value}"
    return f"--set {name}={value}" if is_typed(span) else f"{name}: {value}"


def written(value: object) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(value)


def where(span: Source) -> str:
    return f"{span.file}:{span.line}:{span.column + 1}"


def cut(text: str, most: int = 60) -> str:
    """The text on one line, without control characters, cut to what fits in a sentence."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in short)


def in_quotes(text: str) -> str:
    return f'"{cut(text)}"'
