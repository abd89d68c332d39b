"""Decides whether a training run fits: runs steps without memory at two batches and infers the others from them.

Every storage of a step grows by the same bytes per image. Where two steps have different events (a batch of one takes
other paths in torch), batches are tried one by one. The largest batch that is reported has itself been run.
"""

import re
from typing import NamedTuple

from msgspec.structs import replace

from vit_trace.memory.options import OPTIMIZERS, PRECISIONS, Optimizer, Training
from vit_trace.memory.report import MemoryReport, Peak, Remedy, StageBytes
from vit_trace.memory.subject import Subject, Unmeasured
from vit_trace.memory.tape import Ceiling, Tape, growths, largest_batch
from vit_trace.targets.target import Target

MOST_BATCHES = 2**24
"""Largest batch searched, in images."""

KEPT = ("parameters", "gradients", "buffers", "inputs", "activations")


class _Needs(NamedTuple):
    """What an optimizer adds: bytes of state, and of temporaries while it steps."""

    state: int
    moment: int


def needs(optimizer: Optimizer, trained: int) -> _Needs:
    """For `trained` bytes of parameters that have gradients.

    AdamW keeps two tensors like each of them; its foreach form, which torch takes on a GPU, makes a third one of each
    for the square root. Its step counters lie on the CPU and are not counted. SGD without momentum keeps nothing and
    works in place. https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """
    return _Needs(2 * trained, trained) if optimizer == "adamw" else _Needs(0, 0)


class Run:
    """One way to train a target: what a step at a batch takes; each batch runs once."""

    def __init__(self, target: Target, training: Training, subject: Subject | None = None) -> None:
        self.target, self.training = target, training
        self.subject = subject or Subject(target, training.precision)
        self.tapes: dict[int | None, Tape] = {}

    def tape(self, batch: int | None) -> Tape:
        """Raises Unmeasured."""
        if batch not in self.tapes:
            self.tapes[batch] = self.subject.tape(batch, self.training.checkpointing)
        return self.tapes[batch]

    def needs(self, tape: Tape) -> _Needs:
        return needs(self.training.optimizer, tape.trained)

    def peak(self, batch: int | None) -> int:
        """Bytes at the peak of a step that is not the first. Raises Unmeasured."""
        tape = self.tape(batch)
        wanted = self.needs(tape)
        return wanted.state + max(tape.peak()[0], tape.end() + wanted.moment)

    def floor(self, batch: int | None) -> int:
        """Bytes that every batch takes: parameters, buffers, gradients, and what the optimizer needs."""
        tape = self.tape(batch)
        wanted = self.needs(tape)
        held = tape.trained + _bytes_of(tape, "parameters", "buffers")
        return held + wanted.state + wanted.moment

    def bounds(self, batch: int, limit: int) -> list[Ceiling] | None:
        """What is alive after each event with its limit, the end last; None where two steps have different events."""
        one = max(batch, 2)
        alive = growths(self.tape(one), self.tape(one + 1))
        if alive is None:
            return None
        wanted = self.needs(self.tape(one))
        room = limit - wanted.state
        return [*(Ceiling(growth, room) for growth in set(alive)), Ceiling(alive[-1], room - wanted.moment)]

    def largest(self, batch: int, limit: int) -> int:
        """The largest batch whose peak is at most `limit`; it has been run. Raises Unmeasured where none runs."""
        if self.floor(batch) > limit:
            return 0
        bounds = self.bounds(batch, limit)
        if bounds is not None:
            found = largest_batch(bounds)
            found = MOST_BATCHES if found is None else min(found, MOST_BATCHES)
            if found > 1 and self.fits(found, limit) and self.as_predicted(found, bounds):
                return found
            if found <= 1:
                return int(self.fits(1, limit))
        return self.searched(limit)

    def as_predicted(self, batch: int, bounds: list[Ceiling]) -> bool:
        """Whether the run at this batch has the peak that two other batches predict."""
        wanted = self.needs(self.tape(batch))
        *alive, end = (growth.at(batch) for growth, _ in bounds)
        return self.peak(batch) == wanted.state + max(*alive, end + wanted.moment)

    def searched(self, limit: int) -> int:
        """The largest batch by trying: doubling, then halving the gap."""
        if not self.fits(2, limit):
            return int(self.fits(1, limit))
        low, high = 2, 4
        while high <= MOST_BATCHES and self.fits(high, limit):
            low, high = high, high * 2
        while high - low > 1 and low < MOST_BATCHES:
            middle = (low + high) // 2
            low, high = (middle, high) if self.fits(middle, limit) else (low, middle)
        return low

    def fits(self, batch: int, limit: int) -> bool:
        """Whether a step at this batch runs (a batch norm takes no batch of one) and needs at most `limit`."""
        try:
            return self.peak(batch) <= limit
        except Unmeasured:
            return False


