"""Judges one spec: errors, warnings and notes, each with remedies that were tried. Imports torch late."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.base.roles import role_named
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.check.extras import with_fit, with_memory
from vit_trace.check.options import Check
from vit_trace.check.rules import Change, Finding, Rule, all_rules
from vit_trace.check.search import Search, alarms
from vit_trace.check.subject import Examined, examined
from vit_trace.check.suggest import with_suggestions
from vit_trace.check.verdict import SEVERITIES, Verdict
from vit_trace.config import ConfigError
from vit_trace.config.json_text import json_places

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

NOTHING_TO_CHECK = {
    *("config-not-found", "config-unreadable", "not-a-file", "no-such-file", "unknown-target", "unknown-model"),
    *("library-missing", "library-broken", "two-configs", "flag-of-the-builtin", "no-factory", "no-match"),
}
"""Codes that say that there was no config to judge."""

OFFERED = 2
"""Remedies offered for one finding; further ones are not tried."""

LIMIT = 6_000
"""Traced stages for the remedies of one spec, or 15 trials of a ViT-B. Beyond it no remedy is tried."""


def judge_spec(spec: str | None, request: Request, asked: Check = Check()) -> Verdict:
    """Everything to say about a spec; a spec that cannot be used gets a verdict too."""
    shown = spec or (str(request.config) if request.config else "the reference ViT")
    subject = None
    try:
        subject = examined(spec, request)
        verdict = _verdict(shown, subject)
    except (Refused, ConfigError) as refused:
        started = not any(one.code in NOTHING_TO_CHECK for one in refused.diagnostics)
        verdict = Verdict(shown, tuple(_aimed(one, spec) for one in refused.diagnostics), started=started)
    if subject is not None:
        verdict = with_memory(with_fit(verdict, subject, asked), subject, asked)
    return with_suggestions(verdict, subject, (spec, request), asked.suggest)


def _verdict(shown: str, subject: Examined) -> Verdict:
    errors = tuple(_aimed(one, subject.spec) for one in subject.said if one.severity == "error")
    if errors:
        return Verdict(shown, errors)
    expected = subject.facts.target.expected
    found = tuple(sorted(_findings(subject), key=_place))
    return Verdict(shown, found, subject.parameters, subject.flops, expected[0] if expected else None)


def _place(diagnostic: Diagnostic) -> tuple[int, int, int]:
    """Sorts warnings before notes, then as they stand in the file."""
    span = diagnostic.span
    return SEVERITIES.index(diagnostic.severity), *((span.line, span.column) if span else (0, 0))


def _findings(subject: Examined) -> Iterator[Diagnostic]:
    """What the trace warns of, then what the rules find, each with remedies."""
    found = [(rule, finding) for rule in all_rules() for finding in rule.find(subject.facts)]
    codes = {rule.code for rule, _ in found}
    yield from (one for one in subject.said if one.code not in codes)
    search, before = Search(subject.spec, subject.request, LIMIT), alarms(subject)
    for rule, finding in found:
        doubtful = rule.severity != "note"
        works = (one for one in _changes(subject, finding) if _helps(search.at(one, doubtful), rule, before))
        help = tuple(f"{_words(subject, change)} (tried: builds and runs)" for change in islice(works, OFFERED))
        yield Diagnostic(rule.code, rule.severity, finding.message, finding.span, finding.notes, help)
    yield from search.cut_off("remedies")


def _changes(subject: Examined, finding: Finding) -> Iterator[Change]:
    """The changes of a finding without what is so already, each once."""
    present = {one.name: one.value for one in reversed([*subject.facts.quantities])}
    seen: list[Change] = []
    for wanted in finding.changes:
        change = {name: value for name, value in wanted.items() if value != present.get(name)}
        if change and change not in seen:
            seen.append(change)
            yield change


def _helps(changed: Examined | None, rule: Rule, before: set[str]) -> bool:
    """Whether a config is free of a finding and has no new warning."""
    return changed is not None and not any(rule.find(changed.facts)) and alarms(changed) <= before - {rule.code}


def _words(subject: Examined, change: Change) -> str:
    """`heads: 12` as the user's file has it, `--heads 12` where the values are typed."""
    path = Path(subject.spec) if subject.spec is not None else subject.request.config
    suffix = path.suffix.lower() if path else ""
    if suffix == ".json" or (path and os.path.isdir(path)):
        return ", ".join(f'"{name}": {json.dumps(value)}' for name, value in change.items())
    if suffix in (".yaml", ".yml"):
        return ", ".join(f"{name}: {value}" for name, value in change.items())
    return " ".join(subject.facts.target.words(name, value) for name, value in change.items())


def _aimed(diagnostic: Diagnostic, spec: str | None) -> Diagnostic:
    """An error about a model that does not build or run, pointed at the value of the config.json that it means."""
    found = json_places(spec) if spec is not None and diagnostic.code not in NOTHING_TO_CHECK else None
    if found is None or (diagnostic.span is not None and diagnostic.span.file == spec):
        return diagnostic
    spans = {".".join(map(str, path)): span for path, span in found.values.items()}
    ranked = [(rank, span) for path, span in spans.items() if (rank := _rank(diagnostic, path, span)) is not None]
    if not ranked:
        return diagnostic
    span = min(ranked, key=lambda one: one[0])[1]
    where = diagnostic.span
    notes = (f"raised at {where.file}:{where.line}: {where.text.strip()}",) if where else ()
    return replace(diagnostic, span=span, notes=(*diagnostic.notes, *notes), labels=())


def _rank(diagnostic: Diagnostic, path: str, span: Source) -> int | None:
    """How likely an error is about a value, 0 being surest.

    It quotes the value, a remedy sets it (the first is the likeliest), it names it, or it has the same number.
    """
    text = " ".join((diagnostic.message, *diagnostic.notes))
    numbers = re.findall(r"\d+", diagnostic.message)
    name, value = path.rpartition(".")[2], span.text[span.column : span.end_column]
    if re.search(rf"\b{re.escape(name)}\b\s*=\s*{re.escape(value)}(?!\w)", text):
        return 0
    setting = (place for place, help in enumerate(diagnostic.help, 1) if f"--set {path}=" in help)
    if (place := next(setting, None)) is not None:
        return place
    named, numbered = (len(diagnostic.help) + more for more in (1, 2))
    if len(name) > 3 and re.search(rf"\b{re.escape(name)}\b", text):
        return named
    return numbered + numbers.index(value) if role_named(name) and value in numbers else None
