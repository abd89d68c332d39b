"""Finds what the outputs of a small copy do not depend on: parts of the input, modules, parameters."""

from __future__ import annotations

import ast
import linecache
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from math import prod

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vit_trace.base.trace import Source, Stage
from vit_trace.mixing.coordinates import BATCH, CATS
from vit_trace.mixing.gradients import gradients
from vit_trace.mixing.measure import Measured, all_same, asked_once, run_copy
from vit_trace.mixing.places import assigned_at
from vit_trace.mixing.sample import randomly, with_opposite_masks
from vit_trace.mixing.watch import SOFTMAX, Event
from vit_trace.record.meta.tensors import leaves
from vit_trace.targets.inputs import Inputs

LIBRARIES = ("timm", "transformers", "torchvision", "vit_pytorch", "torch")
"""Packages that keep spare parts in their models, for other uses of them."""

NEAR = 10
"""Lines after a module's call where the last use of its result is looked for."""

MOST = 0.5
"""Share of the pixels above which it is said that they are not looked at."""


@dataclass(frozen=True)
class Unused:
    """A part of the input on which no output depends: in words, its share of that input, and what loses it.

    `tokens`: it is all of an input of patches.
    """

    what: str
    share: float
    tokens: bool
    event: Event | None


@asked_once
def unused(measured: Measured) -> Iterator[Unused]:
    """Inputs, channels, frames and most pixels without effect: by their gradients, then by other values in them."""
    found = gradients(measured)
    inputs = [stage.name for stage in measured.trace.stages if stage.kind == "input"]
    names = dict(zip(measured.usual.starts, inputs, strict=False))  # those of whole numbers have no gradient
    for path, weight in found.inputs.items() if found is not None else ():
        name = names.get(path, f"input {path}")
        silent = weight == 0
        for what, where in _parts(name, silent):
            given = _with_others(measured, path, where)
            if where.any() and measured.runs_alike(given):
                yield Unused(
                    what, where.float().mean().item(), bool(silent.all()) and silent.ndim > 2, measured.loses(given)
                )
                break


@asked_once
def cut_off(measured: Measured) -> Event | None:
    """The first event that an output is made by after the last that hangs on the input; None where an output does."""
    chain = measured.leading_to(measured.usual.outputs)
    if not chain or any(id(one) in measured.alive for event in chain for one in event.made):
        return None
    hang = [event for event in measured.events if any(id(one) in measured.alive for one in event.made)]
    later = measured.events[measured.events.index(hang[-1]) + 1 :] if hang else []
    first = next((event for event in later if event in chain), chain[0])
    return _outermost(measured, first, hang)


@asked_once
def without_input(measured: Measured) -> Iterator[tuple[Event, str]]:
    """Layers whose result is returned for each image, and depends on no input, while other outputs do."""
    outputs = [one for one in measured.usual.outputs if one.ndim > 1 and one.shape[0] == BATCH]
    made = {id(one) for event in measured.events for one in event.made}
    dead = [one for one in outputs if id(one) in made and id(one) not in measured.alive]
    for output in dead if len(dead) < len(outputs) else ():
        if (event := _layer_behind(output, measured.events)) is not None:
            yield event, "makes an output that depends on no input"


def _layer_behind(tensor: Tensor, events: Sequence[Event]) -> Event | None:
    """The linear layer that a tensor comes from by its first operands; a step in place gives what it was given."""
    for event in reversed(events):
        if any(one is tensor for one in event.made):
            if event.name == "linear" or not event.given:
                return event if event.name == "linear" else None
            tensor = event.given[0]
    return None


@asked_once
def joined_twice(measured: Measured) -> Iterator[tuple[Event, str]]:
    """A cat that gets the same part of a tensor twice, from two places of the code: another part is left out.

    The same tensor twice counts where another part was taken beside it, and is not used.
    """
    origins = measured.usual.watched.coordinates.origins
    used = {id(one) for event in measured.events for one in event.given}
    picks = {id(event.made[0]): event for event in measured.events if event.picked is not None}
    left = {id(event.given[0]) for one, event in picks.items() if one not in used}
    for event in measured.events:
        known = [(one, origins.get(id(one))) for one in event.given] if event.name in CATS else []
        parts = [
            (one, at) for one, at in known if at is not None and at.moved is not None and id(one) in measured.alive
        ]
        for (one, first), (two, second) in combinations(parts, 2):
            whole = first.flat.numel() == prod(first.shape)
            again = one is not two or (id(two) in picks and id(picks[id(two)].given[0]) in left)
            if again and first.base == second.base and not whole and torch.equal(first.flat, second.flat):
                yield (event if one is two else picks.get(id(two), event)), "takes the same part twice"
                return


