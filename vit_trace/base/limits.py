"""Holds the limits of what is built, and counts what a constructor makes against them."""

import re
from dataclasses import dataclass

from vit_trace.base.refused import refuse, require_known
from vit_trace.base.roles import ROLES

LIMITS = {"modules": 10_000, "elements": 10**10, "values": 10**8, "labels": 1_000_000}
"""By default: modules of a model, elements of a parameter, values of one tensor that a constructor fills, classes that
a config names. --limit raises them."""

COUNTS = re.compile(r"(^|_)(layers?|depths?|blocks|stages)$")
"""Names of settings that say how many layers a model has."""

BOUNDS = dict(LIMITS)
"""The limits that hold in this process."""


class OverLimit(BaseException):
    """A model is larger than a limit; no `except Exception` of its own code goes on from there."""

    def __init__(self, name: str, found: int) -> None:
        super().__init__(f"{_WORDS[name].format(found)}; the limit is {BOUNDS[name]:,}")
        self.help = f"--limit {name}={found if found > BOUNDS[name] + 1 else 10 * BOUNDS[name]}"


_WORDS = {
    "modules": "the model has {:,} modules or more",
    "elements": "a parameter has {:,} elements",
    "values": "a tensor of the constructor has {:,} values",
    "labels": "the config names {:,} classes",
}


def set_limits(texts: tuple[str, ...]) -> None:
    """Take the limits of --limit NAME=N, the rest by default. Raises Refused."""
    BOUNDS.update(LIMITS)
    for text in texts:
        name, _, number = text.partition("=")
        require_known("--limit", name, tuple(LIMITS))
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise refuse("bad-value", f"--limit {text[:60]}: it takes NAME=N", help=(f"--limit {name}={LIMITS[name]}",))
        BOUNDS[name] = int(number)


def require_within(name: str, found: int) -> None:
    """Stop what is larger than a limit. Raises OverLimit."""
    if found > BOUNDS[name]:
        raise OverLimit(name, found)


def require_size(name: str, value: object) -> None:
    """Stop a setting, by its name, of more layers or classes than a model may have. Raises OverLimit."""
    if name in ROLES["classes"] and type(value) is int:
        require_within("labels", value)
    if name in ("id2label", "label2id") and isinstance(value, dict):
        require_within("labels", len(value))
    if COUNTS.search(name):
        numbers = [one for one in (value if isinstance(value, (list, tuple)) else [value]) if type(one) is int]
        require_within("modules", max(sum(numbers), len(numbers)))


@dataclass
class Counter:
    """Counts the modules that one build makes."""

    modules: int = 0

    def add_module(self) -> None:
        """One more module. Raises OverLimit."""
        self.modules += 1
        require_within("modules", self.modules)
