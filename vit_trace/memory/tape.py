"""Records one training step as a tape: every storage, its bytes, when it was made and dropped. No torch.

Two tapes of one model at two batch sizes have the same events; each storage then grows by the same number of bytes per
image, which gives the tape at any other batch.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

from vit_trace.memory.states import Trained


class Place(NamedTuple):
    """A place in a step: the phase (forward, backward) and the module's path."""

    phase: str
    stage: str


class Owned(NamedTuple):
    """A parameter, or the gradient of one: the block that it belongs to ("" beside all blocks), and its shape."""

    unit: str
    tensor: Trained


@dataclass(frozen=True)
class Tape:
    """Events of one forward and backward.

    `events` holds n where storage n is made and ~n where it is dropped; `bytes`, `kinds` and `places` (where it is
    made) are by storage. `saved` are the storages kept for backward with the stage that keeps them, `loose` the saved
    bytes that no kernel made; `trained` are the parameters with a gradient, `masks` the saved dropout masks;
    `owned` says of parameters and gradients whose they are.
    """

    batch: int
    events: tuple[int, ...]
    bytes: tuple[int, ...]
    kinds: tuple[str, ...]
    places: tuple[Place, ...]
    saved: dict[int, str]
    loose: dict[str, int] = field(default_factory=dict)
    trained: tuple[Trained, ...] = ()
    masks: frozenset[int] = frozenset()
    owned: dict[int, Owned] = field(default_factory=dict)

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

    @property
    def mask_bytes(self) -> int:
        return sum(self.bytes[number] for number in self.masks)

    @property
    def gradient_bytes(self) -> int:
        return sum(one.bytes for one in self.trained)

    def of(self, *kinds: str) -> int:
        """Bytes of all storages of these kinds."""
        return sum(size for size, kind in zip(self.bytes, self.kinds, strict=True) if kind in kinds)

    def peak(self, start: int = 0, stop: int | None = None) -> tuple[int, int]:
        """The most bytes alive after the events of a range, and the first event after which they are."""
        alive = self.alive()[start:stop]
        most = max(alive, default=0)
        return (most, start + alive.index(most)) if most > 0 else (0, 0)

    def alive_at(self, last: int) -> Counter[str]:
        """Bytes by kind after an event."""
        found: Counter[str] = Counter()
        for event in self.events[: last + 1]:
            number, sign = (event, 1) if event >= 0 else (~event, -1)
            found[self.kinds[number]] += sign * self.bytes[number]
        return found


def inferred(one: Tape, other: Tape, batch: int) -> Tape | None:
    """The tape at a third batch, its workspaces about; None where the two have different events."""
    step = other.batch - one.batch
    if step == 0 or one.events != other.events or one.kinds != other.kinds:
        return None
    sizes = []
    for a, b, kind in zip(one.bytes, other.bytes, one.kinds, strict=True):
        uneven = (b - a) % step
        if uneven and kind != "workspaces":
            return None
        sizes.append(max(a, b) if uneven or b < a else a + (b - a) // step * (batch - one.batch))
    return replace(one, batch=batch, bytes=tuple(sizes))
