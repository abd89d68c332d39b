"""Lays two steps of a training run on one tape, with what the options add: states, copies, the optimizer. No torch.

The first step makes the optimizer's state; every later one is as the second.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vit_trace.memory.options import Training
from vit_trace.memory.states import OPTIMIZERS, Trained
from vit_trace.memory.tape import Place, Tape

LASTING = ("parameters", "buffers")
STEPS = ("activations", "gradients")
"""Kinds of what a step makes."""
FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20
"""Bytes of DistributedDataParallel's buckets: a parameter that goes beyond them still belongs to the bucket."""

STEP = Place("optimizer step", "")


@dataclass(frozen=True)
class Timeline:
    """A tape of two steps; `second` is the first event of the second."""

    tape: Tape
    second: int

    def first_peak(self) -> tuple[int, int]:
        return self.tape.peak(0, self.second)

    def later_peak(self) -> tuple[int, int]:
        return self.tape.peak(self.second)


def timeline(step: Tape, training: Training, workspace: int = 0) -> Timeline:
    """Two steps of the run.

    Args:
        workspace: bytes that cuBLAS takes in the first forward, and again in the first backward, and keeps.
    """
    writer = _Writer(step)
    for kind, size in _held(step, training):
        writer.make(size, kind)
    lasting = {number for number, kind in enumerate(step.kinds) if kind in LASTING}
    waiting = {"forward", "backward"} if workspace else set()
    for event in step.events:
        phase = step.places[event].phase if event >= 0 and step.kinds[event] in STEPS else ""
        if phase in waiting:
            waiting.remove(phase)
            writer.make(workspace, "cuBLAS workspaces")
        writer.events.append(event)
    if training.inference:
        return _twice(writer, step, lasting, [])
    optimizer = OPTIMIZERS[training.optimizer]
    trained = _stepped(step, training)
    for one in trained:
        for size in optimizer.state(one):
            writer.make(size, "optimizer state", STEP)
    temporary = [writer.new(size, "optimizer's temporaries", STEP) for size in optimizer.most_temporary(trained)]
    return _twice(writer, step, lasting, [*temporary, *(~number for number in temporary)])


def _twice(writer: "_Writer", step: Tape, lasting: set[int], stepping: list[int]) -> Timeline:
    """The optimizer's step, all dropped that the first step leaves, and the second step."""
    writer.events += stepping
    counts = Counter(event if event >= 0 else ~event for event in step.events)
    left = {number for number, count in counts.items() if count % 2} - lasting
    writer.events += [~number for number in sorted(left)]
    second = len(writer.events)
    writer.events += [event for event in step.events if (event if event >= 0 else ~event) not in lasting]
    writer.events += stepping
    return Timeline(writer.tape(), second)


def _stepped(step: Tape, training: Training) -> Sequence[Trained]:
    """The parameters that one GPU keeps the optimizer's state of.

    With --zero 1 as torch's ZeroRedundancyOptimizer deals them out: the largest first, each to the GPU that has least.
    """
    if training.zero != 1:
        return step.trained
    hands: list[list[Trained]] = [[] for _ in range(training.shards)]
    for parameter in sorted(step.trained, key=lambda one: -one.elements):
        min(hands, key=lambda hand: sum(one.elements for one in hand)).append(parameter)
    return max(hands, key=lambda hand: sum(one.elements for one in hand))


def _held(step: Tape, training: Training) -> Iterator[tuple[str, int]]:
    """(kind, bytes) of what is there from the start besides the model."""
    sizes = list(zip(step.kinds, step.bytes, strict=True))
    if training.ema:
        yield from (("EMA weights", size) for kind, size in sizes if kind in LASTING)
    if training.ddp:
        yield from (("DDP buckets", size) for size in _buckets(step.trained))
    if training.input_on_device:
        yield from (("next batch", size) for kind, size in sizes if kind == "inputs")


def _buckets(parameters: tuple[Trained, ...]) -> Iterator[int]:
    """Bytes of the buckets, filled from the last parameter on."""
    held, cap = 0, FIRST_BUCKET
    for parameter in reversed(parameters):
        held += parameter.bytes
        if held >= cap:
            yield held
            held, cap = 0, BUCKET
    if held:
        yield held


class _Writer:
    """A tape that is added to."""

    def __init__(self, step: Tape) -> None:
        self.step = step
        self.events: list[int] = []
        self.bytes, self.kinds, self.places = list(step.bytes), list(step.kinds), list(step.places)

    def new(self, size: int, kind: str, place: Place = Place("", "")) -> int:
        """The number of a storage that no event has made yet."""
        self.bytes.append(size)
        self.kinds.append(kind)
        self.places.append(place)
        return len(self.bytes) - 1

    def make(self, size: int, kind: str, place: Place = Place("", "")) -> None:
        self.events.append(self.new(size, kind, place))

    def tape(self) -> Tape:
        made = tuple(self.events), tuple(self.bytes), tuple(self.kinds), tuple(self.places)
        return replace(self.step, events=made[0], bytes=made[1], kinds=made[2], places=made[3])
