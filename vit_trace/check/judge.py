"""One spec -> its verdict: errors, what runs and is hardly meant, and remedies that were tried. Imports torch late."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.base.roles import role_named
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.check.rules import Change, Finding, Rule, all_rules
from vit_trace.check.subject import Subject, examined, json_places
from vit_trace.check.verdict import SEVERITIES, Verdict
from vit_trace.config import ConfigError

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

NOTHING_TO_CHECK = {
    *("config-not-found", "config-unreadable", "not-a-file", "no-such-file", "unknown-target", "unknown-model"),
    *("library-missing", "library-broken", "two-configs", "flag-of-the-builtin", "no-factory", "no-match"),
}
"""Codes that say that there was no config to judge."""

ENOUGH = 2
SECONDS = 4.0
"""Remedies offered for one finding; how long is tried for one spec."""


def judged(spec: str | None, model: Request) -> Verdict:
    """What there is to say of a spec; a spec that cannot be used gives a verdict too."""
    shown = spec or (str(model.config) if model.config else "the reference ViT")
    try:
        subject = examined(spec, model)
    except (Refused, ConfigError) as refused:
        started = not any(one.code in NOTHING_TO_CHECK for one in refused.diagnostics)
        found = tuple(aimed(one, spec) for one in refused.diagnostics)
        return Verdict(shown, found, started=started)
    errors = [aimed(one, spec) for one in subject.said if one.severity == "error"]
    if errors:
        return Verdict(shown, tuple(errors))
    found = tuple(sorted(findings(subject, spec, model), key=order))
    return Verdict(shown, found, subject.parameters, subject.flops, batch_size(subject))


def order(diagnostic: Diagnostic) -> tuple[int, int, int]:
    """Warnings before notes, then as they stand in the file."""
    span = diagnostic.span
    return SEVERITIES.index(diagnostic.severity), *((span.line, span.column) if span else (0, 0))


def batch_size(subject: Subject) -> int | None:
    expected = subject.facts.target.expected
    return expected[0] if expected else None


def findings(subject: Subject, spec: str | None, model: Request) -> Iterator[Diagnostic]:
    """What the trace warns of, then what the rules find, each with what helps."""
    found = [(rule, rule.diagnostic(one), one) for rule in all_rules() for one in rule.find(subject.facts)]
    codes = {rule.code for rule, _, _ in found}
    yield from (one for one in subject.said if one.code not in codes)
    until = time.perf_counter() + SECONDS
    before = alarms(subject)
    for rule, diagnostic, finding in found:
        tried = remedies(subject, rule, finding, before, until, file_kind(spec, model))
        yield replace(diagnostic, help=tuple(tried))


def alarms(subject: Subject) -> set[str]:
    """Codes of all errors and warnings."""
    said = {one.code for one in subject.said if one.severity != "note"}
    return said | {rule.code for rule in all_rules() if rule.severity == "warning" and any(rule.find(subject.facts))}


def remedies(
    subject: Subject, rule: Rule, finding: Finding, before: set[str], until: float, kind: str
) -> Iterator[str]:
    """The changes that were tried, run, are free of the finding and bring no other warning."""
    offered: list[Change] = []
    for wanted in finding.changes:
        change = {name: value for name, value in wanted.items() if value != current(subject, name)}
        if len(offered) == ENOUGH or time.perf_counter() > until:
            return
        if change and change not in offered and works(subject, rule, change, before):
            offered.append(change)
            yield f"{words(subject, change, kind)} (tried: builds and runs)"


def current(subject: Subject, name: str) -> object:
    quantities = (one for network in subject.facts.networks for one in network.values())
    return next((one.value for one in quantities if one.name == name), None)


def works(subject: Subject, rule: Rule, change: Change, before: set[str]) -> bool:
    try:
        changed = subject.again(change)
    except Exception:  # a change that cannot be made is none to offer
        return False
    return changed.runs and not any(rule.find(changed.facts)) and alarms(changed) <= before - {rule.code}


def words(subject: Subject, change: Change, kind: str) -> str:
    """`heads: 12` as a file of that kind has it, `--heads 12` as it is typed."""
    if kind == ".json":
        return ", ".join(f'"{name}": {json.dumps(value)}' for name, value in change.items())
    if kind:
        return ", ".join(f"{name}: {value}" for name, value in change.items())
    return " ".join(subject.facts.target.words(name, value) for name, value in change.items())


def file_kind(spec: str | None, model: Request) -> str:
    """.yaml or .json where the values of a spec stand in a file of the user's, "" where they are typed."""
    path = Path(spec) if spec is not None else model.config
    if path is None:
        return ""
    suffix = ".json" if path.is_dir() else path.suffix.lower()
    return {".yaml": ".yaml", ".yml": ".yaml", ".json": ".json"}.get(suffix, "")


def aimed(diagnostic: Diagnostic, spec: str | None) -> Diagnostic:
    """A complaint about a model that does not build or run, pointed at the value of the config.json that it means."""
    found = json_places(spec) if spec is not None and diagnostic.code not in NOTHING_TO_CHECK else None
    if found is None or (diagnostic.span is not None and diagnostic.span.file == spec):
        return diagnostic
    span = blamed(diagnostic, {".".join(map(str, path)): one for path, one in found.values.items()})
    if span is None:
        return diagnostic
    where = diagnostic.span
    notes = (f"raised at {where.file}:{where.line}: {where.text.strip()}",) if where else ()
    return replace(diagnostic, span=span, notes=(*diagnostic.notes, *notes), labels=())


def blamed(diagnostic: Diagnostic, values: Mapping[str, Source]) -> Source | None:
    """The value of a config that a complaint is about: it names it, would set it, or has its number."""
    text = " ".join((diagnostic.message, *diagnostic.notes))
    helped = " ".join(diagnostic.help)
    numbers = re.findall(r"\d+", diagnostic.message)
    best: tuple[int, Source] | None = None
    for path, span in values.items():
        name, value = path.rpartition(".")[2], span.text[span.column : span.end_column]
        if re.search(rf"\b{re.escape(name)}\b\s*=\s*{re.escape(value)}(?!\w)", text):
            rank = 0
        elif f"--set {path}=" in helped:
            rank = 1
        elif len(name) > 3 and re.search(rf"\b{re.escape(name)}\b", text):
            rank = 2
        elif role_named(name) and value in numbers:
            rank = 3 + numbers.index(value)
        else:
            continue
        if best is None or rank < best[0]:
            best = rank, span
    return best[1] if best else None
