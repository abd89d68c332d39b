"""A tape of one training step: every storage, its bytes, when it was made and dropped. Pure arithmetic, no torch.

Two tapes of one model at two batch sizes have the same events; each storage's bytes are then a straight line in the
batch size, and so is what is alive at each event. The peak at any batch is the largest of those lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Where in a step: forward, backward; the module's path."""

    phase: str
    stage: str


@dataclass(frozen=True)
class Tape:
    """Events of one forward and backward.

    `events` holds n for the making of storage n and ~n for its end; `bytes` and `kinds` are by storage, `places` by
    storage too: where it was made. `saved` are the storages kept for backward with the stage that keeps them, `loose`
    the bytes of saved numbers that no kernel made; `trained` the bytes of the parameters that got a gradient, `masks`
    those of dropout masks among what is saved.
    """

    batch: int
    events: tuple[int, ...]
    bytes: tuple[int, ...]
    kinds: tuple[str, ...]
    places: tuple[Place, ...]
    saved: dict[int, str]
    loose: dict[str, int] = field(default_factory=dict)
    trained: int = 0
    masks: int = 0

    @property
    def saved_bytes(self) -> int:
        return sum(self.bytes[number] for number in self.saved) + sum(self.loose.values())

    def saved_by_stage(self) -> dict[str, int]:
        found: Counter[str] = Counter(self.loose)
        for number, stage in self.saved.items():
            found[stage] += self.bytes[number]
        return dict(found)

    def alive(self) -> Iterator[tuple[int, int]]:
        """(event, bytes alive after it)."""
        total = 0
        for event in self.events:
            total += self.bytes[event] if event >= 0 else -self.bytes[~event]
            yield event, total

    def peak(self) -> tuple[int, int]:
        """(bytes, place in `events`) where most is alive for the first time."""
        best, at = 0, 0
        for place, (_, total) in enumerate(self.alive()):
            if total > best:
                best, at = total, place
        return best, at

    def end(self) -> int:
        """Bytes alive at the end: parameters, buffers, inputs, gradients, outputs."""
        made = sum(self.bytes[event] for event in self.events if event >= 0)
        return made - sum(self.bytes[~event] for event in self.events if event < 0)

    def alive_at(self, place: int) -> Counter[str]:
        """Bytes by kind after the event at `place`."""
        found: Counter[str] = Counter()
        for event in self.events[: place + 1]:
            number = event if event >= 0 else ~event
            found[self.kinds[number]] += self.bytes[number] if event >= 0 else -self.bytes[number]
        return found


class Line(NamedTuple):
    """Bytes as a straight line in the batch size."""

    fixed: int
    each: int

    def at(self, batch: int) -> int:
        return self.fixed + self.each * batch


def lines(one: Tape, other: Tape) -> tuple[tuple[Line, ...], Line] | None:
    """(what is alive at each event, what is alive at the end) as lines; None where the tapes are not alike."""
    step = other.batch - one.batch
    if step == 0 or one.events != other.events or one.kinds != other.kinds:
        return None
    sizes = []
    for a, b in zip(one.bytes, other.bytes, strict=True):
        if (b - a) % step:
            return None
        each = (b - a) // step
        sizes.append(Line(a - each * one.batch, each))
    fixed = each = 0
    found = []
    for event in one.events:
        sign, line = (1, sizes[event]) if event >= 0 else (-1, sizes[~event])
        fixed, each = fixed + sign * line.fixed, each + sign * line.each
        found.append(Line(fixed, each))
    return tuple(found), Line(fixed, each)


def largest(bounds: list[tuple[Line, int]]) -> int | None:
    """The largest batch at which every line is at most its limit; 0 for none, None for no end."""
    best: int | None = None
    for line, limit in bounds:
        if line.each <= 0:
            if line.fixed > limit:
                return 0
            continue
        here = max((limit - line.fixed) // line.each, 0)
        best = here if best is None else min(best, here)
    return best
