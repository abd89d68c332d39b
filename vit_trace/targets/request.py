"""What the command line asks of somebody else's model, read once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vit_trace.base.refused import refuse
from vit_trace.targets.inputs import Given, parse_inputs

BATCH = 2
"""Images in the batch where nobody says: enough to be told from an axis of one."""

SIDES = re.compile(r"^(\d+)(?:[x×](\d+))?$")


@dataclass(frozen=True)
class Request:
    """--set as typed, flags of the built-in as typed, --input, --train, --rules."""

    assignments: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Given, ...] = ()
    batch: int = BATCH
    image: tuple[int, int] | None = None
    train: bool = False
    rules: bool = True


def request_of(
    assignments: Sequence[str], flags: Mapping[str, str], inputs: Sequence[str], train: bool, rules: bool
) -> Request:
    """The request as the command line gives it. Raises Refused."""
    from vit_trace.targets.assignments import assignments_of

    given = assignments_of(assignments)
    batch = given.pop("batch_size", flags.get("batch_size", str(BATCH)))
    if not batch.isdigit() or int(batch) < 1:
        raise refuse("bad-value", f"batch size {batch}: a whole number above 0 is wanted")
    image = None
    if (text := flags.get("image_size")) is not None:
        found = SIDES.match(text)
        if not found or int(found[1]) < 1:
            raise refuse("bad-value", f"--image-size {text}: 256 or 256x320 is wanted")
        image = int(found[1]), int(found[2] or found[1])
    return Request(given, flags, parse_inputs(inputs), int(batch), image, train, rules)


class Model(NamedTuple):
    """What the command line says of the model: flags as typed, a YAML file under them, --set, --input, switches."""

    flags: dict[str, str]
    config: Path | None
    assignments: tuple[str, ...]
    rules: bool
    formulas: bool
    inputs: tuple[str, ...] = ()
    train: bool = False


NO_MODEL = Model({}, None, (), True, True)
"""What the command line says where it says nothing of the model."""
