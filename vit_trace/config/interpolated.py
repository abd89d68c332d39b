"""Resolves ${…} with OmegaConf; a value that refers to another has the place where that one is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vit_trace.base.roles import Path
from vit_trace.config.tree import MAX_VALUES, every_node, text_node, value_of_node
from vit_trace.config.words import Node, cut, fail

MOST = 2_000
"""References that are followed for one file; one that repeats another counts again."""

LONGEST = 1_000
"""Characters of a text with references that is read."""

NOT_INSTALLED = "needs OmegaConf: pip install 'vit-trace[hydra]'"


def with_references(tree: Node) -> Node:
    """The tree with every ${…} resolved; one that cannot be is a value that says why not. Raises ConfigError."""
    if not any("${" in node.text or node.text == "???" for _, node in every_node(tree) if node.kind == "text"):
        return tree
    try:
        from omegaconf import OmegaConf
    except ImportError:
        return _Resolver(tree, None).whole()
    tree = _readable(tree)
    with _guarded():
        return _Resolver(tree, OmegaConf.create(value_of_node(tree))).whole()


def _readable(node: Node) -> Node:
    """The tree with every text that is no reference, though it has a ${, as a value that says so."""
    if node.kind != "text":
        entries = tuple((key, _readable(value)) for key, value in node.entries)
        return node._replace(entries=entries, items=tuple(map(_readable, node.items)))
    if "${" not in node.text:
        return node
    if len(node.text) > LONGEST:
        return _unresolved(node, f"has more than {LONGEST} characters")
    from omegaconf.grammar_parser import parse

    try:
        parse(node.text)
    except (Exception, RecursionError) as error:
        return _unresolved(node, f"cannot be read: {_first_line(error)}")
    return node


class _Resolver:
    """Resolves a tree from its root; each path once, and none while it waits for itself."""

    def __init__(self, tree: Node, config: Any) -> None:
        self.nodes, self.config = dict(every_node(tree)), config
        self.done: dict[Path, tuple[Node, int]] = {}
        self.waiting: set[Path] = set()

    def whole(self) -> Node:
        return self.at(())[0]

    def at(self, path: Path) -> tuple[Node, int]:
        """The resolved node at a path, and how many values it holds."""
        if path in self.waiting:
            return _unresolved(self.nodes[path], "refers to itself"), 1
        if path not in self.done:
            self.waiting.add(path)
            self.done[path] = found = self._made(self.nodes[path], path)
            self.waiting.discard(path)
            if found[1] > MAX_VALUES:
                fail("config-too-large", f"references make more than {MAX_VALUES:,} values", self.nodes[path].span)
        return self.done[path]

    def _made(self, node: Node, path: Path) -> tuple[Node, int]:
        if node.kind == "text":
            return self._text(node, path)
        keyed = [(key, *self.at((*path, key.text))) for key, _ in node.entries]
        listed = [self.at((*path, place)) for place, _ in enumerate(node.items)]
        count = 1 + sum(size for *_, size in keyed) + sum(size for _, size in listed)
        entries = tuple((key, value) for key, value, _ in keyed)
        return node._replace(entries=entries, items=tuple(item for item, _ in listed)), count

    def _text(self, node: Node, path: Path) -> tuple[Node, int]:
        if node.text == "???":
            return _unresolved(node, "is ???, which stands for a value that has to be given"), 1
        if "${" not in node.text:
            return node, 1
        if self.config is None:
            return _unresolved(node, NOT_INSTALLED), 1
        try:
            target = _omega_node(self.config, path)._dereference_node()
            meant = _path_of(target)
            if meant != path and meant in self.nodes:
                return self.at(meant)
            return text_node(target._value(), node.span), 1
        except _TooMany:
            fail("config-too-large", f"more than {MOST:,} references are followed in this file", node.span)
        except (Exception, RecursionError) as error:
            return _unresolved(node, f"cannot be resolved: {_first_line(error)}"), 1


def _first_line(error: BaseException) -> str:
    return cut(str(error).strip().split("\n", 1)[0] or type(error).__name__, 200)


def _unresolved(node: Node, why: str) -> Node:
    return Node("unresolved value", node.span, f"{cut(node.text)} {why}")


def _omega_node(config: Any, path: Path) -> Any:
    for key in path:
        config = config._get_node(key)
    return config


def _path_of(node: Any) -> Path:
    from omegaconf._utils import split_key

    full = node._get_full_key(None)
    keys = split_key(full) if full else []
    return tuple(int(key) if key.isdigit() else key for key in keys)


class _TooMany(BaseException):
    """More references than are followed; no `except Exception` of OmegaConf's goes on from there."""


@contextmanager
def _guarded() -> Iterator[None]:
    """Counts references, and keeps OmegaConf from reading the environment: a variable is as if it were unset."""
    from omegaconf import Container
    from omegaconf.basecontainer import BaseContainer

    container: Any = Container
    follow, resolvers = container._resolve_node_interpolation, dict(BaseContainer._resolvers)
    count = iter(range(MOST))

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        if next(count, None) is None:
            raise _TooMany
        return follow(self, *args, **kwargs)

    def environment(_: Any, __: Any, ___: Any, args: tuple[Any, ...], ____: Any) -> Any:
        if len(args) > 1:
            return None if args[1] is None else str(args[1])
        raise ValueError(f"the environment is not read, so {cut(str(args[0]))} counts as unset")

    container._resolve_node_interpolation = counted
    BaseContainer._resolvers["oc.env"] = environment
    try:
        yield
    finally:
        container._resolve_node_interpolation = follow
        BaseContainer._resolvers = resolvers
