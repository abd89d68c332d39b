"""Reads a page of YAML as its top-level keys and values, each with its place; repeated keys are kept.

Stops at the first of YAML's events that could grow, nest, merge documents or construct. Does not know which keys and
values are right.
"""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from vit_trace.base.trace import Source
from vit_trace.config.words import NO_VALUE, Entry, Node, cut, fail, line_span, split_lines

MAX_NESTING = 4
"""Levels of nesting above which a page is refused; image_size: [256, 320] has 2."""
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
    import yaml

    frames = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
    events = _events(page)
    top = next((event for event in events if not isinstance(event, frames)), None)
    entries, node = [], None
    if isinstance(top, yaml.MappingStartEvent):
        while not isinstance(start := next(events), yaml.MappingEndEvent):
            entries.append((_node(page, start, events), _node(page, next(events), events)))
    elif top is not None:
        node = _node(page, top, events)
    list(events)  # to the end: an error or a second document may follow
    if node is not None and (node.kind != "text" or node.quoted or node.text.lower() not in NO_VALUE):
        _fail_top(page, node)
    if not entries:
        help = ("for example image_size: 256",)
        fail("empty-config", f"{page.file} is empty: it sets no hyperparameter", page.line(0, 0, 0), help=help)
    return entries


def _node(page: Page, event: Any, events: Iterator[Any]) -> Node:
    """One node. Recursion is safe: `_events` has bounded the nesting."""
    import yaml

    if isinstance(event, yaml.ScalarEvent):
        span = page.span(event.start_mark, event.end_mark)
        return Node("text", span, event.value, quoted=bool(event.style))
    closing = yaml.SequenceEndEvent if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingEndEvent
    items = []
    while not isinstance(inner := next(events), closing):
        items.append(_node(page, inner, events))
    span = page.span(event.start_mark, inner.end_mark)
    return Node("list", span, items=tuple(items)) if closing is yaml.SequenceEndEvent else Node("mapping", span)


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
    import yaml

    if isinstance(event, yaml.AliasEvent):
        fail("yaml-alias", f"the alias *{cut(str(event.anchor))} is not read: a config is flat",
             page.span(event.start_mark, event.end_mark), help=("write the value itself",))  # fmt: skip
    if getattr(event, "tag", None) is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        width = len(page.lines[event.start_mark.line][event.start_mark.column :].split(None, 1)[0])
        span = page.line(event.start_mark.line, event.start_mark.column, event.start_mark.column + width)
        fail("yaml-tag", f"the tag {cut(tag)} is not read: values are plain numbers and names", span,
             ("nothing was constructed",), ("remove the tag",))  # fmt: skip
    if depth > MAX_NESTING:
        span = page.line(event.start_mark.line, event.start_mark.column, event.start_mark.column + 1)
        fail("yaml-nesting", f"nested {depth} deep: a config is flat", span, help=("for example image_size: 256",))
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
