"""Judges one spec: errors, warnings and notes, each with remedies that were tried. Imports torch late."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic
from vit_trace.check.extras import with_fit, with_memory
from vit_trace.check.options import Check
from vit_trace.check.rules import Change, Finding, Rule, all_rules
from vit_trace.check.search import Search, alarms
from vit_trace.check.subject import Examined, examined
from vit_trace.check.suggest import with_suggestions
from vit_trace.check.verdict import SEVERITIES, Verdict
from vit_trace.config import ConfigError
from vit_trace.record.source import frames
from vit_trace.targets.aimed import NOTHING_TO_CHECK, aimed, name_in_file
from vit_trace.targets.found import config_of_spec, models_in, named_by

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

OFFERED = 2
"""Remedies offered for one finding; further ones are not tried."""

LIMIT = 6_000
"""Traced stages for the remedies of one spec, or 15 trials of a ViT-B. Beyond it no remedy is tried."""


def specs_in(spec: str | None, request: Request, skip: bool) -> list[str | None]:
    """The spec, or one for each model where it is a config file that holds several; none to `skip` without a model.

    A file to `skip` may also be a part of a config, whose references lead to the other parts.
    """
    named = config_of_spec(spec) if spec is not None else None
    if named is None or named[1] or request.model_key:
        return [spec]
    try:
        found = models_in(str(spec), request)
    except Refused as refused:
        return [] if skip and all(one.code == "not-a-config" for one in refused.diagnostics) else [spec]
    if skip and found and all(one.is_part for one in found):
        return []
    return [spec] if len(found) < 2 else [f"{spec}:{one.key}" for one in found]


def judge_spec(spec: str | None, request: Request, asked: Check = Check()) -> Verdict:
    """Everything to say about a spec; a spec that cannot be used gets a verdict too."""
    shown = spec or (str(request.config) if request.config else "the reference ViT")
    subject = None
    try:
        subject = examined(spec, request)
        verdict = _verdict(shown, subject, asked.verbose)
    except (Refused, ConfigError) as refused:
        started = not any(one.code in NOTHING_TO_CHECK for one in refused.diagnostics)
        verdict = Verdict(shown, tuple(aimed(one, spec, request) for one in refused.diagnostics), started=started)
    if subject is not None:
        verdict = with_memory(with_fit(verdict, subject, asked), subject, asked)
    return with_suggestions(verdict, subject, (spec, request), asked.suggest)


def _verdict(shown: str, subject: Examined, notes: bool) -> Verdict:
    errors = tuple(aimed(one, subject.spec, subject.request) for one in subject.said if one.severity == "error")
    if errors:
        return Verdict(shown, errors)
    expected = subject.facts.target.expected
    found = tuple(sorted(_findings(subject, notes), key=_place))
    return Verdict(shown, found, subject.parameters, subject.flops, expected[0] if expected else None)


def _place(diagnostic: Diagnostic) -> tuple[int, int, int]:
    """Sorts warnings before notes, then as they stand in the file."""
    span = diagnostic.span
    return SEVERITIES.index(diagnostic.severity), *((span.line, span.column) if span else (0, 0))


def _findings(subject: Examined, notes: bool) -> Iterator[Diagnostic]:
    """What the trace warns of, then what the rules find, each with remedies; those of `notes` only where told."""
    from vit_trace.check.preprocessed import wrong_size

    found = [(rule, finding) for rule in all_rules() for finding in rule.find(subject.facts)]
    codes = {rule.code for rule, _ in found}
    yield from (_of_library(one) for one in subject.said if one.code not in codes)
    yield from _own_code(subject)
    yield from wrong_size(subject)
    search, before = Search(subject.spec, subject.request, LIMIT), alarms(subject)
    for rule, finding in found:
        doubtful = rule.severity != "note"
        changes = _changes(subject, finding) if doubtful or notes else ()
        works = (one for one in changes if _helps(search.at(one, doubtful), rule, before))
        help = tuple(f"{_words(subject, change)} (tried: builds and runs)" for change in islice(works, OFFERED))
        yield Diagnostic(rule.code, rule.severity, finding.message, finding.span, finding.notes, help)
    yield from search.cut_off("remedies")


def _of_library(said: Diagnostic) -> Diagnostic:
    """A result that a library's own code drops is only noted: no value of a config changes it."""
    installed = said.span is not None and frames.is_installed(said.span.file)
    return replace(said, severity="note") if said.code == "result-dropped" and installed else said


def _own_code(subject: Examined) -> Iterator[Diagnostic]:
    """A note on the user's own code that was imported because a config names it."""
    found = named_by(subject.spec, subject.request).model
    named = [one.text for one in found.objects] if found is not None else []
    if found is not None and (found.imports or named):
        names = dict.fromkeys([str(found.spec), *named] if found.imports else named)
        message = f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} imported, which is your own code"
        yield Diagnostic("own-code-imported", "note", message, found.at, (), ("--no-import forbids it",))


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
    named = config_of_spec(subject.spec) if subject.spec is not None else None
    path = named[0] if named is not None else Path(subject.spec) if subject.spec is not None else subject.request.config
    suffix = path.suffix.lower() if path else ""
    held = {one.name: name_in_file(one.span) for one in subject.facts.quantities if one.span is not None}
    pairs = [(held.get(name) or name, value) for name, value in change.items()]
    if suffix == ".json" or (path and os.path.isdir(path)):
        return ", ".join(f'"{name}": {json.dumps(value)}' for name, value in pairs)
    if suffix in (".yaml", ".yml", ".toml"):
        sign = " =" if suffix == ".toml" else ":"
        return ", ".join(f"{name}{sign} {value}" for name, value in pairs)
    if named is not None:
        return ", ".join(f"{name}={value!r}" for name, value in pairs)
    return " ".join(subject.facts.target.words(name, value) for name, value in change.items())
