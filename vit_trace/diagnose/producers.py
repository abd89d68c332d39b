"""Follows a size back through the trace to the stage or parameter that made it. No torch at run time.

What made each tensor is known where the failing forward could be run again and went the same way; else nothing is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from vit_trace.base.trace import Operand, Parameter, Producer, Stage, TensorSpec, Trace
from vit_trace.base.words import ranges_text
from vit_trace.diagnose.naming import formula_of
from vit_trace.diagnose.scene import Scene, Shape, Side, Sources

WEIGHTED = re.compile(r"^(Linear|linear|Conv\w*\d?d|conv\w*\d?d|Embedding|embedding|Bilinear|LSTM|GRU)$")
PRODUCTS = {"matmul", "bmm", "mm", "einsum"}
CATS = {"cat", "concat"}
TURNS = {"permute", "transpose", "movedim", "moveaxis", "swapaxes", "squeeze", "unsqueeze", "t", "unbind", "contiguous"}
"""Operations that make no size."""
EXPANDS = {"expand", "expand_as", "broadcast_to", "repeat", "tile", "repeat_interleave"}
"""Operations that leave the axes where they are, counted from the end, and make some longer."""
REARRANGES = {
    *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "permute", "movedim", "t"),
    *("rearrange", "Rearrange", "Flatten", "Unflatten", "view_as", "reshape_as", "swapaxes", "moveaxis"),
}
"""Operations that give the same elements in another shape."""
RESHAPES = {"view", "reshape", "flatten", "unflatten", "Flatten", "Unflatten", "view_as", "reshape_as"}
"""Operations that keep the order of the elements: an axis stays where as many elements stand before it."""
RESAMPLES = {"interpolate", "Upsample", "pad", "PixelShuffle", "pixel_shuffle", "unfold", "Unfold", "fold", "Fold"}
"""Operations that make images of another size."""
LIMIT = 10_000


class _Follower:
    """Follows axes back through one trace."""

    def __init__(self, trace: Trace, sources: Sources) -> None:
        self.trace = trace
        self.sources = sources
        self.parameters = {one.name: one for one in trace.parameters}

    def maker(self, stage: Stage, place: int) -> int | str | None:
        """The stage or parameter that made an input of a stage."""
        makers = self.sources.get(stage.index, ())
        maker = makers[place] if place < len(makers) else None
        return maker.by if maker is not None else None

    def origin(self, taker: Stage, place: int, axis: int, size: int) -> Stage | str | None:
        """The stage, or the parameter or buffer, from which on an axis of a stage's input has this size."""
        for _ in range(LIMIT):
            maker = self.maker(taker, place)
            if maker is None or isinstance(maker, str):
                held = self.parameters.get(maker or "")
                return maker if held is None or _handed_on(held, taker.inputs[place].shape, axis) else None
            stage = self.trace.stages[maker]
            spec = next((spec for spec in stage.outputs if spec.shape[axis : axis + 1] == (size,)), None)
            if spec is None:  # x.mT is no stage: the axis stands elsewhere
                found = [(spec, at) for spec in stage.outputs for at, length in enumerate(spec.shape) if length == size]
                spec, axis = found[0] if len(found) == 1 else (None, 0)
            if spec is None or stage.kind == "input":
                return stage if stage.kind == "input" else None
            step = self.back(stage, spec, axis, size)
            if step is not None and self.maker(stage, step[0]) is not None:
                taker, (place, axis) = stage, step
                continue
            whole = self.keeper(stage, size) if not WEIGHTED.match(stage.operation) else None
            if whole is None:
                return stage if stage.operation not in TURNS else None
            taker, place = whole, 0
            axis = whole.inputs[0].shape.index(size)
        return None

    def keeper(self, stage: Stage, size: int) -> Stage | None:
        """The outermost module around a step that gets one tensor with this size, not its batch, and gives it back."""
        found = None
        while stage.parent is not None:
            stage = self.trace.stages[stage.parent]
            kept = bool(stage.inputs and stage.outputs) and stage.inputs[0].shape == stage.outputs[0].shape
            once = kept and stage.inputs[0].shape[1:].count(size) == 1 and stage.inputs[0].shape[0] != size
            if once and self.maker(stage, 0) is not None:
                found = stage
        return found

    def back(self, stage: Stage, spec: TensorSpec, axis: int, size: int) -> tuple[int, int] | None:
        """(input, axis) that a size was handed on from; None where this stage made it."""
        ndim = len(spec.shape)
        digit = re.search(r"(\d)d$", stage.operation)  # a convolution's channels are in front of its image
        if WEIGHTED.match(stage.operation) and axis == (ndim - int(digit[1]) - 1 if digit else ndim - 1):
            return None
        if stage.operation in PRODUCTS and axis == ndim - 1 and len(stage.inputs) > 1:
            other = stage.inputs[1].shape
            return (1, len(other) - 1) if other and other[-1] == size else None
        kept = [at for at, given in enumerate(stage.inputs) if len(given.shape) == ndim and given.shape[axis] == size]
        if kept and (stage.operation != "permute" or spec.shape.count(size) == 1):
            return max(kept, key=lambda at: self.order(stage, at)), axis
        if stage.operation in CATS or digit or stage.operation in RESAMPLES:
            return None  # these make the sizes of an image, whatever else has that size
        for place, given in enumerate(stage.inputs):
            behind = axis - ndim + len(given.shape)  # broadcasting counts from the end
            candidates = [at for at, length in enumerate(given.shape) if length == size]
            if stage.operation in EXPANDS:
                candidates = [at for at in candidates if at == behind]
            if stage.operation in RESHAPES:
                before = prod(spec.shape[:axis])
                candidates = [at for at in candidates if prod(given.shape[:at]) == before]
            if len(candidates) == 1 or behind in candidates:
                return place, candidates[0] if len(candidates) == 1 else behind
        return None

    def order(self, stage: Stage, place: int) -> tuple[int, int]:
        """How near the maker of an input is: in `x + self.attn(x)` that is the layer, not the shortcut.

        Of what a cat joins, it is the largest: the tokens, not the class token.
        """
        if stage.operation in CATS:
            return prod(stage.inputs[place].shape), -place
        maker = self.maker(stage, place)
        return (maker if isinstance(maker, int) else -1, -place)


