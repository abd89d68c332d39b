"""Points an error about a model at the value of the user's file that it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.base.roles import Path, role_named
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.json_text import json_places
from vit_trace.config.tree import YAML
from vit_trace.config.words import is_typed
from vit_trace.targets.found import named_by
from vit_trace.targets.model_found import ModelFound

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

NOTHING_TO_CHECK = {
    *("config-not-found", "config-unreadable", "not-a-file", "no-such-file", "unknown-target", "unknown-model"),
    *("library-missing", "library-broken", "two-configs", "flag-of-the-builtin", "no-factory", "no-match"),
}
"""Codes that say that there was no config to judge."""


WRAPPERS = ("value", "default")
"""Keys below the name of a setting, where wandb writes down a run."""


def aimed(diagnostic: Diagnostic, spec: str | None, request: Request) -> Diagnostic:
    """An error about a model that does not build or run, pointed at the value in the config file that it means."""
    if spec is None or (diagnostic.span is not None and diagnostic.span.file == spec):
        return diagnostic
    try:
        found = named_by(spec, request).model
    except Refused:
        return diagnostic
    if found is not None:
        return aimed_at(diagnostic, found)
    spans = setting_places(spec, None) if diagnostic.code not in NOTHING_TO_CHECK else {}
    return _pointed(diagnostic, spans)


def aimed_at(diagnostic: Diagnostic, found: ModelFound) -> Diagnostic:
    """An error about a model of a config file, pointed at a value of it, else at where it names the model."""
    spans = found.places
    if diagnostic.code in NOTHING_TO_CHECK and found.spec is not None:
        return diagnostic if diagnostic.span == found.at else _moved(diagnostic, found.at)
    if found.spec is None or (diagnostic.span is not None and diagnostic.span in (found.at, *spans.values())):
        return diagnostic
    message = re.sub(r"^--set (\w[\w.]*=)", r"\1", diagnostic.message)
    pointed = _pointed(replace(diagnostic, message=message), spans)
    if pointed.span == diagnostic.span:
        pointed = _moved(pointed, found.at)
    own = {".".join(map(str, path)): name_in_file(span) for path, span in spans.items() if not is_typed(span)}
    sign = ": " if found.at.file.endswith((*YAML, ".json")) else " = "
    return replace(pointed, help=tuple(_as_in_file(help, own, sign) for help in pointed.help))


def _as_in_file(help: str, own: Mapping[str, str], sign: str) -> str:
    """A help that sets a value of the file with --set, under the name that it has there."""
    return re.sub(r"--set (\w[\w.]*)=", lambda found: f"{own.get(found[1]) or found[1]}{sign}", help) if own else help


def name_in_file(span: Source) -> str:
    """The key before a value in the text; "" where there is none on its line."""
    found = re.search(r"([\w.-]+)[\"']?\s*[:=]\s*$", span.text.split("\n")[0][: span.column])
    return found[1] if found and found[1] not in WRAPPERS else ""


def setting_places(spec: str, found: ModelFound | None) -> Mapping[Path, Source]:
    """The places of a model's settings in the file that a spec names, by their paths."""
    if found is not None:
        return found.places
    spans = json_places(spec)
    return spans.values if spans is not None else {}


def _moved(diagnostic: Diagnostic, span: Source) -> Diagnostic:
    where = diagnostic.span
    notes = (f"raised at {where.file}:{where.line}: {where.text.strip()}",) if where else ()
    return replace(diagnostic, span=span, notes=(*diagnostic.notes, *notes), labels=())


def _pointed(diagnostic: Diagnostic, found: Mapping[Path, Source]) -> Diagnostic:
    spans = {".".join(map(str, path)): span for path, span in found.items()}
    ranks = ((_rank(diagnostic, path, span), path.count("."), span) for path, span in spans.items())
    ranked = [(rank, depth, span) for rank, depth, span in ranks if rank is not None]
    return _moved(diagnostic, min(ranked, key=lambda one: one[:2])[2]) if ranked else diagnostic


def _rank(diagnostic: Diagnostic, path: str, span: Source) -> int | None:
    """How likely an error is about a value, 0 being surest.

    It quotes the value, a remedy sets it (the first is the likeliest), it names it, it has the same number, or a note
    names it.
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
    if len(name) > 3 and re.search(rf"\b{re.escape(name)}\b", diagnostic.message):
        return named
    if role_named(name) and value in numbers:
        return numbered + numbers.index(value)
    return numbered + len(numbers) if len(name) > 3 and re.search(rf"\b{re.escape(name)}\b", text) else None
