"""Reads a page of YAML as a tree of nodes, each with its place; repeated keys are kept.

Stops at the first of YAML's events that could grow, merge documents or construct. Does not know which keys and values
are right.
"""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.words import NO_VALUE, ConfigError, Entry, Node, cut, diagnostic, fail, line_span, split_lines

MAX_NESTING = 24
"""Levels of nesting above which a page is refused; image_size: [256, 320] has 2."""

MAX_VALUES = 50_000
"""Values above which a page is refused, those that an alias repeats counted each time."""

PLAIN_TAGS = set("bool float int map null seq str python/tuple python/list python/dict".split())
PLAIN_TAGS |= {"python/object:argparse.Namespace"}
"""Tags that only say what a value looks like anyway."""
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Page:
    """The text of a file and the spans in it."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.lines = split_lines(text)

    def span(self, start: Any, end: Any) -> Source:
        """The text between two of YAML's marks."""
        last, end_column = end.line, end.column
        if end_column == 0 and last > start.line:  # a block ends where the next line starts
            last, end_column = last - 1, len(self.lines[last - 1])
        text = "\n".join(self.lines[start.line : last + 1])
        return Source(self.file, start.line + 1, last + 1, start.column, end_column, text)

    def line(self, line: int, column: int = 0, end: int | None = None) -> Source:
        text = self.lines[min(line, len(self.lines) - 1)]
        return line_span(self.file, line + 1, text, column, len(text) if end is None else end)


def top_level(page: Page) -> list[Entry]:
    """The top-level keys and values in order, repeated ones included."""
    entries = list(tree_of(page).entries)
    if not entries:
        help = ("for example image_size: 256",)
        fail("empty-config", f"{page.file} is empty: it sets no hyperparameter", page.line(0, 0, 0), help=help)
    return entries


def tree_of(page: Page) -> Node:
    """The mapping that a page is; one without entries where the page is empty."""
    import yaml

    frames = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
    events = _events(page)
    top = next((event for event in events if not isinstance(event, frames)), None)
    node = _Reader(page, events).node(top) if top is not None else None
    list(events)  # to the end: an error or a second document may follow
    if node is None or (node.kind == "text" and not node.quoted and node.text.lower() in NO_VALUE):
        return Node("mapping", page.line(0, 0, 0))
    if node.kind == "tagged value":
        raise ConfigError(unknown_value(node))
    if node.kind != "mapping":
        _fail_top(page, node)
    return node


class _Reader:
    """Makes nodes of YAML's events; an alias is its anchor's node. `_events` has bounded the nesting."""

    def __init__(self, page: Page, events: Iterator[Any]) -> None:
        self.page, self.events, self.values = page, events, 0
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.levels: dict[int, int] = {}

    def node(self, event: Any) -> Node:
        import yaml

        before = self.values
        if isinstance(event, yaml.AliasEvent):
            node, more = self._anchored(event)
        else:
            node, more = self._written(event), 1
        self.values += more
        inner = (*node.items, *(value for _, value in node.entries))
        self.levels[id(node)] = level = 1 + max((self.levels.get(id(one), 0) for one in inner), default=0)
        if level > MAX_NESTING + 1:
            fail("yaml-nesting", f"nested {level} deep by aliases: {MAX_NESTING} levels are read", node.span)
        if self.values > MAX_VALUES:
            message = f"{self.page.file} has more than {MAX_VALUES:,} values"
            fail("yaml-alias" if self.anchors else "config-too-large", message, node.span)
        if (anchor := getattr(event, "anchor", None)) is not None and not isinstance(event, yaml.AliasEvent):
            self.anchors[str(anchor)] = node, self.values - before
        return node

    def _anchored(self, event: Any) -> tuple[Node, int]:
        if (found := self.anchors.get(str(event.anchor))) is None:
            span = self.page.span(event.start_mark, event.end_mark)
            fail("yaml-alias", f"the alias *{cut(str(event.anchor))} has no anchor before it", span)
        return found

    def _written(self, event: Any) -> Node:
        import yaml

        tag = _tag(event)
        if isinstance(event, yaml.ScalarEvent):
            span = self.page.span(event.start_mark, event.end_mark)
            node = Node(
                "text",
                span,
                event.value,
                quoted=bool(event.style) and not str(event.tag).endswith((":int", ":float", ":bool")),
            )
        elif isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(inner))
            node = Node("list", self.page.span(event.start_mark, inner.end_mark), items=tuple(items))
        else:
            entries = []
            while not isinstance(inner := next(self.events), yaml.MappingEndEvent):
                entries.append((self.node(inner), self.node(next(self.events))))
            node = Node("mapping", self.page.span(event.start_mark, inner.end_mark), entries=tuple(_merged(entries)))
        return node if tag is None else Node("tagged value", _tag_span(self.page, event), tag)


