"""Turns keys and values as written into settings. A layer is what one source sets, and all that is wrong with it.

Refuses unknown and repeated keys, and adds the name and the place to what `values` refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.hyperparameters import KEYS, REFERENCE, Setting, nearest_key
from vit_trace.config.places import Entry, Node, is_flag, is_typed
from vit_trace.config.values import Refused, typed_value
from vit_trace.config.words import as_flag, as_typed, cut, diagnostic, in_quotes, label, where, written

MAX_PROBLEMS = 20
"""Problems of one file after which the rest of it is not read."""


class Layer(NamedTuple):
    """What one source sets, what is wrong with it, and the keys whose values were refused."""

    settings: dict[str, Setting]
    problems: list[Diagnostic]
    refused: set[str]


def layer_of(entries: Sequence[Entry], repeatable: bool = False) -> Layer:
    """What the entries set; for a repeated key the last value counts where repeating is allowed, else the first."""
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
    notes = () if is_typed(span) else refused.notes  # these explain how YAML is read
    return diagnostic(refused.code, message, refused.at or span, notes, (help,))
