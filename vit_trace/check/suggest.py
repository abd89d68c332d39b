"""--suggest NAME: values near the present one that build and run, with what each costs. Every one is tried."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.roles import role_named, same_role
from vit_trace.check.judge import alarms
from vit_trace.check.subject import Subject, examined, json_places
from vit_trace.check.verdict import Suggested, Suggestion
from vit_trace.config import ConfigError, given_anyway
from vit_trace.diagnose.changes.settings import nearest
from vit_trace.targets.assignments import literal
from vit_trace.targets.spec import is_foreign
from vit_trace.targets.target import value_words

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

SECONDS = 8.0
RUNNING, CLEAN, DOUBTFUL = 24, 8, 6
"""Values that run after which to stop; how many are shown that bring no warning, and that bring one."""

CHOICES = {"pool": ("cls", "mean")}
"""Values of what is no number."""

Size = int | str | tuple[int, ...]


def suggestion(spec: str | None, model: Request, asked: str) -> Suggestion:
    """The values of a hyperparameter that work near its present one. Raises Refused and ConfigError."""
    name, present = known(spec, model, asked)
    until = time.perf_counter() + SECONDS
    found = tried(spec, model, name, present, True)
    for value in near(name, present):
        if time.perf_counter() > until or len(found) > RUNNING:
            break
        found += tried(spec, model, name, value, False)
    return Suggestion(name, text_of(present), tuple(sorted(chosen(found), key=order)))


def chosen(found: Sequence[Suggested]) -> Iterator[Suggested]:
    """The first of those without and of those with a warning that does not stand at every value."""
    always = set.intersection(*(set(one.warnings) for one in found)) if len(found) > 1 else set()
    left = {True: CLEAN, False: DOUBTFUL}
    for one in found:
        own = tuple(code for code in one.warnings if code not in always)
        if one.present or left[not own]:
            left[not own] -= not one.present
            yield replace(one, warnings=own)


def tried(spec: str | None, model: Request, name: str, value: Size, present: bool) -> list[Suggested]:
    """The value with its costs; nothing where it does not build or run."""
    try:
        subject = examined(spec, model.adding(f"{name}={text_of(value)}"))
    except (Refused, ConfigError):
        return []
    if not subject.runs:
        return []
    warnings = tuple(sorted(alarms(subject)))
    return [Suggested(text_of(value), subject.parameters, subject.flops, warnings, present)]


def near(name: str, present: Size) -> Iterator[Size]:
    """Other values, the nearest first; the sides of a size move together."""
    if isinstance(present, str):
        yield from (choice for choice in CHOICES[name] if choice != present)
    elif isinstance(present, int):
        yield from nearest(present)
    else:
        yield from (tuple(side + one - min(present) for side in present) for one in nearest(min(present)))


def order(one: Suggested) -> tuple[int, ...]:
    sides = one.value.split("x")
    return tuple(map(int, sides)) if all(side.isdigit() for side in sides) else ()


def text_of(value: Size) -> str:
    """224, or 224x320."""
    return value_words(list(value) if isinstance(value, tuple) else value)


# -- the present value ---------------------------------------------------------------------------------------------


def known(spec: str | None, model: Request, asked: str) -> tuple[str, Size]:
    """(the name that the model has for it, its present value). Raises Refused."""
    try:
        names = quantities(examined(spec, model))
    except (Refused, ConfigError):
        names = written(spec, model)
        if not find(names, asked):
            raise
    name = find(names, asked)
    if name is None:
        help = (f"it can be {', '.join(names)}",)
        raise refuse("no-such-quantity", f"--suggest {asked}: there is no such whole number", help=help)
    value = names[name]
    if isinstance(value, tuple) and ((role_named(name) != "image" and name != "patch_size") or len(value) != 2):
        message = f"--suggest {asked}: {name} is {text_of(value)}, a value for each stage, not one number"
        raise refuse("no-such-quantity", message)
    return name, value


def find(names: Mapping[str, Size], asked: str) -> str | None:
    """The name itself, or the one that plays the same part: heads is num_heads, or num_attention_heads."""
    if asked in names:
        return asked
    return next((name for name in names if same_role(asked, [name.rpartition(".")[2]])), None)


def quantities(subject: Subject) -> dict[str, Size]:
    """Every quantity of a config that runs, by its name."""
    facts = subject.facts
    found: dict[str, Size] = {}
    for network in facts.networks:
        found |= {one.name: one.value for one in network.values() if not isinstance(one.value, float)}
    pool = facts.target.hyperparameters.get("pool")
    return found | ({"pool": str(pool)} if pool in CHOICES["pool"] else {})


def written(spec: str | None, model: Request) -> dict[str, Size]:
    """What is written of a config that does not run: in its file, on the command line."""
    if spec is None or not is_foreign(spec):
        given = given_anyway(model.config if spec is None else Path(spec), model.flags, model.assignments)
        return {name: value for name, value in given.items() if not isinstance(value, float)}
    places = json_places(spec)
    texts = {".".join(map(str, path)): span for path, span in places.values.items()} if places else {}
    found = {name: literal(span.text[span.column : span.end_column]) for name, span in texts.items()}
    for assignment in model.assignments:
        name, _, text = assignment.partition("=")
        found[name] = literal(text)
    return {name: value for name, value in found.items() if type(value) is int}
