"""From keys and values as written to settings: a layer is what one source says, and all that is wrong with it.

Knows keys unknown and repeated, and puts the name and the place to what `values` refuses; not which layer wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.hyperparameters import KEYS, REFERENCE, Setting, nearest_key
from vit_trace.config.places import Entry, Node, is_flag, is_typed
from vit_trace.config.values import Refused, check_range, typed_value
from vit_trace.config.words import as_flag, as_typed, cut, diagnostic, in_quotes, label, where, written

MAX_PROBLEMS = 20


class Layer(NamedTuple):
    """What one source of settings says, and what is wrong with it."""

    settings: dict[str, Setting]
    problems: list[Diagnostic]
    refused: set[str]


def layer_of(entries: Sequence[Entry], repeatable: bool = False) -> Layer:
    """What the entries set; of a key given twice the last counts where that is allowed, else the first."""
    layer = Layer({}, [], set())
    places: dict[str, list[Source]] = {}
    for key, value in entries:
        if len(layer.problems) >= MAX_PROBLEMS:
            message = f"more than {MAX_PROBLEMS} problems: the rest, from here on, was not read"
            layer.problems.append(diagnostic("too-many-problems", message, key.span))
            break
        places.setdefault(key.text, []).append(key.span)
        if len(places[key.text]) > 1 and not repeatable:
            continue
        if problem := _key_problem(key):
            layer.problems.append(problem)
        else:
            _take(layer, key.text, value)
    if not repeatable:
        twice = [name for name in KEYS if len(places.get(name, [])) > 1]
        layer.problems.extend(_duplicate(name, places[name]) for name in twice)
    return layer


def _take(layer: Layer, name: str, value: Node) -> None:
    try:
        layer.settings[name] = Setting(name, typed_value(name, value), value.span)
    except Refused as refused:
        layer.refused.add(name)
        layer.problems.append(_refusal(name, value.span, refused))


def checked_layer(given: Mapping[str, Setting]) -> Layer:
    """The settings that a Python caller gave, checked as a reader would have done."""
    checked = Layer({}, [], set())
    for name, setting in given.items():
        if problem := _key_problem(Node("text", setting.span, name)):
            checked.problems.append(problem)
            continue
        try:
            check_range(name, setting.value)
            checked.settings[name] = setting
        except Refused as refused:
            checked.refused.add(name)
            checked.problems.append(_refusal(name, setting.span, refused))
    return checked


def _key_problem(key: Node) -> Diagnostic | None:
    if key.kind != "text":
        return diagnostic("unknown-key", f"a key is one name, not a {key.kind}", key.span, (_known_keys(key.span),))
    if key.text == "<<" and not key.quoted:
        help = ("write the merged keys out",)
        return diagnostic("yaml-merge", "the merge key << is not read: a config is flat", key.span, help=help)
    return None if key.text in KEYS else _unknown(key)


def _unknown(key: Node) -> Diagnostic:
    near = nearest_key(key.text)
    shown = in_quotes(key.text) if not key.text.isidentifier() else key.text
    message = f"unknown flag {as_flag(key.text)}" if is_flag(key.span) else f"unknown key {shown}"
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
    note = f"it stands first at {where(first)}: {cut(first.text.strip())}"
    return diagnostic("duplicate-key", message, second, (note,), ("keep one of them",))


def _refusal(name: str, span: Source, refused: Refused) -> Diagnostic:
    works = refused.works or written(getattr(REFERENCE, name))
    help = f"for example {as_typed(name, works, span)}"
    message = f"{label(name, span)} {refused.why}"
    notes = () if is_typed(span) else refused.notes  # which tell how YAML is read
    return diagnostic(refused.code, message, refused.at or span, notes, (help,))
