"""What each code of a diagnostic means, with an example and what to do: `vit-trace explain CODE`. No torch."""

from __future__ import annotations

from vit_trace.checks.meanings import checkpoint, forward, memory, rules, silent

AREAS = {
    "A forward or a constructor that fails": forward.MEANINGS,
    "Silent mistakes": silent.MEANINGS,
    "What `check` says of a config": rules.MEANINGS,
    "What `check` says of a checkpoint": checkpoint.MEANINGS,
    "What `check --memory` says of a training run": memory.MEANINGS,
}
"""Meanings by area, in the order of the page."""

CODES: dict[str, str] = {code: text for area in AREAS.values() for code, text in area.items()}
ALL = "codes"
"""The word that stands for every code."""


def documented(code: str) -> bool:
    return code in CODES or code == ALL


def explained(code: str) -> str:
    """What a code means, as lines of text; for `codes` the page of all of them, in Markdown."""
    return page() if code == ALL else f"{code}\n{CODES[code].rstrip()}"


def page() -> str:
    """Every code with its meaning: docs/diagnostics.md."""
    parts = ["# Diagnostics", "Made by `vit-trace explain codes`; `vit-trace explain CODE` shows one of them."]
    for title, meanings in AREAS.items():
        parts.append(f"## {title}")
        parts += [f"### {code}\n\n{paragraphs(text)}" for code, text in sorted(meanings.items())]
    return "\n\n".join(parts)


def paragraphs(text: str) -> str:
    """The text with the example on a line of its own."""
    return text.strip().replace("\nExample:", "\n\nExample:")
