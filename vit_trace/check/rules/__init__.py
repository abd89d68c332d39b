"""Registers the rules for a config: what runs but is probably a mistake, and what a GPU would run faster.

Each file holds functions with `@rule`, which read `check.facts`. Other files use `all_rules`, `Rule`, `Finding`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import NamedTuple

from vit_trace.base.modules import import_all
from vit_trace.base.trace import Severity, Source, Value
from vit_trace.check.facts import Facts, Quantity
from vit_trace.codes.registry import register

Change = Mapping[str, Value]
"""Values to set, by the names that set them."""


@dataclass(frozen=True)
class Finding:
    """What a rule found: a headline, the quantities to blame, the numbers, and changes that might help.

    The diagnostic points at the first blamed quantity that was given. Each of `changes` is tried before it is offered.
    """

    message: str
    blame: tuple[Quantity, ...] = ()
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def span(self) -> Source | None:
        return next((one.span for one in self.blame if one.span is not None), None)


Finder = Callable[[Facts], Iterator[Finding]]


class Rule(NamedTuple):
    """A code, its severity, and the function that finds it."""

    code: str
    severity: Severity
    find: Finder


_RULES: dict[str, Rule] = {}


def rule(code: str, severity: Severity, *, shared: bool = False) -> Callable[[Finder], Finder]:
    """Register a function that finds something; its docstring says what the code means (`vit-trace explain CODE`).

    With `shared`, a silent mistake has the same code and says what it means.
    """

    def registered(find: Finder) -> Finder:
        if not shared:
            register("config-check", code, cleandoc(find.__doc__ or ""))
        _RULES[code] = Rule(code, severity, find)
        return find

    return registered


def all_rules() -> list[Rule]:
    """Every rule, ordered by code."""
    import_all(__name__)
    return [_RULES[code] for code in sorted(_RULES)]
