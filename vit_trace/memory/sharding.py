"""Turns a step on one GPU into the same step with sharded parameters, as FSDP2 runs it. No torch.

Every block is a unit of its own, what is left the root, as `fully_shard(block) … fully_shard(model)` has it. A unit is
gathered before it runs: a flat buffer of all shards, and from it whole parameters. These go after its forward, with
--zero 3, or after its backward, with --zero 2; the root's always then. After its backward, gradients are copied into a
flat buffer, from which the unit's own shard of them is reduced. A flat buffer lives until the next one of its kind is
there; backward gathers the next unit while one runs. As in torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py.
"""

from collections.abc import Iterable
from dataclasses import replace

from vit_trace.memory.options import Training
from vit_trace.memory.states import Trained
from vit_trace.memory.tape import Place, Tape

GATHERED = "gathered parameters"
BUFFERS = "sharding's buffers"


def sharded(step: Tape, training: Training) -> Tape:
    """The step on one of the GPUs."""
    if training.shards < 2 or training.zero < 2:
        return step
    return _Sharding(step, training.shards, training.zero == 3).tape()


def shard(parameter: Trained, count: int) -> Trained:
    """What each GPU holds of a parameter: rows, padded to the same number on all."""
    rows, *rest = parameter.shape or (1,)
    return parameter._replace(shape=(-(-rows // count), *rest))


class _Sharding:
    """Rewrites the events of one tape."""

    def __init__(self, step: Tape, count: int, after_forward: bool) -> None:
        self.step, self.count, self.after_forward = step, count, after_forward
        self.parameters = {number: owned for number, owned in step.owned.items() if step.kinds[number] == "parameters"}
        self.gradients = {number: owned for number, owned in step.owned.items() if step.kinds[number] == "gradients"}
        self.bytes, self.kinds, self.places = list(step.bytes), list(step.kinds), list(step.places)
        self.events: list[int] = []
        self.whole: dict[str, list[int]] = {}
        self.gathering: list[int] = []
        self.reducing: list[int] = []

    def tape(self) -> Tape:
        for number in self.parameters:
            self.bytes[number] = shard(self.parameters[number].tensor, self.count).bytes
        starts, ends = self.ranges("forward"), self.ranges("backward")
        order = sorted(ends, key=lambda unit: ends[unit][0])
        after = dict(zip(order, [*order[1:], ""], strict=True))
        before_event = {start: (unit, "forward") for unit, (start, _) in starts.items() if unit}
        before_event |= {start: (unit, "backward") for unit, (start, _) in ends.items() if unit}
        after_event = {end: (unit, "forward") for unit, (_, end) in starts.items() if unit}
        after_event |= {end: (unit, "backward") for unit, (_, end) in ends.items() if unit}
        first = min((start for start, _ in starts.values()), default=0)
        for place, event in enumerate(self.step.events):
            if place == first:
                self.gather("", Place("forward", ""))
            if place in before_event:
                unit, phase = before_event[place]
                self.enter(unit, Place(phase, unit), after.get(unit, "") if phase == "backward" else "")
            self.events.append(event)
            if place in after_event:
                unit, phase = after_event[place]
                self.leave(unit, Place(phase, unit))
        self.reduce("", Place("backward", ""))
        self.drop(self.reducing, self.gathering, self.whole.pop("", []))
        made = tuple(self.events), tuple(self.bytes), tuple(self.kinds), tuple(self.places)
        trained = tuple(shard(one, self.count) for one in self.step.trained)
        return replace(self.step, events=made[0], bytes=made[1], kinds=made[2], places=made[3], trained=trained)

    def ranges(self, phase: str) -> dict[str, tuple[int, int]]:
        """Unit -> its first and last event in forward, or in backward."""
        units = sorted({owned.unit for owned in self.parameters.values()}, key=len, reverse=True)
        found: dict[str, tuple[int, int]] = {}
        for place, event in enumerate(self.step.events):
            if event < 0 or self.step.kinds[event] in ("parameters", "buffers", "inputs"):
                continue
            where = self.step.places[event]
            if (where.phase == "forward") == (phase == "forward"):
                stage = f"{where.stage}."
                unit = next(one for one in [*units, ""] if not one or stage.startswith(f"{one}."))
                found[unit] = (found.get(unit, (place, 0))[0], place)
        return found

    def enter(self, unit: str, place: Place, following: str) -> None:
        """The unit is about to run; in backward the following one is gathered beside it."""
        if unit not in self.whole:
            self.gather(unit, place)
        if following and following not in self.whole:
            self.flat(self.gathering, self.parameters.values(), following, place)

    def leave(self, unit: str, place: Place) -> None:
        """The unit has run."""
        if place.phase == "forward":
            if self.after_forward:
                self.drop(self.whole.pop(unit, []))
            return
        self.reduce(unit, place)
        self.drop(self.whole.pop(unit, []))

    def gather(self, unit: str, place: Place) -> None:
        """Whole parameters from a flat buffer of all shards."""
        if not (self.gathering and self.places[self.gathering[-1]].phase == place.phase == "backward"):
            self.flat(self.gathering, self.parameters.values(), unit, place)
        held = [owned.tensor for owned in self.parameters.values() if owned.unit == unit]
        self.whole[unit] = [self.make(tensor.bytes, GATHERED, place) for tensor in held]

    def flat(self, buffers: list[int], owners: Iterable[object], unit: str, place: Place) -> None:
        """A buffer for the unit in place of the one before."""
        held = [owned.tensor for owned in owners if owned.unit == unit]  # type: ignore[attr-defined]
        size = self.count * sum(shard(tensor, self.count).bytes for tensor in held)
        made = self.make(size, BUFFERS, place)
        self.drop(buffers)
        buffers[:] = [made]

    def reduce(self, unit: str, place: Place) -> None:
        """The unit's shard of its gradients, in place of whole ones."""
        mine = [number for number, owned in self.gradients.items() if owned.unit == unit]
        if not mine:
            return
        self.flat(self.reducing, [self.gradients[number] for number in mine], unit, place)
        self.drop(mine)
        self.make(sum(shard(self.gradients[number].tensor, self.count).bytes for number in mine), "gradients", place)

    def make(self, size: int, kind: str, place: Place) -> int:
        self.bytes.append(size)
        self.kinds.append(kind)
        self.places.append(place)
        self.events.append(len(self.bytes) - 1)
        return len(self.bytes) - 1

    def drop(self, *groups: list[int]) -> None:
        self.events += [~number for group in groups for number in group]
        for group in groups:
            if group is self.gathering or group is self.reducing:
                group.clear()
