"""Unwraps what wandb and MLflow write down of a run, where each value stands in a mapping or a list of its own."""

from __future__ import annotations

from vit_trace.config.tree import child, replaced
from vit_trace.config.words import Entry, Node

BOOKKEEPING = ("_wandb", "wandb_version")
"""Keys of wandb's own."""


def run_settings(tree: Node) -> Node:
    """The settings of a run as a config; any other tree as it is."""
    own = [(key, value) for key, value in tree.entries if key.text not in BOOKKEEPING]
    if own and all(_is_wrapped(value) for _, value in own):
        return _nested(tree, [(key, child(value, "value") or value) for key, value in own])
    params = child(tree, "params") or child(tree, "data", "params") or child(tree, "run", "data", "params")
    if params is not None and params.items and all(_is_pair(item) for item in params.items):
        pairs = [(child(item, "key"), child(item, "value")) for item in params.items]
        return _nested(tree, [(key, value._replace(quoted=False)) for key, value in pairs if key and value])
    return tree


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
