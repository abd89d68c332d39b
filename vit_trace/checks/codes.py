"""What each code of a diagnostic means, with an example and what to do: `vit-trace explain CODE`. No torch."""

from __future__ import annotations

from textwrap import fill

from vit_trace.checks.meanings import checkpoint, config, forward, memory, rules, silent, targets, usage

AREAS = {
    "A forward or a constructor that fails": forward.MEANINGS,
    "Silent mistakes": silent.MEANINGS,
    "What `check` says of a config": rules.MEANINGS,
    "What `check` says of a checkpoint": checkpoint.MEANINGS,
    "What `check --memory` says of a training run": memory.MEANINGS,
    "Configs and settings that cannot be used": config.MEANINGS,
    "Models that cannot be had or fed": targets.MEANINGS,
    "Commands that cannot be followed": usage.MEANINGS,
}
"""Meanings by area, in the order of the page."""

CODES: dict[str, str] = {code: text for area in AREAS.values() for code, text in area.items()}
WIDTH = 100
"""Columns that a text is laid out for, where the screen has more."""

ALL = "codes"
"""The word that stands for every code."""


def documented(code: str) -> bool:
    return code in CODES or code == ALL


def explained(code: str, width: int = WIDTH) -> str:
    """What a code means, as lines no longer than `width`; for `codes` the page of all of them, in Markdown."""
    if code == ALL:
        return page()
    laid_out = (fill(text, min(width, WIDTH), break_on_hyphens=False) for text in sentences(CODES[code]))
    return "\n".join([code, *laid_out])


def sentences(text: str) -> list[str]:
    """The text in the pieces that start a line of their own: lines are joined where a sentence goes on."""
    pieces: list[str] = []
    for line in text.strip().splitlines():
        if pieces and not pieces[-1].endswith(".") and not (pieces[-1].startswith("Example") and line[0].isupper()):
            pieces[-1] += f" {line}"
        else:
            pieces.append(line)
    return pieces


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
