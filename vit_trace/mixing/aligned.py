"""Finds tokens that end at another place than they came from, and tokens that depend on no other: by gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import prod

import torch
from torch import Tensor

from vit_trace.mixing.attention import last_attention
from vit_trace.mixing.coordinates import BATCH, COMPARES, CONVOLUTIONS, LAST, MOVES, RESHAPES, TURNS, Origin
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
        if (moved := _put_elsewhere(measured, at)) is not None:
            yield measured.events[at], moved
            return
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


def _put_elsewhere(measured: Measured, at: int) -> Event | None:
    """The first move back to the tokens that a sum adds to which does not undo what was done to them before a layer."""
    chain, origins = measured.leading_to(measured.events[at].given), measured.usual.watched.coordinates.origins
    ways = [origins[id(one.given[0])] for one in reversed(chain) if one.name in LAST and id(one.given[0]) in origins]
    for back in (origins.get(id(one)) for one in measured.events[at].given):
        for there in ways if back is not None and back.moves else ():
            same = back is not None and there.flat.shape[:-1] == back.shape[:-1]
            if back is not None and same and there.moves and there.flat.shape[-1] == there.shape[-1]:
                step = _first_unlike(there, back)
                return next((one for one in measured.events if one.step == step), None)
    return None


def _first_unlike(there: Origin, back: Origin) -> int | None:
    """The first move back that arranges tokens as no move on the way there did, where they end elsewhere."""
    wide, width = there.shape[-1], back.shape[-1]
    flats = (torch.arange(prod(there.shape)).reshape(there.shape), *(flat for _, _, flat in there.moves))
    known = [flat[..., 0] // wide for flat in flats if flat.shape[-1] == wide]
    tokens = known[-1].flatten()
    found = [(step, tokens[flat[..., 0] // width]) for step, _, flat in back.moves if flat.shape[-1] == width]
    if not found or found[-1][1].shape != known[0].shape or torch.equal(found[-1][1], known[0]):
        return None
    return next((step for step, one in found if not any(torch.equal(one, other) for other in known)), None)


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
    """The one image or video that a forward with gradients was given; None for none or several."""
    starts = measured.graph.starts.values() if measured.graph is not None else ()
    images = [one for one in starts if one.requires_grad and one.ndim in (4, 5)]
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
            if tokens.ndim not in (3, image.ndim - 1) or not tokens.requires_grad or tokens.shape[-1] < 2:
                continue
            batch = batch_axis(measured, made)
            if (batch in (-3, -2) and tokens.shape[-5 - batch] >= FEW) or batch == -4:
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
    """Whether each token of the first image depends on the pixels of no more than its own patch and one other."""
    many = max(tokens.shape[1:-1])  # of frames × patches, the patches
    seen = torch.zeros(image.shape[-2:], dtype=torch.bool)
    most = 0.0
    for place in _asked_places(prod(tokens.shape[1:-1])):
        on = depends(graph, tokens[0].flatten(0, -2)[place], image)
        if on is not None and on.any():
            own = on[0].flatten(0, -3).any(0)
            most, seen = max(most, own.float().mean().item()), seen | own
    return 0 < most <= MEETING / (many - 1) and seen.float().mean().item() > 1.5 * most


ASKED_OF_MAPS = ((0.2, 0.8), (0.8, 0.2), (0.3, 0.7), (0.1, 0.6), (0.9, 0.4))
"""Places of a map that are asked, by their share of its rows and columns."""


def turned_map(measured: Measured) -> Event | None:
    """The first move after which a map that comes out has rows that depend most on columns of the input.

    Or the one that cuts tokens, which go down the columns of a grid, into rows of a map that a convolution reads.
    """
    graph, image = measured.graph, _image(measured)
    if graph is None or image is None or image.ndim != 4:
        return None
    pairs = list(zip(measured.events, graph.watched.events, strict=True))
    for event, seen in pairs:
        wide = event.name == "conv2d" and event.given[1].shape[-1] > 1 and seen.given[0].ndim == 4
        origin = measured.usual.watched.coordinates.origins.get(id(event.given[0])) if wide else None
        cut = origin is not None and origin.reshaped and len(origin.shape) == 3
        if cut and origin is not None and _lies(measured, seen.given[0], image, _reread):
            return next(one for one in measured.events if one.step == origin.mover)
    if not any(_lies(measured, one, image, _exchanged) for one in graph.outputs if one.ndim == 4 and one.requires_grad):
        return None
    for at, (event, seen) in enumerate(pairs):
        for made in seen.made if event.name in MOVES | TURNS else ():
            maps = (made, made.permute(0, 3, 1, 2)) if made.ndim == 4 and made.requires_grad else ()
            if any(_lies(measured, one, image, _exchanged) for one in maps):
                before = pairs[at - 1][0]
                turns = before.name in TURNS and event.name in RESHAPES and before.made[0] is event.given[0]
                return before if turns else event
    return None


def _exchanged(row: int, column: int, rows: int, columns: int) -> tuple[float, float]:
    return (column + 0.5) / columns, (row + 0.5) / rows


def _reread(row: int, column: int, rows: int, columns: int) -> tuple[float, float]:
    across, down = divmod(row * columns + column, rows)
    return (down + 0.5) / rows, (across + 0.5) / columns


def _lies(measured: Measured, made: Tensor, image: Tensor, other: Callable[..., tuple[float, float]]) -> bool:
    """Whether all places of a map that are asked depend most on what lies nearer to another place than to their own.

    Where a map is read again, deep in the model, it has to lie there.
    """
    rows, columns = made.shape[-2:]
    if other is _reread and (rows == columns or min(rows, columns) < FEW):  # rows for columns may be meant
        return False
    for down, across in ASKED_OF_MAPS:
        row, column = int(down * rows), int(across * columns)
        on = depends(measured.graph, made[0, :, row, column], image) if measured.graph is not None else None
        if on is None or not on.any():
            return False
        heat = on[0].sum(0)
        at = divmod(int(heat.flatten().argmax()), heat.shape[1])
        found = (at[0] + 0.5) / heat.shape[0], (at[1] + 0.5) / heat.shape[1]
        own, there = ((row + 0.5) / rows, (column + 0.5) / columns), other(row, column, rows, columns)
        near, far = (sum(abs(one - two) for one, two in zip(found, place, strict=True)) for place in (there, own))
        if near >= far or (other is _reread and near > 1 / min(rows, columns)):
            return False
    return True


def other_pieces(measured: Measured) -> Event | None:
    """The step that puts patches together in another order than those they are compared with were cut in."""
    coordinates = measured.usual.watched.coordinates
    outputs = [coordinates.origins.get(id(one)) for one in measured.usual.outputs if one.ndim == 4]
    for event in measured.events if any(outputs) else ():
        known = [coordinates.origins.get(id(one)) for one in event.given if event.name in COMPARES]
        for made, target in (known, known[::-1]) if len(known) == 2 else ():
            if made is None or target is None or target.base not in coordinates.images:
                continue
            if made.flat.shape != target.flat.shape:
                continue
            places = torch.full((prod(made.shape),), -1)
            places[made.flat.flatten()] = target.flat.flatten()
            for output in (one for one in outputs if one is not None and one.base == made.base):
                found = places[output.flat.flatten()]
                if (found >= 0).all() and (found != torch.arange(len(found))).any():
                    blamed = target if _across(target.flat, target.shape) else output
                    turns = [step for step, name, _ in blamed.moves if name in TURNS]
                    return next((one for one in measured.events if one.step in turns[-1:]), event)
    return None


def _across(patches: Tensor, image: tuple[int, ...]) -> bool:
    """Whether patches follow each other, or the pixels of one channel within them, down the columns."""
    first, order = patches[0].flatten(0, -2).amin(-1), patches[0].flatten(0, -2)[0]
    return any((one.diff() < 0).any() for one in (first, order[order < prod(image[-2:])]))
