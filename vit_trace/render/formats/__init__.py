"""Finds output formats: a file in SUBJECT/ declares formats as its `FORMATS` and imports what it writes with late."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import IO, Any, Literal, NamedTuple, cast

import msgspec

from vit_trace.base.trace import json_bytes
from vit_trace.render.legible import Visible, visible

Subject = Literal["trace", "check", "checkpoint", "sizes"]
"""What is written: a `view.screen.Viewed`, verdicts of `check`, a `weights.holding.Holding`, a report of `sizes`."""

DEFAULT = "rich"
"""The format for a person, which every subject has."""


class Format(NamedTuple):
    """How a subject is written.

    `suffixes` are the file names it is chosen for; `view` is the only view it can show; `needs_source` says that the
    trace has to hold the model's source lines; an `encoding` of "" leaves the terminal's own. `escape` makes control
    characters visible in all that it writes; None for a screen, whose console does so. `for_people` leaves out
    notes that were not asked for.
    """

    lay_out: Callable[[Any, IO[str]], object]
    suffixes: tuple[str, ...] = ()
    view: str = ""
    needs_source: bool = False
    encoding: str = "utf-8"
    escape: Callable[[str], str] | None = visible
    for_people: bool = False

    def write(self, subject: Any, stream: IO[str]) -> None:
        """Write the subject; no control character of its texts reaches the stream."""
        self.lay_out(subject, stream if self.escape is None else cast(IO[str], Visible(stream, self.escape)))


def write_json(document: object, stream: IO[str]) -> None:
    """Write one document, indented."""
    stream.write(msgspec.json.format(json_bytes(document), indent=1).decode() + "\n")


def formats_of(subject: Subject) -> dict[str, Format]:
    """The formats of a subject by their names, the default one first."""
    found: dict[str, Format] = {}
    for module in iter_modules([f"{path}/{subject}" for path in __path__]):
        found |= import_module(f"{__name__}.{subject}.{module.name}").FORMATS
    return {DEFAULT: found.pop(DEFAULT)} | dict(sorted(found.items()))
