"""Explains what is wrong with the words of a command, before anything is read or imported.

Knows the parser's own exceptions by their shape, not by their class: where those live differs between versions of
typer. No torch.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from vit_trace.base.trace import Diagnostic


def misused(error: Any) -> Diagnostic:
    """The parser's own complaint: an unknown flag, a flag without its value, a word too many."""
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
    """The flag that was probably meant: another code base's name for it, or a similar spelling."""
    from vit_trace.config.hyperparameters import nearest_key

    key = nearest_key(typed) if len(typed) > 2 else None
    names = [flag.lstrip("-") for flag in flags]
    wanted = [key.replace("_", "-")] if key else get_close_matches(typed.lstrip("-"), names, 1, 0.7)
    return next((f"--{name}" for name in wanted if name in names), None)
