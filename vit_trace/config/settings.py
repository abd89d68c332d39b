"""Reads settings from a YAML file, flags and --set, and makes the config of them over the reference case.

A later source wins over an earlier one. One `ConfigError` holds the problems of all sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config import words
from vit_trace.config.files import file_name, file_text
from vit_trace.config.grid import grid_problems
from vit_trace.config.hyperparameters import KEYS, REFERENCE, Setting, Value, ViTConfig, nearest_key
from vit_trace.config.page import Page, top_level, unknown_value
from vit_trace.config.values import BadValue, typed_value
from vit_trace.config.words import ConfigError, Entry, Node, cut, diagnostic, is_flag, is_typed, label

Given = Path | Sequence[Entry] | None
"""Where settings below flags and --set come from: a YAML file, the entries of one, or nowhere."""


def load(path: Given = None, flags: Mapping[str, str] = {}, assignments: Sequence[str] = ()) -> ViTConfig:
    """The config of a file, flags and --set, the later ones winning. Raises ConfigError with all that is wrong."""
    return settle(path, flags, assignments).config


class Settled(NamedTuple):
    """The config, and the settings that were given for it, each with its place."""

    config: ViTConfig
    given: Mapping[str, Setting]


def settle(path: Given = None, flags: Mapping[str, str] = {}, assignments: Sequence[str] = ()) -> Settled:
    """As `load`, with the settings that were given. Raises ConfigError with all that is wrong."""
    layers = _layers(path, flags, assignments)
    given = {name: setting for layer in layers for name, setting in layer.settings.items()}
    rank = {name: index for index, layer in enumerate(layers) for name in layer.settings}
    problems = [problem for layer in layers for problem in layer.problems]
    if not {"image_size", "patch_size"} & {name for layer in layers for name in layer.refused}:
        problems += grid_problems(given, rank)
    if problems:
        raise ConfigError(*problems)
    values: dict[str, Any] = {name: setting.value for name, setting in given.items()}
    return Settled(ViTConfig(**values), given)


def given_anyway(
    path: Given = None, flags: Mapping[str, str] = {}, assignments: Sequence[str] = ()
) -> dict[str, Value]:
    """The values that can be read from file, flags and --set, whatever is wrong with the others."""
    layers = _layers(path, flags, assignments)
    return {name: setting.value for layer in layers for name, setting in layer.settings.items()}


def _layers(path: Given, flags: Mapping[str, str], assignments: Sequence[str]) -> list[_Layer]:
    files = [_yaml_layer(path) if isinstance(path, Path) else _layer_of(path)] if path is not None else []
    return [*files, _flag_layer(flags), _assignment_layer(assignments)]


def _yaml_layer(path: Path) -> _Layer:
    try:
        entries = top_level(Page(file_name(path), file_text(path)))
    except ConfigError as error:
        return _Layer({}, list(error.diagnostics), set())
    return _layer_of(entries)


def _flag_layer(raw: Mapping[str, str]) -> _Layer:
    entries = []
    for name, value in raw.items():
        flag = words.shown_text(f"--{name.replace('_', '-')} ")
        line = flag + words.shown_text(value)
        entries.append((_typed(name, line, 0, len(flag) - 1), _typed(value, line, len(flag), len(line))))
    return _layer_of(entries)


def _assignment_layer(assignments: Sequence[str]) -> _Layer:
    entries, malformed, start = [], [], len("--set ")
    for assignment in assignments:
        line = "--set " + words.shown_text(assignment)
        name, equals, value = assignment.partition("=")
        middle = start + len(name)
        key, typed = _typed(name, line, start, middle), _typed(value, line, middle + 1, len(line))
        if equals:
            entries.append((key, typed))
        else:
            message = f"--set takes KEY=VALUE, not {words.in_quotes(assignment)}"
            malformed.append(diagnostic("assignment", message, key.span, help=("for example --set dim=512",)))
    layer = _layer_of(entries, repeatable=True)
    return layer._replace(problems=malformed + layer.problems)


def _typed(text: str, line: str, start: int, end: int) -> Node:
    return Node("text", words.line_span(words.COMMAND_LINE, 1, line, start, end), text)


MAX_PROBLEMS = 20
"""Problems of one file after which the rest of it is not read."""


class _Layer(NamedTuple):
    """What one source sets, what is wrong with it, and the keys whose values were refused."""

    settings: dict[str, Setting]
    problems: list[Diagnostic]
    refused: set[str]


def _layer_of(entries: Sequence[Entry], repeatable: bool = False) -> _Layer:
    """What the entries set; for a repeated key the last value counts where repeating is allowed, else the first."""
    layer = _Layer({}, [], set())
    places: dict[str, list[Source]] = {}
    for key, value in entries:
        if len(layer.problems) >= MAX_PROBLEMS:
            message = f"more than {MAX_PROBLEMS} problems: the rest, from here on, was not read"
            layer.problems.append(diagnostic("too-many-problems", message, key.span))
            break
        places.setdefault(key.text, []).append(key.span)
        if len(places[key.text]) > 1 and not repeatable:
            continue
        tagged = next((one for one in (key, value) if one.kind.startswith(("tagged", "unresolved"))), None)
        if problem := unknown_value(tagged) if tagged is not None else _key_problem(key):
            layer.problems.append(problem)
            continue
        try:
            layer.settings[key.text] = Setting(key.text, typed_value(key.text, value), value.span)
        except BadValue as refused:
            layer.refused.add(key.text)
            layer.problems.append(_refusal(key.text, value.span, refused))
    if not repeatable:
        twice = [name for name in KEYS if len(places.get(name, [])) > 1]
        layer.problems.extend(_duplicate(name, places[name]) for name in twice)
    return layer


def _key_problem(key: Node) -> Diagnostic | None:
    if key.kind != "text":
        return diagnostic("unknown-key", f"a key is one name, not a {key.kind}", key.span, (_known_keys(key.span),))
    if key.text in KEYS:
        return None
    near = nearest_key(key.text)
    shown = words.in_quotes(key.text) if not key.text.isidentifier() else key.text
    message = f"unknown flag {words.as_flag(key.text)}" if is_flag(key.span) else f"unknown key {shown}"
    if near is None:
        return diagnostic("unknown-key", message, key.span, (_known_keys(key.span),))
    notes = ("mlp_dim = mlp_ratio · dim",) if key.text == "mlp_ratio" else ()
    return diagnostic("unknown-key", message, key.span, notes, (f"did you mean {label(near, key.span)}?",))


def _known_keys(span: Source) -> str:
    return f"the {'flags' if is_flag(span) else 'keys'} are " + ", ".join(label(key, span) for key in KEYS)


def _duplicate(name: str, spans: Sequence[Source]) -> Diagnostic:
    first, second = spans[:2]
    *lines, last = (str(line) for line in sorted({span.line for span in spans}))
    places = f"lines {', '.join(lines[:3])}{' …' * (len(lines) > 3)} and {last}" if lines else f"line {last}"
    message = f"{name} is given {'twice' if len(spans) == 2 else f'{len(spans)} times'}, on {places}"
    note = f"it stands first at {words.where(first)}: {cut(first.text.strip())}"
    return diagnostic("duplicate-key", message, second, (note,), ("keep one of them",))


def _refusal(name: str, span: Source, refused: BadValue) -> Diagnostic:
    works = refused.works or words.value_text(getattr(REFERENCE, name))
    help = f"for example {words.as_typed(name, works, span)}"
    message = f"{label(name, span)} {refused.why}"
    notes = () if is_typed(span) else refused.notes  # these explain how YAML is read
    return diagnostic(refused.code, message, refused.at or span, notes, (help,))
