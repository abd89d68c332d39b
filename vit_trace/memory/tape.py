"""Records one training step as a tape: every storage, its bytes, when it was made and dropped. No torch.

Two tapes of one model at two batch sizes have the same events; each storage then grows by the same number of bytes per
image, and so does what is alive at each event. The peak at any batch is the largest of those sums.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple


class Place(NamedTuple):
    """A place in a step: the phase (forward, backward) and the module's path."""

    phase: str
    stage: str


@dataclass(frozen=True)
class Tape:
    """Events of one forward and backward.

    `events` holds n where storage n is made and ~n where it is dropped; `bytes`, `kinds` and `places` (where it is
    made) are by storage. `saved` are the storages kept for backward with the stage that keeps them, `loose` the saved
    bytes that no kernel made; `trained` are the bytes of parameters with a gradient, `masks` those of saved dropout
    masks.
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

    def alive(self) -> list[int]:
        """Bytes alive after each event."""
        return list(accumulate(self.bytes[event] if event >= 0 else -self.bytes[~event] for event in self.events))

    def peak(self) -> tuple[int, int]:
        """The most bytes alive, and the first event after which they are."""
        alive = self.alive()
        most = max(alive, default=0)
        return (most, alive.index(most)) if most > 0 else (0, 0)

    def end(self) -> int:
        """Bytes alive at the end: parameters, buffers, inputs, gradients, outputs."""
        return self.alive()[-1]

    def alive_at(self, last: int) -> Counter[str]:
        """Bytes by kind after an event."""
        found: Counter[str] = Counter()
        for event in self.events[: last + 1]:
            number, sign = (event, 1) if event >= 0 else (~event, -1)
            found[self.kinds[number]] += sign * self.bytes[number]
        return found


class Growth(NamedTuple):
    """Bytes that grow with the batch: fixed ones, and more for each image."""

    fixed: int
    each: int

    def at(self, batch: int) -> int:
        return self.fixed + self.each * batch


class Ceiling(NamedTuple):
    """Something that grows, and the bytes that it may take."""

    growth: Growth
    limit: int


def growths(one: Tape, other: Tape) -> list[Growth] | None:
    """What is alive after each event, by batch; None where the two tapes have different events."""
    step = other.batch - one.batch
    if step == 0 or one.events != other.events or one.kinds != other.kinds:
        return None
    sizes = []
    for a, b in zip(one.bytes, other.bytes, strict=True):
        if (b - a) % step:
            return None
        each = (b - a) // step
        sizes.append(Growth(a - each * one.batch, each))
    changes = (sizes[event] if event >= 0 else Growth(*(-part for part in sizes[~event])) for event in one.events)
    return list(accumulate(changes, lambda total, more: Growth(total.fixed + more.fixed, total.each + more.each)))


def largest_batch(bounds: list[Ceiling]) -> int | None:
    """The largest batch at which everything keeps to its limit; 0 where none does, None where every one does."""
    if any(growth.each <= 0 and growth.fixed > limit for growth, limit in bounds):
        return 0
    fitting = (max((limit - growth.fixed) // growth.each, 0) for growth, limit in bounds if growth.each > 0)
    return min(fitting, default=None)
