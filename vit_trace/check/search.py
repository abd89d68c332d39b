"""Examines a spec at other values, within a budget of work instead of time: the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vit_trace.base.trace import Diagnostic
from vit_trace.check.rules import Change, all_rules
from vit_trace.check.subject import Examined, examined

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

LEAST = 20
"""Stages that a trial counts as where it traced fewer: a model that cannot be built takes time too."""

CUT_OFF = "search-cut-off"


class Search:
    """Values that are tried for one spec, until `limit` stages have been traced."""

    def __init__(self, spec: str | None, request: Request, limit: int) -> None:
        self.spec, self.request, self.limit = spec, request, limit
        self.left, self.tried, self.skipped = limit, 0, 0

    def at(self, change: Change, measured: bool = True) -> Examined | None:
        """The spec at other values; None where it does not build or run there, or where the limit is reached.

        Without `measured`, what depends on what is not measured, which takes longer than the rest together.
        """
        if self.left <= 0:
            self.skipped += 1
            return None
        self.tried += 1
        try:
            subject = examined(self.spec, self.request, change, measured)
        except Exception:  # a change that cannot be made is not offered
            self.left -= LEAST
            return None
        self.left -= max(LEAST, subject.stages)
        return subject if subject.runs else None

    def cut_off(self, wanted: str) -> tuple[Diagnostic, ...]:
        """A note where the limit ended the search for what was wanted."""
        if not self.skipped:
            return ()
        message = f"{wanted}: {self.tried} tried, {self.skipped} not tried: the limit is {self.limit:,} traced stages"
        return (Diagnostic(CUT_OFF, "note", message),)


def alarms(subject: Examined) -> set[str]:
    """Codes of all errors and warnings."""
    said = {one.code for one in subject.said if one.severity != "note"}
    return said | {rule.code for rule in all_rules() if rule.severity == "warning" and any(rule.find(subject.facts))}
