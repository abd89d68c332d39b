"""Judges configs for a program: the verdicts of `check` as records that print as its screen does."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vit_trace.api.options import require_options
from vit_trace.base.refused import value_errors
from vit_trace.base.trace import Diagnostic
from vit_trace.check.options import Check
from vit_trace.check.verdict import Report, Verdict, for_people, report
from vit_trace.memory.options import TrainingAsked


class FoundIn(NamedTuple):
    """A finding, and the spec that it is of."""

    spec: str
    diagnostic: Diagnostic


class Checked(Report, frozen=True):
    """What was found: `configs` are the verdicts, `summary` counts; `print` shows what the command line shows.

    `ok` is whether there is no error and everything could be judged; `findings` are all of all configs.
    """

    @property
    def ok(self) -> bool:
        """Whether there is no error, and nothing that could not be judged."""
        return not self.summary.errors and all(one.started for one in self.configs)

    @property
    def findings(self) -> list[FoundIn]:
        """Errors, warnings and notes, each with its spec."""
        return [FoundIn(verdict.spec, one) for verdict in self.configs for one in verdict.diagnostics]

    def to_json(self) -> str:
        """The document that `vit-trace check --format json` writes."""
        return _drawn("json", self.configs)

    def __str__(self) -> str:
        return _drawn("rich", for_people(self.configs, verbose=False, quiet=False))


def checked(specs: Sequence[str], settings: tuple[str, ...], options: Mapping[str, Any]) -> Checked:
    """The verdicts of specs. Raises ValueError with the diagnostic, TypeError for an option that there is not."""
    from vit_trace.base.network import closed_meanwhile
    from vit_trace.check.choice import codes_of, counted
    from vit_trace.check.extras import memory_question
    from vit_trace.check.many import expanded, verdicts
    from vit_trace.targets.request import Request

    asked = _asked(options)
    with value_errors(), closed_meanwhile():
        memory_question(asked)  # refuses what cannot be asked
        choice = codes_of(asked.select, asked.ignore)
        wanted = expanded(specs) if specs else [None]
        judged = verdicts(wanted, Request(assignments=settings), asked)
        found = [counted(one, choice) for several in judged for one in several]
    whole = report(found)
    return Checked(whole.schema, whole.versions, whole.configs, whole.summary)


NOT_ASKED = {"strict", "verbose", "quiet", "training"}
"""Options of the command line that change its screen or its exit code alone, or hold others."""


def _asked(options: Mapping[str, Any]) -> Check:
    """The options as the command line has them. Raises TypeError."""
    own = [name for name in Check._fields if name not in NOT_ASKED]
    require_options("check", options, (*own, *TrainingAsked._fields))
    given = {"jobs": 1, **options}
    for name in ("suggest", "select", "ignore", "freeze"):
        value = given.get(name, ())
        given[name] = (value,) if isinstance(value, str) else tuple(value)
    weights = given.pop("checkpoint", None)
    training = TrainingAsked(**{name: given.pop(name) for name in TrainingAsked._fields if name in given})
    return Check(verbose=True, checkpoint=None if weights is None else Path(weights), training=training, **given)


def _drawn(format: str, verdicts: Sequence[Verdict]) -> str:
    from vit_trace.render.formats import formats_of

    stream = io.StringIO()
    formats_of("check")[format].write(verdicts, stream)
    return stream.getvalue()
