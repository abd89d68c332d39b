"""Finds the steps within one statement: `to_qkv(x)` gives one shape, `.chunk(3)` another. No torch."""

from __future__ import annotations

import ast
import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.trace import Note, Source, Stage, TensorSpec, Trace
from vit_trace.base.words import SIGNS

if TYPE_CHECKING:
    from vit_trace.record.source.heard import Call, Execution

LONGEST_NAME = 32
"""Characters of source that may stand for a step; else the operation does."""

Run = list[Stage]
"""Steps in a row that give the same shapes."""


def without_self(text: str) -> str:
    """Source as it is shown in a note: without `self.`."""
    return re.sub(r"\bself\.", "", text)


def joined_lines(text: str) -> str:
    """Source over several lines on one."""
    return re.sub(r"\s*\n\s*", " ", re.sub(r"(?<=[(\[{])\s*\n\s*|,?\s*\n\s*(?=[)\]}])|\s*\n\s*(?=\.)", "", text))


class Steps:
    """The stages of a trace by the stage they are in."""

    def __init__(self, trace: Trace) -> None:
        self.stages = trace.stages
        self.children: dict[int | None, list[Stage]] = {}
        for stage in trace.stages:
            self.children.setdefault(stage.parent, []).append(stage)

    def notes(self, call: Call, run: Execution, bound: Sequence[TensorSpec]) -> list[Note]:
        """The steps of one run of a statement on the way to what it bound, and the operands they broadcast."""
        steps = [inner for stage in self.of(call, run) for inner in self.expanded(stage)]
        runs = [list(run) for _, run in groupby(steps, lambda step: [spec.shape for spec in step.outputs])]
        operands = [note for stage in steps for note in _operands_of(stage, steps)]
        last = _last_runs(runs)
        if last and bound and _shapes(bound) <= {shape for run in last for shape in _shapes(run[-1].outputs)}:
            runs = runs[: -len(last)]
        return [*_told(runs, call.stage), *operands]

    def of(self, call: Call, run: Execution) -> Iterator[Stage]:
        """The stages opened by the statement itself, not within what it calls."""
        unit = run.unit
        for stage in self.stages[run.start : run.end]:
            source = stage.source
            if stage.parent != call.stage or source is None or not stage.outputs:
                continue
            if source.file == call.function.file and unit.first <= source.line <= unit.last:
                yield replace(stage, source=replace(source, text="")) if call.function.problem else stage

    def expanded(self, stage: Stage) -> Iterator[Stage]:
        """What a library's container runs on the same line, in its place."""
        inside = [inner for inner in self.children.get(stage.index, ()) if inner.source == stage.source]
        if stage.kind != "module" or not inside or not all(inner.outputs for inner in inside):
            yield stage
            return
        for inner in inside:
            yield from self.expanded(inner)


def _shapes(specs: Sequence[TensorSpec]) -> set[tuple[int, ...]]:
    return {spec.shape for spec in specs}


def _last_runs(runs: Sequence[Run]) -> Sequence[Run]:
    """The last run, with those before it that the same expression made, for one element of several after the other."""
    first = len(runs) - 1
    while first > 0 and all(
        stage.source == last.source and stage.parent == last.parent and stage.kind != "module"
        for last in runs[-1][-1:]
        for stage in runs[first - 1]
    ):
        first -= 1
    return runs[max(first, 0) :]


def _told(runs: Sequence[Run], around: int) -> Iterator[Note]:
    """The notes of the steps; `around` is the stage that the statement itself runs in."""
    for place, run in enumerate(runs):
        before, first = runs[place - 1][-1], run[0]
        again = before.source == first.source and around in (before.parent, first.parent)
        follows = bool(place) and not again and inside(before.source, first.source)
        outputs = tuple(replace(spec, path="") for spec in run[-1].outputs)
        counts = Counter(name(stage) for stage in run)
        texts = (f"{each} ×{count}" if count > 1 else each for each, count in counts.items())
        yield Note("step", ", ".join(texts), outputs, follows=follows)


def inside(inner: Source | None, outer: Source | None) -> bool:
    """Whether one span of source lies within another of the same statement."""
    if inner is None or outer is None:
        return False
    starts = (outer.line, outer.column) <= (inner.line, inner.column)
    return starts and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)


def name(stage: Stage) -> str:
    """A step in a few words: the call as it is written if that is short, a module inside a container by its class."""
    if stage.pattern and stage.kind == "module":
        return stage.pattern.replace("->", "→")
    text = without_self(joined_lines(stage.source.text)) if stage.source else ""
    short = len(text) <= LONGEST_NAME
    if stage.kind == "module":
        called = text.partition("(")[0].rpartition(".")[2]
        return text if short and called and called == stage.module.rpartition(".")[2] else stage.operation
    if text and short and text.count("(") <= 1 + text.count("()"):
        return text
    return stage.operation


def _operands_of(stage: Stage, steps: Sequence[Stage]) -> Iterator[Note]:
    """What arithmetic broadcasts: an operand of another shape than the result, that is no step itself."""
    if stage.kind != "function" or stage.operation not in SIGNS or len(stage.inputs) < 2 or not stage.outputs:
        return
    made = {spec.shape for other in steps if other is not stage for spec in other.outputs}
    texts = _operand_texts(stage.source.text if stage.source else "")
    for spec in stage.inputs:
        if spec.shape and spec.shape != stage.outputs[0].shape and spec.shape not in made:
            text = texts[int(spec.path[1])] if texts and spec.path in ("[0]", "[1]") else "operand"
            yield Note("operand", text, (replace(spec, path=""),))


def _operand_texts(text: str) -> tuple[str, str] | None:
    """The two sides of `a + b` or `a += b`."""
    for source in (f"({text})", text):
        with contextlib.suppress(SyntaxError):
            match ast.parse(source).body:
                case [ast.Expr(value=ast.BinOp(left=left, right=right)) | ast.AugAssign(target=left, value=right)]:
                    sides = [ast.get_source_segment(source, side) or "" for side in (left, right)]
                    one, other = (cut_text(without_self(joined_lines(side)), LONGEST_NAME + 8) for side in sides)
                    return one, other
    return None


def cut_text(text: str, limit: int) -> str:
    """The text, cut off where it is longer than the limit."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