def _bytes_of(tape: Tape, *kinds: str) -> int:
    return sum(size for size, kind in zip(tape.bytes, tape.kinds, strict=True) if kind in kinds)


def memory_report(target: Target, training: Training, budget: int | None) -> MemoryReport:
    """What a training step of the target takes, and whether it fits the budget.

    Args:
        budget: bytes; None only measures.

    Raises:
        Unmeasured: the model cannot be run in training without memory.
    """
    run = Run(target, training)
    batch = training.batch_size or target.batch
    report = _measured(run, batch)
    if budget is None:
        return report
    fits = report.peak.bytes <= budget
    most = None if batch is None else run.largest(batch, budget)
    report = replace(report, budget=budget, fits=fits, largest_batch=most, floor=run.floor(batch))
    return report if fits else replace(report, remedies=tuple(_measured_remedies(run, batch, budget)))


def saved_by_module(target: Target) -> dict[str, int]:
    """Bytes that each module itself keeps for backward in a training step of the target. Raises Unmeasured."""
    return Run(target, Training()).tape(target.batch).saved_by_stage()


def _measured(run: Run, batch: int | None) -> MemoryReport:
    """The report without a budget."""
    tape = run.tape(batch)
    wanted = run.needs(tape)
    return MemoryReport(
        training=run.training,
        optimizer=OPTIMIZERS[run.training.optimizer],
        precision=PRECISIONS[run.training.precision],
        batch_size=batch,
        parameters=_bytes_of(tape, "parameters"),
        buffers=_bytes_of(tape, "buffers"),
        gradients=tape.trained,
        optimizer_state=wanted.state,
        inputs=_bytes_of(tape, "inputs"),
        activations=tape.saved_bytes,
        dropout_masks=tape.masks,
        first_step=_peak_of(tape, _Needs(0, wanted.state + wanted.moment), wanted.state),
        peak=_peak_of(tape, wanted, 0),
        stages=tuple(_by_stage(tape)),
        recomputed=run.subject.recomputed() if run.training.checkpointing else (),
    )


def _peak_of(tape: Tape, wanted: _Needs, new: int) -> Peak:
    """The peak of a step that holds `wanted.state` from the start; the optimizer's step makes `new` bytes of state."""
    most, at = tape.peak()
    phase, stage = tape.places[tape.events[at]]
    state, temporary = wanted.state, 0
    if tape.end() + wanted.moment > most:
        most, at = tape.end() + wanted.moment, len(tape.events) - 1
        phase, stage = "optimizer step", ""
        state, temporary = wanted.state + new, wanted.moment - new
    alive = tape.alive_at(at)
    parts = {kind: alive[kind] for kind in KEPT} | {"optimizer state": state, "optimizer's temporaries": temporary}
    return Peak(most + wanted.state, phase, stage, {name: size for name, size in parts.items() if size})


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
    if not training.checkpointing and floor <= budget and run.subject.recomputed():
        ways.append(("--checkpointing", replace(training, checkpointing=True)))
    if training.precision == "fp32" and floor <= budget:
        ways.append(("--precision bf16-mixed", replace(training, precision="bf16-mixed")))
    if training.precision != "bf16" and floor // 2 <= budget:  # bfloat16 halves what every batch takes
        ways.append(("--precision bf16", replace(training, precision="bf16")))
    for flag, changed in ways:
        other = Run(run.target, changed, run.subject if changed.precision == training.precision else None)
        try:
            peak = other.peak(batch)
            most = 0 if batch is None else other.largest(batch, budget)
        except Unmeasured:
            continue
        found.append(Remedy(flag, peak, peak <= budget, most))
    return found
