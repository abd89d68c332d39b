"""Finds weights of attention that are summed over another axis than the one over which they sum to one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from torch import Tensor

from vit_trace.mixing.coordinates import PRODUCTS
from vit_trace.mixing.measure import Measured
from vit_trace.mixing.watch import Event

SOFTMAX = {"softmax", "_softmax", "softmin"}
DIVIDES = {"div", "div_", "__truediv__", "true_divide", "__itruediv__"}
SUMS = PRODUCTS | {"einsum"}


def attention(measured: Measured) -> Event | None:
    """The first product of two tensors that both hang on the input."""
    alive = measured.alive
    for event in measured.events:
        meets = event.name in SUMS | {"scaled_dot_product_attention"} and len(event.given) > 1
        if meets and all(id(one) in alive for one in event.given[:2]):
            return event
    return None


def lost_late(measured: Measured, event: Event | None) -> bool:
    """Whether an event comes after the first attention."""
    first = attention(measured)
    return first is not None and (event is None or measured.events.index(first) < measured.events.index(event))


def softmaxes(measured: Measured) -> Iterator[tuple[Event, Event, int, int]]:
    """Each softmax whose weights no product sums over its own axis: the softmax, a product, and the axes of both.

    Weights that are divided by a sum of theirs afterwards are left out.
    """
    coordinates, events = measured.usual.watched.coordinates, measured.events
    made = {id(event.made[0]): event for event in events if event.name in SOFTMAX and len(event.mixed) == 1}
    uses: dict[int, list[tuple[Event, int, bool]]] = defaultdict(list)
    divided = set()
    for event in events:
        for place, tensor in enumerate(event.given):
            origin = coordinates.origins.get(id(tensor))
            if origin is None or origin.base not in made or event is made[origin.base]:
                continue
            if event.name in DIVIDES and len(event.given) > 1:
                divided.add(origin.base)
            for axis in _summed(event, place) if event.name in SUMS else ():
                own = made[origin.base].mixed[0][1]
                uses[origin.base].append((event, axis, own in _varying(measured, tensor, axis)))
    for base, found in uses.items():
        if base not in divided and not any(right for *_, right in found):
            yield made[base], found[0][0], made[base].mixed[0][1], found[0][1]


def _summed(event: Event, place: int) -> list[int]:
    return [axis for at, axis in event.mixed if at == place]


def _varying(measured: Measured, tensor: Tensor, axis: int) -> set[int]:
    return measured.usual.watched.coordinates.varying(tensor, axis)
