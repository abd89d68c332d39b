"""Finds the tokens that are picked after the last step where they meet, and which of them are class tokens."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from vit_trace.mixing.coordinates import PRODUCTS
from vit_trace.mixing.gradients import depends
from vit_trace.mixing.measure import Measured, asked_once
from vit_trace.mixing.watch import JOINS, Event

FEW = 4
"""Tokens below which nothing is said."""

REGISTERS = r"regist|reg_?tok|storage_?tok"

MEETS = PRODUCTS | {"einsum", "scaled_dot_product_attention", "softmax", "conv1d", "conv2d", "conv3d"}


@dataclass(frozen=True)
class Readout:
    """The token that is read, or left out: in words; and the step that picks."""

    event: Event
    what: str


@asked_once
def odd_readouts(measured: Measured) -> Iterator[Readout]:
    """One patch that is read alone, or left out alone; a learned token that is read in place of the class token."""
    events = measured.leading_to(measured.usual.outputs)
    picks: dict[tuple[int, int], list[tuple[Event, frozenset[int]]]] = defaultdict(list)
    used: set[int] = set()
    read = {id(one) for some in (*(event.given for event in events), measured.usual.outputs) for one in some}
    for event in events:
        source = id(event.given[0]) if event.given else 0
        if event.picked is not None and source in measured.alive:
            for axis, kept in event.picked.items() if not _crops(event) and id(event.made[0]) in read else ():
                picks[source, axis].append((event, kept))
        else:
            used |= {id(one) for one in event.given}
    for (source, axis), found in picks.items():
        tensor = found[0][0].given[0]
        if source in used or not 0 < axis < tensor.ndim - 1 or tensor.shape[axis] < FEW:
            continue
        if any(_meets_later(events, event, len(places)) for event, places in found):
            continue
        kept = frozenset[int]().union(*(places for _, places in found))
        learned = _learned(measured, events[: events.index(found[0][0])], tensor.shape[axis])
        if learned is None:
            continue
        what = _judged(kept, tensor.shape[axis], learned)
        for _, places in found:
            what = what or _beside_class(places, tensor.shape[axis], learned)
        if what is not None and not measured.is_output(tensor) and _sees_all(measured, tensor, axis, learned):
            yield Readout(found[0][0], what)


def _meets_later(events: list[Event], pick: Event, count: int) -> bool:
    """Whether the tokens that are picked meet each other, or others, after that."""
    hang = {id(one) for one in pick.made}
    for event in events[events.index(pick) + 1 :]:
        if any(id(one) in hang for one in event.given):
            hang |= {id(one) for one in event.made}
            sizes = [event.given[at].shape[axis] for at, axis in event.mixed if event.name in MEETS]
            if any(size != pick.given[0].shape[-1] for size in sizes[:1]) and count > 1:
                return True
    return False


def _sees_all(measured: Measured, tensor: Tensor, axis: int, learned: dict[int, str]) -> bool:
    """Whether the first patch depends on about as much of an image as the last: no causal attention, no text."""
    graph = measured.graph
    images = [one for one in graph.starts.values() if one.requires_grad and one.ndim > 2] if graph is not None else []
    pairs = zip(measured.events, graph.watched.events if graph is not None else (), strict=False)
    made = [two for event, seen in pairs for one, two in zip(event.made, seen.made, strict=True) if one is tensor]
    patches = [place for place in range(tensor.shape[axis]) if place not in learned]
    if graph is None or not made or not patches:
        return False
    for image in images:
        first, last = (depends(graph, made[0][0].select(axis - 1, patches[at]), image) for at in (0, -1))
        if first is not None and last is not None and (first > 0).sum() * 2 > (last > 0).sum():
            return True
    return False


def _crops(event: Event) -> bool:
    """Whether it cuts off what was padded: along several axes, or a slice of a map."""
    tensor = event.given[0]
    return len(event.picked or ()) > 1 or (tensor.ndim > 3 and event.made[0].ndim == tensor.ndim)


def _judged(kept: frozenset[int], size: int, learned: dict[int, str]) -> str | None:
    """What is odd about reading these of so many tokens, some of them learned ones by their names."""
    patches = [place for place in range(size) if place not in learned]
    read = [place for place in patches if place in kept]
    classes = [place for place, name in learned.items() if _is_class(name)]
    if len(read) == 1 < len(patches) and len(kept) == 1:
        more = f", and the class token is token {classes[0]}" if classes else ""
        return f"reads token {read[0]} alone, which is one of {len(patches)} patches{more}"
    if len(read) == len(patches) - 1 >= FEW - 1:
        (missing,) = set(patches) - set(read)
        return f"leaves out token {missing}, which is one of {len(patches)} patches"
    others = [place for place in learned if place in kept and place not in classes]
    scratch = [place for place in others if re.search(REGISTERS, learned[place].lower())]
    if scratch and not read:
        return f"reads {learned[scratch[0]]}, and no patch"
    if others and 0 < len(read) < len(patches):
        return f"reads {learned[others[0]]} among the patches, and leaves {len(patches) - len(read)} patches out"
    return None


def _beside_class(kept: frozenset[int], size: int, learned: dict[int, str]) -> str | None:
    """That the class token is left out, and another token is read alone, or registers with all patches."""
    scratch = [place for place, name in learned.items() if place in kept and re.search(REGISTERS, name.lower())]
    classes = [place for place, name in learned.items() if _is_class(name)]
    if not classes or kept & set(classes):
        return None
    if scratch and {*range(size)} - {*learned} <= kept:
        return f"reads {learned[scratch[0]]} among the patches"
    if len(kept) != 1:
        return None
    (place,) = kept
    if place in learned and len(set(learned.values())) > 1 and any(word in learned[place] for word in ("dist", "mask")):
        return None
    what = f", {learned[place]}," if place in learned else ", a patch,"
    return f"reads token {place}{what} and the class token is token {classes[0]}"


def _is_class(name: str) -> bool:
    return re.search(r"cls|class_?(tok|emb)", name.lower()) is not None


def _learned(measured: Measured, events: list[Event], size: int) -> dict[int, str] | None:
    """The places of learned tokens among so many, by the last step that joins them with others: their names.

    None where the model has learned tokens and no such step is seen.
    """
    origins = measured.usual.watched.coordinates.origins
    for event in reversed(events):
        if event.name not in JOINS or not event.made or event.made[0].ndim < 3:
            continue
        for axis in range(1, event.made[0].ndim - 1):
            sizes = [one.shape[axis] if one.ndim == event.made[0].ndim else 0 for one in event.given]
            if sum(sizes) == event.made[0].shape[axis] == size and len(sizes) > 1 and 0 not in sizes:
                found: dict[int, str] = {}
                place = 0
                for one, count in zip(event.given, sizes, strict=True):
                    pick = next((event for event in events if event.picked and event.made[0] is one), None)
                    if pick is not None and axis in (pick.picked or ()) and pick.given[0].shape[axis] != size:
                        inner = _learned(measured, events[: events.index(pick)], pick.given[0].shape[axis]) or {}
                        kept = enumerate(sorted((pick.picked or {})[axis]))
                        found |= {place + at: inner[was] for at, was in kept if was in inner}
                    origin = origins.get(id(one))
                    bases = [origin.base if origin is not None else id(one)]
                    bases += [id(given) for event in measured.leading_to([one]) for given in event.given]
                    names = [measured.parameters[base] for base in bases if base in measured.parameters]
                    if names and id(one) not in measured.alive:
                        name = next(filter(_is_class, names), names[0])
                        found |= {place + at: name for at in range(count)}
                    place += count
                if found:
                    return found
    return None if _has_learned(measured) else {}


def _has_learned(measured: Measured) -> bool:
    """Whether the model has class tokens or registers by their names."""
    return any(_is_class(name) or re.search(REGISTERS, name) for name in measured.parameters.values())
