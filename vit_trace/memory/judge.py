"""Decides whether a training run fits: runs steps without memory at two batches and infers the others from them.

Every storage of a step but kernels' buffers grows by the same bytes per image, which says where to look for the largest
batch; it and one image more are then run. Where two steps have different events (a batch of one takes other paths in
torch), all batches on the way are run.
"""

import re
from functools import cached_property

from msgspec.structs import replace

from vit_trace.memory.cuda import HOPPER, Card, Reached, allocate
from vit_trace.memory.options import PRECISIONS, Training
from vit_trace.memory.report import MemoryReport, Peak, Remedy, StageBytes, not_counted
from vit_trace.memory.sharding import BUFFERS, GATHERED, sharded
from vit_trace.memory.states import OPTIMIZERS
from vit_trace.memory.subject import Subject, Unmeasured
from vit_trace.memory.tape import Tape, inferred
from vit_trace.memory.timeline import Timeline, timeline
from vit_trace.targets.target import Target

MOST_BATCHES = 2**24
"""Largest batch searched, in images."""

PARTS = (
    *("parameters", "gradients", "buffers", "inputs", "activations", "optimizer state", "optimizer's temporaries"),
    *("EMA weights", "DDP buckets", "next batch", GATHERED, BUFFERS, "workspaces", "cuBLAS workspaces"),
)
"""What a peak is made of, in their order on the screen."""


class Run:
    """One way to train a target: what a run at a batch takes; each batch runs once."""

    def __init__(self, target: Target, training: Training, subject: Subject | None = None, card: Card = HOPPER) -> None:
        self.target, self.training, self.card = target, training, card
        self.subject = subject or Subject(target, training, card)
        self.tapes: dict[int | None, Tape] = {}

    def tape(self, batch: int | None) -> Tape:
        """One step. Raises Unmeasured."""
        if batch not in self.tapes:
            self.tapes[batch] = sharded(self.subject.tape(batch, self.training), self.training)
        return self.tapes[batch]

    @property
    def on_cuda(self) -> bool:
        return self.training.device == "cuda"

    @property
    def reserve(self) -> int:
        """Bytes beside the allocator's."""
        asked = self.training.reserve
        return (self.card.reserve if asked is None else asked) if self.on_cuda else 0

    def timeline(self, step: Tape) -> Timeline:
        return timeline(step, self.training, self.card.cublas if self.on_cuda else 0)

    def allocated(self, line: Timeline, limit: int | None = None) -> tuple[Reached, Reached] | None:
        """What the first step reaches in CUDA's allocator, and both; None where they do not keep to the limit."""
        return allocate(line.tape.events, line.tape.bytes, line.second, limit)

    def peak(self, batch: int | None) -> int:
        """Bytes at the peak of a step that is not the first. Raises Unmeasured."""
        return self.peak_of(self.tape(batch))

    def peak_of(self, step: Tape) -> int:
        line = self.timeline(step)
        if not self.on_cuda:
            return line.later_peak()[0]
        reached = self.allocated(line)
        assert reached is not None  # without a limit
        return reached[1].reserved + self.reserve

    def floor(self, batch: int | None) -> int:
        """Bytes that every batch takes: parameters, buffers, gradients, and what the options add to them."""
        step = self.tape(batch)
        line = self.timeline(step)
        varying = {"inputs", "activations", "next batch", "workspaces", GATHERED, BUFFERS}
        held = line.tape.of(*(kind for kind in PARTS if kind not in {*varying, "gradients"}))
        return held + step.gradient_bytes + self.reserve

    @cached_property
    def two(self) -> tuple[Tape, Tape]:
        """The steps that others are inferred from. Raises Unmeasured."""
        one = max(self.training.batch_size or self.target.batch or 1, 2)
        return self.tape(one), self.tape(one + 1)

    def largest(self, limit: int) -> int:
        """The largest batch that fits while one more does not, both run. Raises Unmeasured where none runs."""
        if self.floor(self.two[0].batch) > limit:
            return 0
        guess = 2 if inferred(*self.two, 2) is None else self.searched(limit, 2, real=False)
        return self.searched(limit, max(guess, 1), real=True)

    def searched(self, limit: int, start: int, real: bool) -> int:
        """The largest batch that fits while one more does not, looked for in growing steps from `start` on."""
        low, high, step = start, start + 1, 1
        if self.fits(start, limit, real):
            while high <= MOST_BATCHES and self.fits(high, limit, real):
                low, step = high, step * 2
                high = low + step
        else:
            low, high = start - 1, start
            while low > 0 and not self.fits(low, limit, real):
                high, step = low, step * 2
                low = max(high - step, 0)
        while high - low > 1 and high <= MOST_BATCHES:
            middle = (low + high) // 2
            low, high = (middle, high) if self.fits(middle, limit, real) else (low, middle)
        return low

    def fits(self, batch: int | None, limit: int, real: bool = True) -> bool:
        """Whether a step at this batch runs (a batch norm takes no batch of one) and needs at most `limit`."""
        try:
            step = self.tape(batch) if real or batch is None else inferred(*self.two, batch)
        except Unmeasured:
            return False
        assert step is not None
        line = self.timeline(step)
        if line.later_peak()[0] + self.reserve > limit:
            return False
        return not self.on_cuda or self.allocated(line, limit - self.reserve) is not None


