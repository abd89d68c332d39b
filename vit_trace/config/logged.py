"""Unwraps what wandb and MLflow write down of a run: each value has a mapping, a list or a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from vit_trace.config.files import FileProblem, file_name, read_regular
from vit_trace.config.tree import child, replaced
from vit_trace.config.words import Entry, Node, line_span

BOOKKEEPING = ("_wandb", "wandb_version")
"""Keys of wandb's own."""


MOST, LONGEST = 1_000, 10_000
"""Parameters of a run that are read, and the bytes of one."""


def run_settings(tree: Node, file: Path) -> Node:
    """The settings of a run as a config; any other tree as it is."""
    if child(tree, "artifact_uri") is not None and child(tree, "lifecycle_stage") is not None:
        return _nested(tree, [*islice(_filed(file.with_name("params")), MOST)])
    own = [(key, value) for key, value in tree.entries if key.text not in BOOKKEEPING]
    if own and all(_is_wrapped(value) for _, value in own):
        return _nested(tree, [(key, child(value, "value") or value) for key, value in own])
    params = child(tree, "params") or child(tree, "data", "params") or child(tree, "run", "data", "params")
    if params is not None and params.items and all(_is_pair(item) for item in params.items):
        pairs = [(child(item, "key"), child(item, "value")) for item in params.items]
        return _nested(tree, [(key, value._replace(quoted=False)) for key, value in pairs if key and value])
    return tree


def _filed(folder: Path) -> Iterator[Entry]:
    """The parameters of MLflow's run, each in a file of its name."""
    for path in sorted(one for below, _, names in os.walk(folder) for one in (Path(below, name) for name in names)):
        try:
            text = read_regular(path, "a parameter", LONGEST).decode(errors="replace").strip()
        except FileProblem:
            continue
        span = line_span(file_name(path), 1, text, 0, len(text))
        yield Node("text", span, path.relative_to(folder).as_posix()), Node("text", span, text)


def _is_wrapped(value: Node) -> bool:
    keys = {key.text for key, _ in value.entries}
    return "value" in keys and keys <= {"desc", "value"}


def _is_pair(item: Node) -> bool:
    return {key.text for key, _ in item.entries} >= {"key", "value"}


def _nested(tree: Node, entries: list[Entry]) -> Node:
    """A mapping of the entries, a key as `model/dim` or `model.dim` being a place in an inner one."""
    whole = Node("mapping", tree.span)
    for key, value in entries:
        path = tuple(part for part in key.text.replace("/", ".").split(".") if part)[:20]
        if len(path) > 1:
            whole = replaced(whole, path, value)
        else:
            whole = whole._replace(entries=(*whole.entries, (key, value)))
    return whole
