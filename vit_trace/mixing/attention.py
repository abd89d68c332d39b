"""Finds weights of attention that are summed over another axis than the one over which they sum to one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import takewhile

from torch import Tensor

from vit_trace.mixing.coordinates import LAST, PRODUCTS
from vit_trace.mixing.measure import Measured, asked_once
from vit_trace.mixing.watch import SOFTMAX, Event

TIMES = {"mul", "__mul__", "__rmul__", "mul_", "__imul__"}
POOLS = {"mean", "sum", "amax", "max"}
DIVIDES = {"div", "div_", "__truediv__", "true_divide", "__itruediv__"}
SUMS = PRODUCTS | {"einsum"}
MASKS = {"masked_fill", "masked_fill_"}
MEETS = SUMS | {"scaled_dot_product_attention"}


def attentions(measured: Measured) -> Iterator[Event]:
    """The products of two tensors that both hang on the input."""
    return (one for one in measured.events if _attends(measured, one))


@asked_once
def of_one_token(measured: Measured) -> Iterator[Event]:
    """Attention whose values are one token's for all keys, or the step that picks one token of those that ask."""
    for event in attentions(measured):
        values = event.given[2] if event.name == "scaled_dot_product_attention" else event.given[-1]
        weighs = event.name == "scaled_dot_product_attention" or id(event.given[0]) in _weights(measured)
        if (
            weighs
            and values.ndim > 2
            and values.shape[-2] > 1
            and all(map(_of_one_place, (values, *measured.twice(values))))
        ):
            yield event
        elif weighs and values.ndim > 2 and values.shape[-2] == 1:
            picks = [one for one in measured.leading_to([values]) if one.picked and id(one.given[0]) in measured.alive]
            if picks and measured.comes_from(event.given[0], picks[-1].given[0]):
                yield picks[-1]


def _of_one_place(values: Tensor) -> bool:
    alike = (values == values[..., :1, :]).all()
    return bool(alike and (values != values[:1]).any())  # where all are alike the copy is too small


def _weights(measured: Measured) -> set[int]:
    """What a softmax makes, by identity."""
    return {id(one) for event in measured.events if event.name in SOFTMAX for one in event.made}


def last_attention(measured: Measured, event: Event | None) -> Event | None:
    """The last attention before an event, or at all; None if there is none."""
    before = [*takewhile(lambda one: one is not event, measured.events)]
    return next((one for one in reversed(before) if _attends(measured, one)), None)


def scores_of(measured: Measured, event: Event) -> Event:
    """The product that the weights of an attention were made by; the attention itself where it is one step."""
    before = measured.leading_to(event.given[:1]) if id(event.given[0]) in measured.alive else []
    weighs = event.name != "scaled_dot_product_attention" and any(one.name in SOFTMAX for one in before)
    return next((one for one in reversed(before) if weighs and _attends(measured, one)), event)


def _attends(measured: Measured, event: Event) -> bool:
    return event.name in MEETS and len(event.given) > 1 and all(id(one) in measured.alive for one in event.given[:2])


@asked_once
def softmaxes(measured: Measured) -> Iterator[tuple[Event, Event, int, int | None]]:
    """Each softmax of scores whose weights no product sums over its own axis: it, a product, and the axes of both.

    No axis of the product where it sums over none. Weights that are divided by a sum of theirs afterwards are left out;
    a product with a parameter only mixes heads.
    """
    coordinates, events = measured.usual.watched.coordinates, measured.events
    made = {id(one.made[0]): one for one in events if one.name in SOFTMAX and len(one.mixed) == 1}
    made = {base: one for base, one in made.items() if _of_scores(measured, one)}
    uses: dict[int, list[tuple[Event, int | None, bool]]] = defaultdict(list)
    divided = set()
    for event in events:
        for place, tensor in enumerate(event.given):
            origin = coordinates.origins.get(id(tensor))
            if origin is None or origin.base not in made or event is made[origin.base]:
                continue
            if (event.name in DIVIDES and len(event.given) > 1) or event.name in POOLS:
                divided.add(origin.base)
            own, meets = made[origin.base].mixed[0][1], event.name in SUMS | TIMES
            summed = [axis for at, axis in event.mixed if at == place]
            for axis in (*summed, *[None] * (not summed)) if meets and _all_alive(measured, event) else ():
                right = axis is not None and own in coordinates.varying(tensor)[axis]
                uses[origin.base].append((event, axis, right))
    for base, found in uses.items():
        if base not in divided and not any(right for *_, right in found):
            yield made[base], found[0][0], made[base].mixed[0][1], found[0][1]


@asked_once
def masks_of_queries(measured: Measured) -> Iterator[Event]:
    """Masks that are the same for every key: softmax of what they leave gives each masked query all keys alike."""
    axes = {id(one.given[0]): one.mixed[0][1] for one in measured.events if one.name in SOFTMAX and len(one.mixed) == 1}
    for event in measured.events:
        scores, axis = event.made[0], axes.get(id(event.made[0]))
        if event.name not in MASKS or axis is None or len(event.given) < 2 or event.given[1].ndim != scores.ndim:
            continue
        mask, before = event.given[1], measured.leading_to(event.given[:1])
        masked = any(one.name in MASKS for one in before[-2:])
        if mask.shape[axis] == 1 < scores.shape[axis] and mask.shape[axis - 1] > 1 and not masked:
            yield event


def _of_scores(measured: Measured, softmax: Event) -> bool:
    """Whether a softmax is of products of what hangs on the input, and not of what a layer makes."""
    before = [one for one in measured.leading_to(softmax.given[:1]) if id(one.made[0]) in measured.alive]
    last = next((one for one in reversed(before) if one.name in LAST or _attends(measured, one)), None)
    return last is not None and last.name not in LAST


@asked_once
def of_one_score(measured: Measured) -> Iterator[Event]:
    """Softmax of the one score that a layer makes for each token: its weights are all 1."""
    for event in measured.events:
        before = measured.leading_to(event.given[:1])[-1:] if event.name in SOFTMAX else []
        if before and before[0].name == "linear" and before[0].given[1].shape[0] == 1 and not event.mixed:
            yield event


def _all_alive(measured: Measured, event: Event) -> bool:
    return len(event.given) > 1 and all(id(one) in measured.alive for one in event.given)
