"""Holds what each diagnostic code means: registered in the file that gives the code, looked up by `explain CODE`."""

from typing import Literal

Area = Literal["failure", "silent", "config-check", "checkpoint", "memory", "config", "target", "usage"]

TITLES: dict[Area, str] = {
    "failure": "A forward or a constructor that fails",
    "silent": "Silent mistakes",
    "config-check": "What `check` says of a config",
    "checkpoint": "What `check` says of a checkpoint",
    "memory": "What `check --memory` says of a training run",
    "config": "Configs and settings that cannot be used",
    "target": "Models that cannot be loaded or given an input",
    "usage": "Malformed commands",
}
"""Areas with their titles, in the order of docs/diagnostics.md."""

MEANINGS: dict[str, str] = {}
"""Code -> what it means, an example, what to do."""

AREA_OF: dict[str, Area] = {}
"""Code -> the area it belongs to."""


def register(area: Area, code: str, meaning: str) -> None:
    """Say what a code means.

    Raises:
        ValueError: the code has another meaning already, or belongs to another area.
    """
    text = meaning.strip()
    if MEANINGS.setdefault(code, text) != text or AREA_OF.setdefault(code, area) != area:
        raise ValueError(f"the code {code} has two meanings")
