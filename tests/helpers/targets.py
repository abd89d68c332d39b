"""Makes the target of a spec as the command line does."""

from collections.abc import Sequence
from typing import Any

from vit_trace.targets.request import Request
from vit_trace.targets.spec import foreign_target
from vit_trace.targets.target import Target


def library_target(spec: str, assignments: Sequence[str] = (), inputs: Sequence[str] = (), **more: Any) -> Target:
    """The target of somebody else's model, with --set, --input and the other fields of a Request."""
    return foreign_target(spec, Request(assignments=tuple(assignments), inputs=tuple(inputs), **more))
