"""What was wrong with the words of a command, before anything was read or imported: as diagnostics.

Knows the flags and the parser's own exceptions by their shape, not by their class: where those live differs between
versions of typer. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic
from vit_trace.cli.flags import HYPERPARAMETERS
from vit_trace.targets.request import Request


def typed(model: Request) -> Iterator[tuple[str, str, str]]:
    """(flag, its text, an example) of each flag of the model that takes a text."""
    for name, text in model.flags.items():
        flag = f"--{name.replace('_', '-')}"
        yield flag, text, f"{flag} {HYPERPARAMETERS[name][0]}"
    yield from (("--set", text, "--set KEY=VALUE") for text in model.assignments)
    yield from (("--input", text, "--input 5x3x256x256") for text in model.inputs)
    if model.config is not None:
        yield "--config", str(model.config), "--config FILE"


def require_values(model: Request) -> None:
    """Refuse `--dim --depth 4`, where the parser takes the second flag for the value of the first. Raises Refused."""
    found = [
        Diagnostic("missing-value", "error", f"{flag} has no value: {text} follows it", None, (), (example,))
        for flag, text, example in typed(model)
        if text.startswith("--") and text[2:3].isalpha()
    ]
    if found:
        raise Refused(*found)


def misused(error: Any) -> Diagnostic:
    """The parser's own complaint: an unknown flag, one without its value, a word too many."""
    context = error.ctx
    verb = context.command_path if context is not None else "vit-trace"
    help = (f"{verb} --help",)
    if not hasattr(error, "possibilities"):
        return Diagnostic("usage", "error", error.format_message().rstrip("."), None, (), help)
    flags = [name for parameter in context.command.params for name in parameter.opts] if context is not None else []
    near = nearest_flag(error.option_name, flags)
    message = f"{verb} has no flag {error.option_name}"
    return Diagnostic("unknown-flag", "error", message, None, (), (f"did you mean {near}?",) if near else help)


def nearest_flag(typed: str, flags: list[str]) -> str | None:
    """The flag that was likely meant: another code base's name for it, or a near spelling."""
    from vit_trace.config.hyperparameters import nearest_key

    key = nearest_key(typed) if len(typed) > 2 else None
    names = [flag.lstrip("-") for flag in flags]
    wanted = [key.replace("_", "-")] if key else get_close_matches(typed.lstrip("-"), names, 1, 0.7)
    return next((f"--{name}" for name in wanted if name in names), None)