def _merged(entries: list[Entry]) -> Iterator[Entry]:
    """The entries with those that `<<` takes from other mappings; a key of its own wins, then the first mapping."""
    own = [entry for entry in entries if not _is_merge(entry[0])]
    seen = {key.text for key, _ in own}
    yield from own
    for _, value in (entry for entry in entries if _is_merge(entry[0])):
        for mapping in value.items if value.kind == "list" else (value,):
            for key, inner in mapping.entries:
                if key.text not in seen:
                    seen.add(key.text)
                    yield key, inner


def _is_merge(key: Node) -> bool:
    return key.kind == "text" and key.text == "<<" and not key.quoted


def _tag(event: Any) -> str | None:
    """The tag of a value that is not read as what it looks like."""
    tag = getattr(event, "tag", None)
    short = "!!" + tag.removeprefix("tag:yaml.org,2002:") if tag and tag.startswith("tag:yaml.org,2002:") else tag
    return None if short is None or short.removeprefix("!!") in PLAIN_TAGS else cut(short)


def _tag_span(page: Page, event: Any) -> Source:
    start = event.start_mark
    width = len(page.lines[start.line][start.column :].split(None, 1)[0])
    return page.line(start.line, start.column, start.column + width)


def unknown_value(node: Node) -> Diagnostic:
    """What is wrong with a value that is not known: it has a tag, or refers to what there is not."""
    if node.kind == "unresolved value":
        return diagnostic("unresolved-value", node.text, node.span, help=("write the value itself",))
    notes, help = ("nothing was constructed",), ("remove the tag",)
    return diagnostic("yaml-tag", f"the tag {node.text} is not read: values are plain numbers and names", node.span,
                      notes, help)  # fmt: skip


def _events(page: Page) -> Iterator[Any]:
    """YAML's events. Raises ConfigError at the first that a config does not need.

    The pure Python parser, not libyaml: it is always there, so places and messages are the same everywhere, and its
    events neither construct objects nor expand aliases.
    """
    import yaml

    for number, line in enumerate(page.lines):
        if bad := _CONTROL.search(line):
            name = f"U+{ord(bad[0]):04X}"
            fail("control-character", f"{page.file} holds the control character {name} on line {number + 1}",
                 page.line(number, bad.start(), bad.end()), help=("remove it: YAML is plain text",))  # fmt: skip
    depth = documents = 0
    loader: Any = yaml.SafeLoader(page.text)
    try:
        while loader.check_event():
            event = loader.get_event()
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            documents += isinstance(event, yaml.DocumentStartEvent)
            _refuse_event(page, event, depth, documents)
            yield event
    except yaml.MarkedYAMLError as error:
        _fail_syntax(page, error)
    except (ValueError, OverflowError):  # from Python's own conversions, as of the escape "\UFFFFFFFF"
        line = loader.get_mark().line
        fail("yaml-syntax", f"not YAML: an escape or a version on line {line + 1} is out of range", page.line(line))


def _refuse_event(page: Page, event: Any, depth: int, documents: int) -> None:
    if depth > MAX_NESTING:
        span = page.line(event.start_mark.line, event.start_mark.column, event.start_mark.column + 1)
        fail("yaml-nesting", f"nested {depth} deep: {MAX_NESTING} levels are read", span)
    if documents > 1:
        fail("yaml-documents", f"{page.file} holds more than one YAML document",
             page.line(event.start_mark.line), help=("keep one: remove this --- and what follows it",))  # fmt: skip


def _fail_syntax(page: Page, error: Any) -> NoReturn:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    problem = error.problem or error.context or "it cannot be read"
    notes: tuple[str, ...] = ()
    if error.context and error.context_mark and error.problem:
        notes = (f"{error.context} that starts on line {error.context_mark.line + 1}",)
    help = ("YAML is indented with spaces, not tabs",) if r"'\t'" in problem else ()
    fail("yaml-syntax", f"not YAML: {problem}", page.line(line, column, column + 1), notes, help)


def _fail_top(page: Page, node: Node) -> NoReturn:
    """A file that is a list or a text; `dim:512` is a text, as a colon without a space is part of it."""
    help = ["for example image_size: 256"]
    if glued := re.match("([A-Za-z_-]+):([^ ].*)", node.text):
        help = [f"put a space after the colon: {glued[1]}: {cut(glued[2].split()[0])}"]
    if node.kind == "list":
        help = ["write the keys without a dash or brackets, one a line: image_size: 256"]
    span = page.line(node.span.line - 1, node.span.column)
    fail("not-a-mapping", f"{page.file} is a {node.kind}, not keys with values", span, help=tuple(help))
