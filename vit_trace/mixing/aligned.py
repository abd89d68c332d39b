"""Finds tokens that end at another place than they came from, and tokens that depend on no other: by gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from vit_trace.mixing.attention import last_attention
from vit_trace.mixing.coordinates import BATCH, CATS, COMPARES, CONVOLUTIONS, LAST, MOVES, RESHAPES, TURNS, Origin
from vit_trace.mixing.gradients import depends
from vit_trace.mixing.measure import CopyRun, Measured, asked_once
from vit_trace.mixing.sums import ADDS, batch_axis
from vit_trace.mixing.watch import Event

ASKED = 12
"""Tokens that are asked of a tensor at most."""

MEETING = 2.02
"""Patches that a token has to depend on at least, its own among them, to have met others."""

FEW = 4
"""Tokens below which nothing is said."""

ROUNDING = 1e-9
"""Share of the largest gradient up to which one is that of weights that sum to one: none, but for rounding."""

EQUAL = 2
"""Equal blocks that are asked: windows are shifted in every second one."""


@asked_once
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
                last = measured.events[_last_move(events, at, branch)]
                if last.made[0].numel() >= stream.numel():  # a shift of some features is meant
                    yield measured.events[at], last
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
    """The first move back to the tokens that a sum adds to which does not undo what was done to them before a layer.

    Or the last on the way there, where only the way back turns them, or where their windows are not as windows are.
    """
    chain, origins = measured.leading_to(measured.events[at].given), measured.usual.watched.coordinates.origins
    ways = [origins[id(one.given[0])] for one in reversed(chain) if one.name in LAST and id(one.given[0]) in origins]
    for back in (origins.get(id(one)) for one in measured.events[at].given):
        for there in ways if back is not None and back.moves else ():
            same = back is not None and there.flat.shape[:-1] == back.shape[:-1]
            if back is not None and same and there.moves and there.flat.shape[-1] == there.shape[-1]:
                step = _first_unlike(there, back)
                if step is not None and _odd_there(there, back):
                    step = next((one for one, name, _ in there.moves[::-1] if name in RESHAPES), step)
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


def _odd_there(there: Origin, back: Origin) -> bool:
    """Whether tokens go to windows that are no parts of a map, or that do not follow each other in rows."""
    turned = [any(name in TURNS for _, name, _ in one.moves) for one in (there, back)]
    windows = there.flat[..., 0].reshape(-1, there.flat.shape[-2]) // there.shape[-1]
    apart = (windows[0].diff() == 1).float().mean() < 0.5 or (windows[:, 0].diff() < 0).any()
    return turned == [False, True] or (all(turned) and bool(apart))


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


@asked_once
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
            own = (on[0].flatten(0, -3) > ROUNDING * on.max()).any(0)
            most, seen = max(most, own.float().mean().item()), seen | own
    return 0 < most <= MEETING / (many - 1) and seen.float().mean().item() > 1.5 * most


ASKED_OF_MAPS = ((0.2, 0.8), (0.8, 0.2), (0.3, 0.7), (0.1, 0.6), (0.9, 0.4))
"""Places of a map that are asked, by their share of its rows and columns."""


@asked_once
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
            turned = (one for one, maps in pairs if one.name in TURNS and _on_its_side(measured, maps.made, image))
            return next(turned, None) or next(one for one in measured.events if one.step == origin.mover)
    if not any(_lies(measured, one, image, _exchanged) for one in graph.outputs if one.ndim == 4 and one.requires_grad):
        return None
    for at, (event, seen) in enumerate(pairs):
        if event.name in MOVES | TURNS and _on_its_side(measured, seen.made, image):
            before = pairs[at - 1][0]
            turns = before.name in TURNS and event.name in RESHAPES and before.made[0] is event.given[0]
            return before if turns else event
    return None


def _on_its_side(measured: Measured, made: Sequence[Tensor], image: Tensor) -> bool:
    """Whether one is a map with rows that depend most on columns of the input."""
    maps = [way for one in made if one.ndim == 4 and one.requires_grad for way in (one, one.permute(0, 3, 1, 2))]
    return any(_lies(measured, one, image, _exchanged) for one in maps)


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


@asked_once
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


@asked_once
def otherwise_restored(measured: Measured) -> Iterator[Event]:
    """Lookups that put tokens back which an order for each image took out, at other places than they came from."""
    looked = [one for one in measured.events if one.name in ("gather", "take_along_dim") and len(one.given) == 2]
    looks = [(one, order) for one in looked if (order := _order_of(one)) is not None]
    for at, (back, restored) in enumerate(looks):
        for there, taken in looks[:at]:
            count = there.given[0].shape[1]
            if restored.shape[1] != count or taken.shape[1] >= count or back.given[0].shape[1] != count:
                continue
            start = _place_among(measured, back.given[0], there.made[0], taken.shape[1])
            if start is not None and not torch.equal(restored.gather(1, taken) - start, _counted(taken)):
                yield back


def _counted(order: Tensor) -> Tensor:
    return torch.arange(order.shape[1]).expand_as(order)


def _order_of(lookup: Event) -> Tensor | None:
    """The places of tokens that a lookup takes for each image, each once; None where it takes others."""
    index = lookup.given[1]
    order = index[..., 0] if index.ndim == 3 and index.shape[1] > 1 else index
    each = order.ndim == 2 and (order[:, :, None] == order[:, None]).sum() == order.numel()
    return order if each and lookup.given[0].ndim == 3 and order.shape[0] == BATCH else None


def _place_among(measured: Measured, joined: Tensor, source: Tensor, count: int) -> int | None:
    """The place where so many tokens that were made of a tensor begin in what a cat made of them and others."""
    join = next((one for one in measured.leading_to([joined])[::-1] if one.name in CATS), None)
    parts = [one for one in join.given if one.ndim == 3] if join is not None and join.made[0] is joined else []
    for at, part in enumerate(parts):
        if part.shape[1] == count and measured.comes_from(part, source):
            return sum(one.shape[1] for one in parts[:at])
    return None


def _across(patches: Tensor, image: tuple[int, ...]) -> bool:
    """Whether patches follow each other, or the pixels of one channel within them, down the columns."""
    first, order = patches[0].flatten(0, -2).amin(-1), patches[0].flatten(0, -2)[0]
    return any((one.diff() < 0).any() for one in (first, order[order < prod(image[-2:])]))
