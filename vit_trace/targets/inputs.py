"""Defines plans for a model's inputs, and parses --input.

A plan names the axes of every input (b, c, H, W …), so that the same plan feeds the model at other sizes.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vit_trace.base.leaving import exceptions_only
from vit_trace.base.limits import require_within
from vit_trace.base.refused import refuse
from vit_trace.base.roles import CLIP_CHANNELS
from vit_trace.base.words import whole_number
from vit_trace.dims.formula import evaluate, parse

Axis = str | int
"""A size, or a formula over the sizes: "b", "H//p"."""

Sizes = Mapping[str, int]

Inputs = tuple[tuple[Any, ...], dict[str, Any]]
"""(args, kwargs) of a forward."""

DTYPES = {
    **{name: name for name in "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64".split()},
    **dict(float="float32", half="float16", double="float64", int="int64", long="int64"),
}
INPUT = re.compile(r"^(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:[x×,*]\d+)*|scalar)(?::(?P<dtype>\w+))?$")
EXAMPLES = ("--input 2x3x224x224", "--input pixel_values=2x3x224x224 --input mask=2x196:bool")
INTEGERS = {"input_ids", "attention_mask", "token_type_ids", "position_ids", "labels"}


class Given(NamedTuple):
    """One --input: the argument of forward it is for (None: the next one in order), its shape, its dtype."""

    name: str | None
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Feed:
    """One input: the argument it is for, its axes, its dtype; `fill` makes a tensor whose values matter."""

    name: str | None
    axes: tuple[Axis, ...]
    dtype: str = "float32"
    fill: Callable[[tuple[int, ...]], Any] | None = None

    def tensor(self, sizes: Sizes) -> Any:
        """The input at some sizes. Raises Refused where no tensor has that shape, OverLimit for too many values."""
        import torch

        shape = tuple(evaluate(parse(axis), sizes) if isinstance(axis, str) else axis for axis in self.axes)
        _require_possible(shape)
        dtype = getattr(torch, self.dtype)
        if self.fill is None and (dtype.is_floating_point or dtype.is_complex):
            return torch.empty(shape, dtype=dtype, device="meta")
        require_within("values", math.prod(shape))
        return self.fill(shape) if self.fill is not None else torch.ones(shape, dtype=dtype, device="cpu")


@dataclass(frozen=True)
class Plan:
    """The inputs of a forward, with the sizes they have; `make` where they are more than tensors by name."""

    feeds: tuple[Feed, ...] = ()
    sizes: Sizes = field(default_factory=dict)
    make: Callable[[Sizes], Inputs] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def inputs(self, changed: Sizes) -> Inputs:
        """(args, kwargs) with some sizes changed; floats on meta, integers with their values on CPU. Raises Refused."""
        sizes = {**self.sizes, **changed}
        with exceptions_only():
            if self.make is not None:
                return self.make(sizes)
            args = tuple(feed.tensor(sizes) for feed in self.feeds if feed.name is None)
            kwargs = {feed.name: feed.tensor(sizes) for feed in self.feeds if feed.name is not None}
            return args, {**self.fixed, **kwargs}


def _require_possible(shape: tuple[int, ...]) -> None:
    """Raise Refused for sizes below 0 and for more values than torch can count."""
    if min(shape, default=0) < 0 or math.prod(shape) >= 2**62:
        sizes = "×".join(map(str, shape))
        why = "a size is not negative" if min(shape) < 0 else "a tensor has fewer than 2^62 values"
        raise refuse("bad-value", f"the model's settings ask for an input of {sizes}: {why}", help=EXAMPLES[:1])


def parse_inputs(texts: Sequence[str]) -> tuple[Given, ...]:
    """The inputs that --input gives. Raises Refused."""
    given: list[Given] = []
    for text in texts:
        found = INPUT.match(text.strip())
        if not found:
            raise refuse("bad-input", f"--input {text}: not a shape", help=(f"for example {EXAMPLES[0]}", EXAMPLES[1]))
        name = found["name"]
        dtype = found["dtype"] or ("int64" if name in INTEGERS else "float32")
        if dtype not in DTYPES:
            raise refuse("bad-input", f"--input {text}: there is no dtype {dtype}", help=(", ".join(DTYPES),))
        shape = () if found["shape"] == "scalar" else tuple(map(whole_number, re.split(r"[x×,*]", found["shape"])))
        if math.prod(shape) >= 2**62:
            raise refuse("bad-input", f"--input {text}: a tensor has fewer than 2^62 values", help=EXAMPLES[:1])
        if name is not None and name in [one.name for one in given]:
            raise refuse("bad-input", f"--input {name} is given twice")
        given.append(Given(name, shape, DTYPES[dtype]))
    return tuple(given)


def given_plan(given: Sequence[Given], channels: int | None) -> Plan:
    """The plan for the inputs of --input: the batch is their shared first axis; channels tell which are images."""
    batch = given[0].shape[0] if given[0].shape else 0
    feeds, sizes = [], {"b": batch} if batch else {}
    for one in given:
        axes: list[Axis] = list(one.shape)
        if axes and axes[0] == batch:
            axes[0] = "b"
        if len(axes) in (4, 5) and one.dtype.startswith(("float", "bfloat")) and "H" not in sizes:
            axes[-2:] = ["H", "W"]
            sizes["H"], sizes["W"] = one.shape[-2:]
            place = next((at for at in range(1, len(axes) - 2) if channels == one.shape[at]), None)
            if channels and place is not None:
                axes[place], sizes["c"] = "c", channels
            if len(axes) == 5:
                _name_third(axes, one.shape, sizes)
        feeds.append(Feed(one.name, tuple(axes), one.dtype))
    return Plan(tuple(feeds), sizes)


def _name_third(axes: list[Axis], shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Name the axis of frames, beside the channels: T, or H in a volume whose sides are equal."""
    first = axes[2] == "c" or ("c" not in axes and shape[2] in CLIP_CHANNELS and shape[1] not in CLIP_CHANNELS)
    third = 1 if first else 2
    if shape[third] == shape[3] == shape[4]:
        axes[third] = "H"
    else:
        axes[third], sizes["T"] = "T", shape[third]


def image_plan(batch: int, channels: int, height: int, width: int, name: str | None = None) -> Plan:
    """One batch of images."""
    return Plan((Feed(name, ("b", "c", "H", "W")),), {"b": batch, "c": channels, "H": height, "W": width})


def height_width(value: Any) -> tuple[int, int] | None:
    """(height, width) of an image size in any library's form: 224, (224, 224), (16, 224, 224), {"height": …}."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value, value
    if isinstance(value, Mapping):
        side = value.get("shortest_edge")
        height, width = value.get("height", side), value.get("width", side)
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None
    if isinstance(value, (tuple, list)) and value and all(isinstance(item, int) for item in value):
        return (value[-2], value[-1]) if len(value) > 1 else (value[0], value[0])
    return None
