"""Finds tokens that end at another place than they came from, and tokens that depend on no other: by gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from vit_trace.mixing.attention import last_attention
from vit_trace.mixing.coordinates import BATCH, CONVOLUTIONS, MOVES
from vit_trace.mixing.gradients import depends
from vit_trace.mixing.measure import CopyRun, Measured
from vit_trace.mixing.sums import ADDS, batch_axis
from vit_trace.mixing.watch import Event

ASKED = 12
"""Tokens that are asked of a tensor at most."""

MEETING = 2.02
"""Patches that a token has to depend on at least, its own among them, to have met others."""

FEW = 4
"""Tokens below which nothing is said."""

EQUAL = 2
"""Equal blocks that are asked: windows are shifted in every second one."""


def displaced(measured: Measured) -> Iterator[tuple[Event, Event]]:
    """Sums of a tensor and of what was made of it where a token meets the result of others alone.

    Gives the sum, and the last step on the way that moved values.
    """
    graph, seen = measured.graph, Counter[object]()
    events = graph.watched.events if graph is not None else []
    for at, event in enumerate(events):
        if event.name not in ADDS or len(event.given) != 2 or event.given[0].shape != event.given[1].shape:
            continue
        source = measured.stage(event).source
        line = (source.file, source.line, event.given[0].shape) if source is not None else at
        seen[line] += 1
        if seen[line] > EQUAL:
            continue
        for stream, branch in (event.given, event.given[::-1]):
            if stream.ndim > 2 and _displaces(measured, branch, stream):
                yield measured.events[at], measured.events[_last_move(events, at, branch)]
                return


def _displaces(measured: Measured, branch: Tensor, stream: Tensor) -> bool:
    """Whether tokens of a branch depend on tokens of the stream, and never on their own."""
    size = prod(stream.shape[1:-1])
    if size < FEW or stream.shape[0] % BATCH:
        return False
    for place in _asked_places(size):
        index = (0, *_unflat(place, stream.shape[1:-1]))
        on = depends(measured.graph, branch[index], stream) if measured.graph is not None else None
        if on is None or not on.any():
            return False
        if not on[index].any():
            return True
    return False


def _asked_places(size: int) -> list[int]:
    """A few places, spread so that no side of a grid divides the steps between them."""
    return sorted({(1 + 7 * at + at * at) % size for at in range(ASKED)})


def _unflat(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(one) for one in torch.arange(prod(shape)).reshape(shape).eq(place).nonzero()[0])


def _last_move(events: list[Event], at: int, branch: Tensor) -> int:
    """The place of the last event before another that moved what led to a tensor; that event where there is none."""
    wanted = {id(branch)}
    for place in range(at - 1, -1, -1):
        event = events[place]
        if any(id(one) in wanted for one in event.made):
            if event.name in MOVES and event.name not in ("contiguous", "clone", "detach", "__getitem__"):
                return place
            wanted |= {id(one) for one in event.given}
    return at


def _image(measured: Measured) -> Tensor | None:
    """The one image that a forward with gradients was given; None for none or several."""
    starts = measured.graph.starts.values() if measured.graph is not None else ()
    images = [one for one in starts if one.requires_grad and one.ndim == 4]
    return images[0] if len(images) == 1 else None


def alone(measured: Measured) -> Event | None:
    """The last event that makes tokens, where a token of them depends on no pixels but those of its own patch.

    None where an attention comes after it: there were too few tokens left then to ask.
    """
    graph, image = measured.graph, _image(measured)
    if graph is None or image is None:
        return None
    weighed = _weighed(measured)
    for event, seen in zip(reversed(measured.events), reversed(graph.watched.events), strict=True):
        if event.name in MOVES or not any(id(one) in weighed for one in event.made):
            continue
        for made, tokens in zip(event.made, seen.made, strict=True):
            if tokens.ndim != 3 or not tokens.requires_grad or tokens.shape[2] < 2:
                continue
            batch = batch_axis(measured, made)
            if batch in (-3, -2) and tokens.shape[-5 - batch] >= FEW:
                met = last_attention(measured, None)
                if met is not last_attention(measured, event) or (met is None and _convolved(measured, event)):
                    return None
                return event if _keeps_to_itself(graph, tokens.movedim(batch, 0), image) else None
    return None


def _convolved(measured: Measured, event: Event) -> bool:
    """Whether a convolution after an event lets places of a map meet."""
    later = measured.events[measured.events.index(event) :]
    return any(one.name in CONVOLUTIONS and any(axis > 1 for _, axis in one.mixed) for one in later)


def _weighed(measured: Measured) -> set[int]:
    """The tensors that some parameter was made into, by identity: patches that are only cut are none."""
    found: set[int] = set()
    for event in measured.events:
        if any(id(one) in measured.parameters or id(one) in found for one in event.given):
            found |= {id(one) for one in event.made}
    return found


def _keeps_to_itself(graph: CopyRun, tokens: Tensor, image: Tensor) -> bool:
    """Whether no token of the first image depends on the pixels of more than its own patch and one other."""
    asked = False
    for place in _asked_places(tokens.shape[1]):
        on = depends(graph, tokens[0, place], image)
        if on is not None and on.any():
            asked = True
            if on[0].any(0).float().mean().item() > MEETING / (tokens.shape[1] - 1):
                return False
    return asked


def turned_map(measured: Measured) -> Event | None:
    """The first event that turns a map which comes out turned: its rows depend most on columns of the input."""
    graph, image = measured.graph, _image(measured)
    if graph is None or image is None:
        return None
    if not any(_turned(measured, one, image) for one in graph.outputs if one.ndim == 4 and one.requires_grad):
        return None
    for event, seen in zip(measured.events, graph.watched.events, strict=True):
        for made in seen.made:
            maps = (made, made.permute(0, 3, 1, 2)) if made.ndim == 4 and made.requires_grad else ()
            if any(_turned(measured, one, image) for one in maps):
                return event
    return None


def _turned(measured: Measured, made: Tensor, image: Tensor) -> bool:
    rows, columns = made.shape[-2:]
    own = turned = 0
    for row, column in ((0.2, 0.8), (0.8, 0.2), (0.3, 0.7), (0.1, 0.6), (0.9, 0.4)):
        place = (int(row * rows), int(column * columns))
        on = depends(measured.graph, made[0, :, place[0], place[1]], image) if measured.graph is not None else None
        if on is None or not on.any():
            return False
        heat = on[0].sum(0)
        down, across = divmod(int(heat.flatten().argmax()), heat.shape[1])
        at = (down + 0.5) / heat.shape[0], (across + 0.5) / heat.shape[1]
        near = [abs(at[0] - one) + abs(at[1] - two) for one, two in ((row, column), (column, row))]
        own, turned = own + (near[0] < near[1]), turned + (near[1] < near[0])
    return own == 0 and turned == 5
