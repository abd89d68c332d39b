"""Rule: a dropout rate is below 1."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.facts import Facts
from vit_trace.check.rules import Finding, rule


@rule("drops-everything", "warning")
def drops_everything(facts: Facts) -> Iterator[Finding]:
    """A rate of dropout or drop path is 1 or more: in training everything there becomes 0 and no gradient passes.
    Example: dropout 1.
    Rates are from 0 to 1, not percent: 0.1 drops a tenth.
    """
    for rate in facts.rates:
        if isinstance(rate.value, (int, float)) and rate.value >= 1:
            note = "in training every value there becomes 0, and no gradient passes"
            yield Finding(f"{rate.name} {rate.value:g} drops everything", (rate,), (note,), ({rate.name: 0.1},))
