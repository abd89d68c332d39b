"""Reads Markdown pages of cases: a `## title`, a fenced block of input, a fenced block of what is expected."""

import re
from pathlib import Path
from typing import NamedTuple


class Section(NamedTuple):
    """One case of a page: the language and text of its input, and the lines that are expected."""

    name: str
    language: str
    text: str
    expected: list[str]


def sections(folder: Path) -> list[Section]:
    """The cases of all pages of a folder, in the order of their files' names."""
    found = []
    for path in sorted(folder.glob("*.md")):
        for section in re.split(r"^## ", path.read_text(), flags=re.M)[1:]:
            title, _, body = section.partition("\n")
            blocks = re.findall(r"^```(\w*)\n(.*?)^```", body, flags=re.M | re.S)
            assert len(blocks) == 2, f"{path.name}: {title} has {len(blocks)} blocks"
            (language, text), (_, expected) = blocks
            found.append(Section(f"{path.stem}: {title}", language, text, expected.splitlines()))
    return found
