"""Holds the limits of what is built, and counts what a constructor makes against them."""

from dataclasses import dataclass

from vit_trace.base.refused import refuse, require_known

LIMITS = {"modules": 10_000, "elements": 10**10, "labels": 1_000_000}
"""By default: modules of a model, elements of one parameter, classes that a config names. --limit raises them."""

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


@dataclass
class Counter:
    """Counts the modules that one build makes."""

    modules: int = 0

    def add_module(self) -> None:
        """One more module. Raises OverLimit."""
        self.modules += 1
        require_within("modules", self.modules)
