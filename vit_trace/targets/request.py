"""Holds what the command line asks of a model: one record, made once, carried to the target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.base.roles import ROLES
from vit_trace.base.words import whole_number

if TYPE_CHECKING:
    from vit_trace.targets.inputs import Given

BATCH = 2
"""Images in the batch by default: enough to tell the batch from an axis of size 1."""

SIDES = re.compile(r"^(\d+)(?:[x×](\d+))?$")


@dataclass(frozen=True)
class Request:
    """What the command line asks of a model: the flags as typed, and what they mean for a library's model.

    `flags` are those of the built-in ViT, `config` the YAML file below them, `assignments` every --set, `inputs` every
    --input; why a `trial` does not build is not asked. `model_key` says where in a config file the model stands;
    with `no_import` a file's own classes are not imported.

    The properties parse them; each raises Refused where the text cannot be parsed.
    """

    flags: Mapping[str, str] = field(default_factory=dict)
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    train: bool = False
    allow_network: bool = False
    limits: tuple[str, ...] = ()
    rules: bool = True
    formulas: bool = True
    trial: bool = False
    model_key: str | None = None
    no_import: bool = False

    @cached_property
    def assigned(self) -> dict[str, str]:
        """The hyperparameters of --set, as typed; the last value of a name counts."""
        return {name: text for name, text in self._pairs.items() if name != "batch_size"}

    @cached_property
    def given(self) -> tuple[Given, ...]:
        """The inputs of --input."""
        from vit_trace.targets.inputs import parse_inputs

        return parse_inputs(self.inputs)

    @cached_property
    def batch(self) -> int:
        """Images in the batch."""
        text = self._pairs.get("batch_size", self.flags.get("batch_size", str(BATCH)))
        if not text.isdecimal() or whole_number(text) < 1:
            raise refuse("bad-value", f"batch size {text}: it takes a whole number above 0")
        return whole_number(text)

    @cached_property
    def image(self) -> tuple[int, int] | None:
        """Height and width of --image-size; None where it is not given."""
        if (text := self.flags.get("image_size")) is None:
            return None
        found = SIDES.match(text)
        if not found or whole_number(found[1]) < 1:
            raise refuse("bad-value", f"--image-size {text}: it takes 256 or 256x320")
        return whole_number(found[1]), whole_number(found[2] or found[1])

    @cached_property
    def _pairs(self) -> dict[str, str]:
        """The names and texts of --set."""
        found: dict[str, str] = {}
        for text in self.assignments:
            name, equals, value = text.partition("=")
            if not equals or not name.strip():
                raise refuse("assignment", f"--set takes KEY=VALUE, not {text!r}", help=("for example --set depth=2",))
            found[name.strip()] = value.strip()
        return found

    def adding(self, *assignments: str) -> Request:
        """The same request with more --set behind its own, which win over an --image-size."""
        sized = any(text.partition("=")[0] in ROLES["image"] for text in assignments)
        flags = {name: text for name, text in self.flags.items() if name != "image_size" or not sized}
        return replace(self, flags=flags, assignments=(*self.assignments, *assignments))

    def require_parsed(self, spec: str) -> None:
        """Refuse what cannot be parsed, or is not for a library's model. Raises Refused."""
        if self.config is not None:
            message = f"--config is for the built-in ViT, not for {spec}"
            raise refuse("flag-of-the-builtin", message, help=("--set NAME=VALUE",))
        _ = self.assigned, self.batch, self.image, self.given


NO_REQUEST = Request()
"""The request of a command line without any model option."""