def _parts(name: str, silent: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What may be unused, from the whole to its parts, with the places of it."""
    if silent.all():
        yield f"{name}, an input", silent
    elif silent.ndim >= 3:
        every = silent.all(0)
        for axis in range(every.ndim - 2):
            rows = every.movedim(axis, 0).reshape(every.shape[axis], -1).all(1)
            for index in rows.nonzero().flatten().tolist():
                where = torch.zeros_like(silent)
                where.select(axis + 1, index).fill_(True)
                yield f"index {index} of axis {axis + 1} of {name}, which has {every.shape[axis]}", where
        if every.float().mean() >= MOST:
            yield f"{every.float().mean():.0%} of {name}", every.expand_as(silent)


def _with_others(measured: Measured, path: str, where: Tensor) -> Inputs:
    """The input with other values at some places of one tensor."""
    target = next(tensor for at, tensor in leaves(measured.given) if at == path)

    def change(tensor: Tensor) -> Tensor:
        return torch.where(where, randomly(tensor, 6), tensor) if tensor is target else tensor

    args, kwargs = tree_map_only(Tensor, change, measured.given)
    return args, kwargs


@dataclass(frozen=True)
class Unreached:
    """Trainable parameters without effect or gradient.

    `kind` is "dropped" (of a module whose result, or a part of it, has no effect), "unused" (of one that is never
    called) or "stopped" (what they make has an effect, and no gradient comes back).
    """

    kind: str
    names: str
    source: Source | None
    count: int
    tensors: int
    library: bool
    why: str = ""


@asked_once
def unreached(measured: Measured) -> Iterator[Unreached]:
    """The parameters that no gradient reaches, together where one line is to blame; rows of layers without effect."""
    found = gradients(measured)
    if found is None or cut_off(measured) is not None:
        return
    library = str(type(measured.model).__module__).partition(".")[0] in LIBRARIES
    sizes = {name: one.numel() for name, one in measured.model.named_parameters()}
    groups: dict[tuple[str, object], list[tuple[str, list[str], Source | None]]] = defaultdict(list)
    for owner, names in _by_owner(measured, set(found.unreached)).items():
        kind, source = _fate(measured, owner)
        if kind == "dropped":
            source = _last_use(measured, owner) or source
        line = None if kind == "stopped" else (source.file, source.line) if source else owner
        groups[kind, line].append((owner, names, source))
    for (kind, _), owners in groups.items():
        names = [name for _, some, _ in owners for name in some]
        text = owners[0][0] if len(owners) == 1 else f"{owners[0][0]} and {len(owners) - 1} more"
        source, why = owners[0][2], ""
        if kind == "stopped":
            kind, event = _stops(measured, names)
            if event is not None:
                source, why = measured.source(event) or source, f"{event.name} gives a result without a gradient"
        yield Unreached(kind, text, source, sum(sizes[name] for name in names), len(names), library, why)
    for name, rows in found.still.items():
        called = _calls(measured).get(name.rpartition(".")[0])
        if called is not None and called.operation == "Linear" and _rows_matter_not(measured, name, rows):
            what = f"{called.name}, in {int(rows.sum())} of its {len(rows)} features,"
            count = int(rows.sum()) * sizes[name] // len(rows)
            yield Unreached("dropped", what, called.source, count, 1, library)


@asked_once
def bare_statements(measured: Measured) -> Iterator[Stage]:
    """Stages that are statements of their own, change nothing in place, and whose result nothing else uses.

    And masks of what a softmax reads that nothing reads.
    """
    outputs = {id(one) for one in measured.usual.outputs}
    read = outputs.union(id(one) for event in measured.events for one in event.given)
    scores = {id(event.given[0]) for event in measured.events if event.name in SOFTMAX}
    for event in measured.events:
        if event.name == "masked_fill" and id(event.made[0]) not in read and id(event.given[0]) in scores:
            yield measured.stage(event)
    for stage in measured.trace.stages:
        source = stage.source
        if source is None or measured.own(stage).index != stage.index:
            continue
        if (source.line, source.column) not in _statements("".join(linecache.getlines(source.file))):
            continue
        within = [_is_within(measured, event.step, stage.index) for event in measured.events]
        inside = [event for event, here in zip(measured.events, within, strict=True) if here]
        used = outputs.union(
            id(one) for event, here in zip(measured.events, within, strict=True) if not here for one in event.given
        )
        in_place = any(one is given for event in inside for one in event.made for given in event.given)
        if inside and not in_place and not any(id(one) in used for event in inside for one in event.made):
            yield stage


def _is_within(measured: Measured, place: int | None, outer: int) -> bool:
    while place is not None and place > outer:
        place = measured.trace.stages[place].parent
    return place == outer


@cache
def _statements(text: str) -> frozenset[tuple[int, int]]:
    """Where expressions begin that are whole statements: their lines and columns."""
    tree = ast.parse(text)
    return frozenset((one.lineno, one.col_offset) for one in ast.walk(tree) if isinstance(one, ast.Expr))


def _calls(measured: Measured) -> dict[str, Stage]:
    """The first call of each module that was called."""
    return {stage.module: stage for stage in reversed(measured.trace.stages) if stage.kind == "module"}


def _by_owner(measured: Measured, lost: set[str]) -> dict[str, list[str]]:
    """The names by the outermost module, called if one is, that has only such parameters; else each by itself."""
    trainable = {name for name, one in measured.model.named_parameters() if one.requires_grad}
    called = set(_calls(measured))
    owners: dict[str, list[str]] = defaultdict(list)
    for name in sorted(lost):
        parts = name.split(".")[:-1]
        paths = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        whole = [path for path in paths if all(one in lost for one in trainable if one.startswith(path + "."))]
        met = [path for path in whole if path in called]
        inside = [path for path in whole if any(one.startswith(path + ".") for one in called)]
        owners[(met or [path for path in whole if path not in inside] or [name])[0]].append(name)
    return owners


def _fate(measured: Measured, owner: str) -> tuple[str, Source | None]:
    """What became of a module's parameters or of one parameter, and the line to look at."""
    module, stage = dict(measured.model.named_modules()).get(owner), _calls(measured).get(owner)
    if stage is None:
        met = any(owner in (measured.parameters.get(id(one)),) for event in measured.events for one in event.given)
        return "stopped" if module is None and met else "unused", assigned_at(measured.model, owner)
    assert module is not None
    return "stopped" if _matters(measured, module) else "dropped", stage.source


def _last_use(measured: Measured, owner: str) -> Source | None:
    """The line that uses a module's result last, further on in the same file; None where none does."""
    stages, called = measured.trace.stages, _calls(measured)[owner]
    reaching: set[int] = set()
    found = called.source
    for event in measured.events:
        place: int | None = event.step
        while place is not None and place != called.index:
            place = stages[place].parent
        source = measured.source(event)
        if place == called.index:
            reaching |= {id(one) for one in event.made}
        elif any(id(one) in reaching for one in event.given):
            reaching |= {id(one) for one in event.made}
            if found is None or source is None or source.file != found.file:
                return None
            found = source if found.line < source.line < found.line + NEAR else found
    return found


def _stops(measured: Measured, names: list[str]) -> tuple[str, Event | None]:
    """Whether the gradient is "stopped" on the way from these parameters, or their result is "dropped"; and by what.

    It is stopped by an event that takes a tensor with a gradient and makes one without, or by the outermost stage that
    does only that; else the last that makes something of them is dropped.
    """
    reaching, last = {id(one) for name, one in measured.model.named_parameters() if name in names}, None
    events = measured.graph.watched.events if measured.graph is not None else []
    for event in events:
        if any(id(one) in reaching for one in event.given):
            if not any(event.graded):
                return "stopped", _outermost(measured, event, [one for one in events if any(one.graded)])
            reaching |= {id(one) for one in event.made}
            last = event
    return ("dropped", last) if last is not None else ("stopped", None)


def _outermost(measured: Measured, event: Event, marked: Sequence[Event]) -> Event:
    """The event, as one of the outermost stage around it that has none of the marked events in it."""
    stages, place = measured.trace.stages, event.step
    around = set()
    for one in marked:
        inner: int | None = one.step
        while inner is not None and inner not in around:
            around.add(inner)
            inner = stages[inner].parent
    while (parent := stages[place].parent) is not None and parent not in around:
        place = parent
    return event if place == event.step else replace(event, step=place, source=None)


def _matters(measured: Measured, module: nn.Module) -> bool:
    """Whether the outputs change with other values in what a module returns, under masks or under their opposites."""

    def other(_: nn.Module, given: object, made: object) -> object:
        return tree_map_only(Tensor, lambda one: randomly(one, 7) if one.is_floating_point() else one, made)

    for given in (measured.given, with_opposite_masks(measured.given)):
        before = run_copy(measured.model, given, None).outputs
        handle = module.register_forward_hook(other)
        try:
            after = run_copy(measured.model, given, None).outputs
        finally:
            handle.remove()
        if not all_same(before, after):
            return True
    return False


def _rows_matter_not(measured: Measured, name: str, rows: Tensor) -> bool:
    """Whether the outputs stay the same with other values in some rows of a parameter."""
    held = dict(measured.model.named_parameters())[name]
    before = held.data.clone()
    try:
        held.data[rows] = 3 * randomly(before[rows], 8)  # by .data: the graph of gradients does not mind it
        return all_same(run_copy(measured.model, measured.given, None).outputs, measured.usual.outputs)
    finally:
        held.data.copy_(before)
