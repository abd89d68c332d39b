"""Holds the limits of what is built, and counts what a constructor makes against them."""

import re

from vit_trace.base.refused import refuse, require_known
from vit_trace.base.roles import ROLES

LIMITS = {
    "modules": 10_000,
    "elements": 10**10,
    "values": 5 * 10**7,
    "labels": 1_000_000,
    "list": 100_000,
    "calls": 65_000,
    "lines": 10_000_000,
    "steps": 30_000,
}
"""By default: modules of a model, elements of a parameter, values that a constructor or a forward on meta fills,
classes that a config names, values of a list that a setting holds, calls of torch and lines of Python in one
constructor, calls of torch and of modules in one forward. --limit raises them."""

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
    "values": "tensors that are filled have {:,} values or more",
    "labels": "the config names {:,} classes",
    "list": "a setting is a list of {:,} values",
    "calls": "the constructor calls torch {:,} times or more",
    "lines": "the model's code runs {:,} lines of Python or more while it is imported or built",
    "steps": "the forward takes {:,} steps or more",
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
    """Stop a setting of more layers or classes than a model may have, or of a longer list. Raises OverLimit."""
    if isinstance(value, (list, tuple)):
        require_within("list", len(value))
    if name in ROLES["classes"] and type(value) is int:
        require_within("labels", value)
    if name in ("id2label", "label2id") and isinstance(value, dict):
        require_within("labels", len(value))
    if COUNTS.search(name):
        numbers = [one for one in (value if isinstance(value, (list, tuple)) else [value]) if type(one) is int]
        require_within("modules", max(sum(numbers), len(numbers)))


class Counter:
    """Counts what one forward or constructor does, by the names of the limits."""

    def __init__(self) -> None:
        self.found = dict.fromkeys(LIMITS, 0)

    def add(self, name: str, more: int = 1) -> None:
        """So many more. Raises OverLimit."""
        self.found[name] += more
        if self.found[name] > BOUNDS[name]:
            raise OverLimit(name, self.found[name])
