"""Finds the tokens that are picked after the last step where they meet, and which of them are class tokens."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from vit_trace.mixing.coordinates import PRODUCTS
from vit_trace.mixing.measure import Measured
from vit_trace.mixing.watch import JOINS, Event

FEW = 4
"""Tokens below which nothing is said."""

MEETS = PRODUCTS | {"einsum", "scaled_dot_product_attention", "softmax", "conv1d", "conv2d", "conv3d"}


@dataclass(frozen=True)
class Readout:
    """The token that is read, or left out: in words; and the step that picks."""

    event: Event
    what: str


def odd_readouts(measured: Measured) -> Iterator[Readout]:
    """One patch that is read alone, or left out alone; a learned token that is read in place of the class token."""
    events = measured.events
    last = max((at for at, event in enumerate(events) if event.name in MEETS and event.mixed), default=-1)
    picks: dict[tuple[int, int], list[tuple[Event, frozenset[int]]]] = defaultdict(list)
    used: set[int] = set()
    for event in events[last + 1 :]:
        source = id(event.given[0]) if event.given else 0
        if event.picked is not None and source in measured.alive:
            for axis, kept in event.picked.items() if not _crops(event) else ():
                picks[source, axis].append((event, kept))
        else:
            used |= {id(one) for one in event.given}
    for (source, axis), found in picks.items():
        tensor = found[0][0].given[0]
        if source in used or not 0 < axis < tensor.ndim - 1 or tensor.shape[axis] < FEW:
            continue
        kept = frozenset[int]().union(*(places for _, places in found))
        learned = _learned(measured, events, tensor.shape[axis])
        if learned is None:
            continue
        what = _judged(kept, tensor.shape[axis], learned)
        for _, places in found:
            what = what or _beside_class(places, learned)
        if what is not None and not measured.is_output(tensor):
            yield Readout(found[0][0], what)


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
    if others and 0 < len(read) < len(patches):
        return f"reads {learned[others[0]]} among the patches, and leaves {len(patches) - len(read)} patches out"
    return None


def _beside_class(kept: frozenset[int], learned: dict[int, str]) -> str | None:
    """That one token is read alone and is not the class token, which the model has."""
    classes = [place for place, name in learned.items() if _is_class(name)]
    if len(kept) != 1 or not classes or kept & set(classes):
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
                    origin = origins.get(id(one))
                    name = measured.parameters.get(origin.base if origin is not None else id(one))
                    if name is not None and id(one) not in measured.alive:
                        found |= {place + at: name for at in range(count)}
                    place += count
                if found:
                    return found
    return None if _has_learned(measured) else {}


def _has_learned(measured: Measured) -> bool:
    """Whether the model has class tokens or registers by their names."""
    return any(_is_class(name) or re.search(r"regist|reg_?tok", name) for name in measured.parameters.values())