def memory_report(target: Target, training: Training, budget: int | None) -> MemoryReport:
    """What a training step of the target takes, and whether it fits the budget.

    Args:
        budget: bytes; None only measures.

    Raises:
        Unmeasured: the model cannot be run in training without memory.
        Refused: an option names what the model has not.
    """
    run = Run(target, training)
    batch = training.batch_size or target.batch
    if budget is None:
        return _measured(run, batch, None)
    fits = run.fits(batch, budget)
    report = _measured(run, batch, budget if fits else None)
    most = None if batch is None else run.largest(budget)
    report = replace(report, budget=budget, fits=fits, largest_batch=most, floor=run.floor(batch))
    return report if fits else replace(report, remedies=tuple(_measured_remedies(run, batch, budget)))


def saved_by_module(target: Target) -> dict[str, int]:
    """Bytes that each module itself keeps for backward in a training step of the target. Raises Unmeasured."""
    return Run(target, Training(device="cpu")).tape(target.batch).saved_by_stage()


def _measured(run: Run, batch: int | None, budget: int | None) -> MemoryReport:
    """The report; the allocator gives segments back to keep to the budget."""
    training = run.training
    step = run.tape(batch)
    line = run.timeline(step)
    reached = run.allocated(line, None if budget is None else budget - run.reserve) if run.on_cuda else None
    first, later = (_peak_of(run, line, reached and reached[which], which) for which in (0, 1))
    return MemoryReport(
        training=training,
        optimizer=OPTIMIZERS[training.optimizer].words,
        precision=PRECISIONS[training.precision],
        batch_size=batch,
        parameters=step.of("parameters"),
        buffers=step.of("buffers"),
        gradients=step.gradient_bytes,
        optimizer_state=line.tape.of("optimizer state"),
        inputs=step.of("inputs"),
        activations=step.saved_bytes,
        dropout_masks=step.mask_bytes,
        first_step=first,
        peak=later,
        allocated=reached[1].allocated if reached else 0,
        reserved=reached[1].reserved if reached else 0,
        stages=tuple(_by_stage(step)),
        recomputed=run.subject.recomputed(training) if training.checkpointing else (),
        left_out=not_counted(training),
    )


def _peak_of(run: Run, line: Timeline, reached: Reached | None, later: int) -> Peak:
    """The peak of the first step or of every later one; what the allocator takes beyond tensors is a part of it."""
    most, at = line.later_peak() if later else line.first_peak()
    alive = line.tape.alive_at(at)
    parts = {kind: alive[kind] for kind in PARTS}
    if reached is not None:
        parts |= {"rounding and free blocks": reached.reserved - most, "reserve": run.reserve}
        most = reached.reserved + run.reserve
    phase, stage = line.tape.places[line.tape.events[at]]
    return Peak(most, phase, stage, {name: size for name, size in parts.items() if size})


def _by_stage(tape: Tape) -> list[StageBytes]:
    """What is saved, equal places of repeated blocks together, largest first."""
    groups: dict[str, dict[str, int]] = {}
    for stage, size in tape.saved_by_stage().items():
        groups.setdefault(re.sub(r"\d+", "*", stage, count=1), {})[stage] = size
    found = [StageBytes(tuple(stages), sum(stages.values())) for stages in groups.values()]
    return sorted(found, key=lambda one: -one.bytes)


def _measured_remedies(run: Run, batch: int | None, budget: int) -> list[Remedy]:
    """The same run with checkpointing, with autocast, all in bfloat16: each is measured."""
    training, found, ways = run.training, [], []
    floor = run.floor(batch)
    if training.inference:
        training = replace(training, checkpointing=True)  # keeps nothing that could be computed again
    if not training.checkpointing and floor <= budget and run.subject.recomputed(training):
        ways.append(("--checkpointing", replace(training, checkpointing=True)))
    if training.precision == "fp32" and floor <= budget:
        ways.append(("--precision bf16-mixed", replace(run.training, precision="bf16-mixed")))
    if training.precision != "bf16" and floor // 2 <= budget:  # bfloat16 halves what every batch takes
        ways.append(("--precision bf16", replace(run.training, precision="bf16")))
    for flag, changed in ways:
        other = Run(run.target, changed, run.subject if changed.precision == training.precision else None)
        try:
            peak, fits = other.peak(batch), other.fits(batch, budget)
            most = 0 if batch is None else other.largest(budget)
        except Unmeasured:
            continue
        found.append(Remedy(flag, peak, fits, most))
    return found