def producer(scene: Scene, side: Side, sources: Sources | None) -> Producer | None:
    """Who made the size of one side."""
    operand, stage = side.operand, scene.stage
    if operand is None or side.axis is None or stage is None:
        return None
    formula = formula_of(side) or str(side.size)
    if operand.parameter and operand.stage is None:
        return Producer(side.name, side.size, formula, operand.parameter, parameter=True)
    if sources is None:
        return None
    follower = _Follower(scene.trace, sources)
    place = _place(scene, stage, operand)
    if place is None:
        return None
    origin = follower.origin(stage, place, side.axis, side.size)
    if isinstance(origin, Stage):
        return Producer(side.name, side.size, formula, origin.name or origin.operation, stage=origin.index)
    return Producer(side.name, side.size, formula, origin, parameter=True) if origin is not None else None


def _place(scene: Scene, stage: Stage, operand: Operand) -> int | None:
    """Which of the inputs of the failing stage a tensor is; None where it is none of them."""
    place = next((at for at, spec in enumerate(stage.inputs) if spec.shape == operand.shape), None)
    if operand in scene.operands and stage.kind != "module":
        at = scene.operands.index(operand)
        place = at if at < len(stage.inputs) and stage.inputs[at].shape == operand.shape else place
    return place


def makers_of(scene: Scene, operand: Operand) -> list[Stage]:
    """The stage that made a tensor of the failing call; before it, if it only rearranged a tensor, what made that."""
    stage = scene.stage
    place = _place(scene, stage, operand) if stage is not None else None
    return makers_into(scene, stage, place) if stage is not None and place is not None else []


def makers_into(scene: Scene, stage: Stage, place: int) -> list[Stage]:
    """The same of an input of a stage."""
    if scene.sources is None:
        return []
    follower, found = _Follower(scene.trace, scene.sources), list[Stage]()
    while len(found) < LIMIT:
        maker = follower.maker(stage, place)
        if not isinstance(maker, int):
            return found
        stage, place = scene.trace.stages[maker], 0
        found.append(stage)
        if stage.operation not in REARRANGES:
            return found
    return found


def _handed_on(held: Parameter, shape: Shape, axis: int) -> bool:
    """Whether an axis of a tensor that a parameter was made into is one of the parameter's: it may also be expanded."""
    if len(held.shape) == len(shape) and sorted(held.shape) != sorted(shape):
        return held.shape[axis] == shape[axis]
    return shape[axis] in held.shape


@dataclass(frozen=True)
class _Siblings:
    """The same parameter in the other blocks: how long its axis is there."""

    sizes: dict[str, int]

    @property
    def common(self) -> int | None:
        """The size that all the others have."""
        found = Counter(self.sizes.values())
        return next(iter(found)) if len(found) == 1 else None

    @property
    def blocks(self) -> str:
        """blocks 0 and 2…11"""
        numbers = sorted(int(number) for number in self.sizes)
        first, _, last = ranges_text(numbers, ", ").rpartition(", ")
        return f"block{'s' if len(numbers) > 1 else ''} {first}{' and ' if first else ''}{last}"


def siblings(parameters: Mapping[str, Parameter], name: str, axis: int) -> _Siblings | None:
    """The sizes of the parameter's namesakes in other blocks, or None where it has none."""
    here = parameters.get(name)
    found = namesakes(parameters, name)
    alike = {number: one for number, one in found.items() if here and len(one.shape) == len(here.shape) > axis}
    return _Siblings({number: one.shape[axis] for number, one in alike.items()}) if alike else None


def namesakes(parameters: Mapping[str, Parameter], name: str) -> dict[str, Parameter]:
    """The same parameter of the other blocks, by the block's number."""
    parts = name.split(".")
    here = parameters.get(name)
    for place, part in enumerate(parts[:-2]):  # a block holds modules, not parameters of its own
        number = re.search(r"\d+$", part)  # blocks.1 and encoder_layer_1
        if number is None or here is None:
            continue
        start = ".".join((*parts[:place], part[: number.start()]))
        end = "." + ".".join(parts[place + 1 :])
        shape = re.compile(re.escape(start) + r"(\d+)" + re.escape(end) + "$")
        found = {match[1]: one for one in parameters.values() if (match := shape.match(one.name)) and one is not here}
        if any(len(one.shape) == len(here.shape) for one in found.values()):
            return found
    return {}
