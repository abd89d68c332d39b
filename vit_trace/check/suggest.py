"""Suggests values that follow the rule of `sizes`, with what each costs: `check --suggest`. Each is tried."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from vit_trace.base.numbers import numbers_near
from vit_trace.base.refused import Refused, refuse
from vit_trace.base.roles import role_named, same_role
from vit_trace.check.search import Search, alarms
from vit_trace.check.subject import Examined
from vit_trace.check.verdict import Suggested, Suggestion, Verdict
from vit_trace.config import ConfigError, given_anyway
from vit_trace.targets.aimed import setting_places
from vit_trace.targets.assignments import literal
from vit_trace.targets.found import named_by
from vit_trace.targets.spec import is_foreign
from vit_trace.targets.target import value_words

if TYPE_CHECKING:
    from vit_trace.check.sizes.report import SizeRule
    from vit_trace.dims.allowed import Allowed
    from vit_trace.targets.request import Request

LIMIT = 16_000
"""Traced stages that one search may take, or 40 trials of a ViT-B. Beyond it no value is tried."""

RUNNING, CLEAN, DOUBTFUL = 24, 8, 6
"""Values that run after which the search ends; how many are shown without a warning, and with one."""

CHOICES = {"pool": ("cls", "mean")}
"""Values of what is not a number."""

Size = int | str | tuple[int, ...]


class _Present(NamedTuple):
    """A quantity by the model's own name for it."""

    name: str
    value: Size


def with_suggestions(
    verdict: Verdict, subject: Examined | None, config: tuple[str | None, Request], names: Sequence[str]
) -> Verdict:
    """The verdict with values that work for each of the names, or with the reason why there are none."""
    for asked in names if verdict.started else ():
        try:
            present = _present(subject, config, asked)
        except (Refused, ConfigError) as refused:
            told = {one.message for one in verdict.diagnostics}
            new = tuple(one for one in refused.diagnostics if one.message not in told)
            verdict = replace(verdict, diagnostics=(*verdict.diagnostics, *new), started=verdict.started and not new)
            continue
        if present is not None:
            search = Search(*config, LIMIT)
            found = replace(verdict, suggestions=(*verdict.suggestions, _suggestion(subject, search, present)))
            verdict = replace(found, diagnostics=(*found.diagnostics, *search.cut_off(f"--suggest {asked}")))
    return verdict


def _suggestion(subject: Examined | None, search: Search, present: _Present) -> Suggestion:
    """Values that follow the rule of `vit-trace sizes`, with their costs; of a config that does not run, near ones."""
    runs = subject is not None and subject.runs
    found = [_suggested(subject, present.value, True)] if subject is not None and runs else []
    rule = _rule(subject, present) if subject is not None and runs else None
    allowed = rule.allowed() if rule is not None and rule.rule else None
    for value in _near(present, allowed):
        if len(found) > (RUNNING if allowed is None else CLEAN):
            break
        changed = search.at({present.name: list(value) if isinstance(value, tuple) else value})
        found += [_suggested(changed, value, False)] if changed is not None else []
    return Suggestion(
        present.name,
        _text(present.value),
        tuple(sorted(_chosen(found), key=lambda one: [int(side) for side in re.findall(r"\d+", one.value)])),
        rule.rule if rule is not None else "",
    )


def _rule(subject: Examined, present: _Present) -> SizeRule | None:
    """The rule for a quantity; None where it is no number, or none was found."""
    if isinstance(present.value, str):
        return None
    from vit_trace.check.sizes.sizes import size_report

    try:
        report = size_report(subject.facts.target, [present.name], by_rule=subject.request.rules)
    except Refused:
        return None
    return report.rules[0] if report.rules else None


def _suggested(subject: Examined, value: Size, present: bool) -> Suggested:
    return Suggested(_text(value), subject.parameters, subject.flops, tuple(sorted(alarms(subject))), present)


def _chosen(found: Sequence[Suggested]) -> Iterator[Suggested]:
    """The first without and the first with a warning; warnings that stand at every value do not count."""
    always = set.intersection(*(set(one.warnings) for one in found)) if len(found) > 1 else set()
    left = {True: CLEAN, False: DOUBTFUL}
    for one in found:
        own = tuple(code for code in one.warnings if code not in always)
        if one.present or left[not own]:
            left[not own] -= not one.present
            yield replace(one, warnings=own)


def _near(present: _Present, allowed: Allowed | None) -> Iterator[Size]:
    """Other values, the nearest first, of a rule if there is one; the sides of a size move together."""
    value = present.value
    if isinstance(value, str):
        yield from (choice for choice in CHOICES[present.name] if choice != value)
        return
    least = value if isinstance(value, int) else min(value)
    for one in numbers_near(least) if allowed is None else allowed.nearest(least, RUNNING):
        yield one if isinstance(value, int) else tuple(side + one - least for side in value)


def _text(value: Size) -> str:
    """224, or 224x320."""
    return value_words(list(value) if isinstance(value, tuple) else value)


def _present(subject: Examined | None, config: tuple[str | None, Request], asked: str) -> _Present | None:
    """The quantity that is asked for; None where the config cannot be used and does not set it. Raises Refused."""
    names = _quantities(subject) if subject is not None else _written(*config)
    alike = (name for name in names if same_role(asked, [name.rpartition(".")[2]]))  # heads is num_heads
    name = asked if asked in names else next(alike, None)
    if name is None and subject is None:
        return None
    if name is None:
        help = (f"it can be {', '.join(names)}",)
        raise refuse("no-such-quantity", f"--suggest {asked}: there is no such whole number", help=help)
    value = names[name]
    is_size = role_named(name) == "image" or name == "patch_size"
    if isinstance(value, tuple) and not (is_size and len(value) == 2):
        message = f"--suggest {asked}: {name} is {_text(value)}, a value for each stage, not one number"
        raise refuse("no-such-quantity", message)
    return _Present(name, value)


def _quantities(subject: Examined) -> dict[str, Size]:
    """Every quantity of a config that can be built, by its name."""
    found = {one.name: one.value for one in subject.facts.quantities if not isinstance(one.value, float)}
    pool = subject.facts.target.hyperparameters.get("pool")
    return found | ({"pool": str(pool)} if pool in CHOICES["pool"] else {})


def _written(spec: str | None, request: Request) -> dict[str, Size]:
    """What a config that cannot be built sets: in its file, on the command line."""
    one = named_by(spec, request)
    if spec is None or (one.spec is None if one.model is not None else not is_foreign(spec)):
        file = one.model.entries if one.model is not None else request.config
        given = given_anyway(file, request.flags, one.request.assignments)
        return {name: value for name, value in given.items() if not isinstance(value, float)}
    texts = {".".join(map(str, path)): span for path, span in setting_places(spec, one.model).items()}
    found = {name: literal(span.text[span.column : span.end_column]) for name, span in texts.items()}
    found |= {name: literal(text) for name, text in request.assigned.items()}
    return {name: value for name, value in found.items() if type(value) is int}
