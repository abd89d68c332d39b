"""Holds the rules that `sizes` found as frozen records, with their JSON (`vit-trace-sizes/1`). Needs no torch."""

from typing import Any

from msgspec import Struct

from vit_trace.base.trace import schema_of
from vit_trace.dims.allowed import Allowed

SCHEMA = "vit-trace-sizes/1"


class Example(Struct, frozen=True):
    """A number, and what becomes of the model with it: "runs", "refused", "pads" …; where and why, if not "runs"."""

    value: int
    outcome: str
    where: str = ""
    why: str = ""


class SizeRule(Struct, frozen=True, omit_defaults=True):
    """Which numbers a setting, or several that have one rule, may have.

    `names` are hyperparameters, elements of them, or "input H"; `together` says that they have to be equal. `rule` is
    the rule in words; the numbers behind it follow: from `least` to `most`, `rest` more than a multiple of `step`, a
    divisor of `divides`, and those of `below`. `step_is` and `divides_is` say what these are made of. Without a `rule`,
    `works` lists numbers that work, and `cut` says whether the budget ended the search. `outside` has the nearest
    number for each way to go wrong.
    """

    names: tuple[str, ...]
    value: int
    rule: str
    tried: int
    together: bool = False
    least: int = 1
    most: int | None = None
    step: int = 1
    rest: int = 0
    divides: int | None = None
    step_is: str = ""
    divides_is: str = ""
    below: tuple[int, ...] = ()
    works: tuple[int, ...] = ()
    cut: bool = False
    outside: tuple[Example, ...] = ()

    def allowed(self) -> Allowed:
        """The numbers that it allows."""
        return Allowed(self.least, self.most, self.step, self.rest, self.divides, self.below)


class Asked(Struct, frozen=True):
    """One value that was asked for, what becomes of it, and the nearest values that work.

    Where the sides of an image were asked for apart, `value` is the larger one, and `values` has both.
    """

    names: tuple[str, ...]
    value: int
    outcome: str
    where: str = ""
    why: str = ""
    nearest: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


class SizesReport(Struct, frozen=True, omit_defaults=True):
    """The whole document. `layers` says which counts of layers were made one or two for the trials."""

    schema: str
    spec: str
    vit_trace: str
    rules: tuple[SizeRule, ...] = ()
    asked: tuple[Asked, ...] = ()
    layers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sizes_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `SizesReport`, generated from these records."""
    return schema_of(SizesReport, SCHEMA)


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(sizes_schema(), indent=1) + "\n")
