"""Follows values through steps that only move them, by the coordinates that each had where it was computed.

A row that a layer reads is clean if its coordinates are a product of sets, one for each axis, such as {image 0} × {all
heads} × {token 5} × {all of dim_head}. A transpose that is missing before a reshape, or patches cut by a plain reshape,
mixes tokens in a row, and no product of sets fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from vit_trace.record.meta.tensors import leaves
from vit_trace.record.recorder import TorchCall

MOVES = {
    *("view", "reshape", "permute", "transpose", "flatten", "unflatten", "chunk", "split", "unbind", "__getitem__"),
    *("expand", "squeeze", "unsqueeze", "contiguous", "movedim", "swapaxes", "narrow", "select", "t", "repeat"),
    *("expand_as", "view_as", "detach", "reshape_as", "swapdims", "tensor_split", "index_select", "flip", "moveaxis"),
    *("split_with_sizes", "rot90", "roll", "T", "mT", "H", "mH", "broadcast_to", "unfold_copy", "adjoint", "clone"),
}
"""Functions whose results hold the values of their first tensor, in other places."""

RESHAPES = {"view", "reshape", "flatten", "unflatten", "view_as", "reshape_as"}
"""Those of them that cut an axis in two or join two: there values end up in rows that are not theirs."""

HANDS_ON = {"float", "to", "type_as", "half", "bfloat16", "double", "requires_grad_", "dropout", "cpu", "type"}
"""Functions whose result has the same values at the same places."""

ELEMENTWISE = {
    *("add", "__add__", "add_", "__iadd__", "__radd__", "mul", "__mul__", "__rmul__", "__imul__", "mul_", "gelu"),
    *("silu", "sub", "__sub__", "div", "__truediv__", "batch_norm", "sigmoid", "tanh", "relu_", "hardswish", "div_"),
    *("relu",),
}
"""Functions that compute each value of the first tensor on its own, so that its coordinates still hold."""

APART = 0.5
"""Share of the rows that hold pixels apart from one another above which it is said."""

BATCH = 7
"""Images that the copy is fed: one is changed, and the others must not notice. Few models have seven of anything."""

LAST = {"linear", "layer_norm", "rms_norm"}
CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "conv_transpose2d", "batch_norm"}
CHANNELS_SECOND = {"interpolate", "cross_entropy", "nll_loss", "group_norm"}
PRODUCTS = {"matmul", "__matmul__", "bmm", "baddbmm"}
ATTENDS = PRODUCTS | {"einsum", "scaled_dot_product_attention"}
CATS = {"cat", "concat", "concatenate"}
SUMS = {"add", "__add__", "__radd__", "add_", "__iadd__"}
COMPARES = {"sub", "__sub__", "__rsub__", "mse_loss", "l1_loss", "smooth_l1_loss"}
"""Functions that compare what a model makes with patches of its input."""

TURNS = {"permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims", "einsum"}


@dataclass(slots=True)
class Origin:
    """Where the values of a tensor come from: places, counted flat, in a tensor of some shape that a step made.

    `base` is that tensor, by identity, and `features` are its axes of heads, features or channels; `mover` is the last
    step that cut or joined axes, else the last that moved values; `moves` are all, with their names and what they made.
    """

    shape: tuple[int, ...]
    step: int | None
    base: int
    features: tuple[int, ...] = ()
    moved: Tensor | None = None
    mover: int | None = None
    reshaped: bool = False
    moves: tuple[tuple[int, str, Tensor], ...] = ()

    @property
    def flat(self) -> Tensor:
        """The place of each value; where nothing was moved, its own."""
        return torch.arange(prod(self.shape)).reshape(self.shape) if self.moved is None else self.moved


@dataclass(frozen=True, slots=True)
class Scrambled:
    """Rows that a step reads and that hold values of several rows: the reader, the tensor, what it is made of.

    `share` is that of such rows; where it is 0, tokens and features are on one axis, though each row is of one token.
    `apart`: they hold one row each, but of pixels that do not lie side by side.
    """

    step: int
    reader: str
    shape: tuple[int, ...]
    share: float
    made: tuple[int, ...]
    maker: int | None
    mover: int
    apart: bool
    turner: int | None = None


class Coordinates:
    """The coordinates of all tensors of one forward. Tensors are known by identity: whoever uses this keeps them."""

    def __init__(self) -> None:
        self.origins: dict[int, Origin] = {}
        self.found: list[Scrambled] = []
        self.images: set[int] = set()
        self.joined: list[tuple[int, int]] = []
        self.cuts: dict[int, tuple[int, tuple[int, ...], tuple[int, ...]]] = {}

    def called(self, step: int, call: TorchCall, out: Any) -> None:
        """A function was called by a step: judge what it reads, and follow what it moves."""
        first = _moved_tensor(call)
        for tensor, axes in _read(call):
            if id(tensor) in self.origins:
                self.judge(step, call.name, tensor, axes)
        for tensor in call.args[:2] if call.name in SUMS else ():
            if isinstance(tensor, Tensor) and tensor.ndim > 2 and id(tensor) in self.origins:
                self.judge_table(step, call.name, tensor)
                if self.origins[id(tensor)].step is not None:
                    self.judge(step, call.name, tensor, (-1,))
        if first is not None and call.name in HANDS_ON | ELEMENTWISE and isinstance(out, Tensor):
            origin = self.origins.get(id(first))
            if out is first or (out.shape == first.shape and origin is not None):
                self.origins |= {id(out): origin} if origin is not None else {}
                return
        if first is not None and (call.name in MOVES or call.name == "einsum") and self.follow(step, first, call, out):
            if call.name in RESHAPES and isinstance(out, Tensor):
                self.cut(step, first, out)
            return
        self.fresh(step, out, call)

    def fresh(self, step: int | None, out: Any, call: TorchCall | None = None) -> None:
        """Tensors that a step computed: each value is at its own place."""
        for _, tensor in leaves(out):
            features = self.features(call, tensor.ndim) if call is not None else ()
            self.origins[id(tensor)] = Origin(tuple(tensor.shape), step, id(tensor), features)

    def features(self, call: TorchCall, ndim: int) -> tuple[int, ...]:
        """The axes of heads, features or channels of what a function makes; () where that is not known."""
        if call.name in CONVOLUTIONS or call.name == "unfold":
            return (1,)
        if call.name in LAST or call.name == "embedding":
            return (ndim - 1,)
        place = 2 if call.name == "scaled_dot_product_attention" else 1
        values = call.args[place] if call.name in ATTENDS and len(call.args) > place and ndim == 4 else None
        origin = self.origins.get(id(values))
        if isinstance(values, Tensor) and origin is not None and values.ndim == 4:
            heads, *_, last = self.varying(values)[1:]
            return (1, 3) if last and {*last, *heads} <= {*origin.features} else ()
        return ()

    def cut(self, step: int, first: Tensor, out: Tensor) -> None:
        """Note a reshape that joins otherwise what the one just before it had cut: nothing was turned between."""
        before, cut = self.cuts.get(id(first)), self.cuts.get(id(first), (None,))[0]
        if before is not None and cut is not None:
            was, had, made = (set(_bounds(shape)) for shape in (before[1], before[2], out.shape))
            if had - was and not (had - was) & made and made - was - had:
                self.joined.append((cut, step))
        self.cuts[id(out)] = step, tuple(first.shape), tuple(out.shape)

    def follow(self, step: int, first: Tensor, call: TorchCall, out: Any) -> bool:
        """Move the coordinates as the values are moved; False where that fails."""
        if id(first) not in self.origins:
            self.fresh(None, first)
        origin = self.origins[id(first)]
        try:
            moved = _again(call, origin.flat)
        except Exception:
            return False
        made, places = [tensor for _, tensor in leaves(out)], [tensor for _, tensor in leaves(moved)]
        if [tensor.shape for tensor in made] != [tensor.shape for tensor in places]:
            return False
        reshapes = call.name in RESHAPES
        mover = step if reshapes or not origin.reshaped else origin.mover
        for tensor, flat in zip(made, places, strict=True):
            known = origin.shape, origin.step, origin.base, origin.features
            moves = (*origin.moves, (step, call.name, flat))
            self.origins[id(tensor)] = Origin(*known, flat, mover, reshapes or origin.reshaped, moves)
        return True

    def judge(self, step: int, reader: str, tensor: Tensor, axes: tuple[int, ...]) -> None:
        """Note the rows along some axes that are made of pieces of several rows, or of pixels that lie apart."""
        origin = self.origins[id(tensor)]
        if origin.mover is None or tensor.numel() == 0 or tensor.ndim < len(axes):
            return
        if reader in COMPARES and origin.base not in self.images:
            return
        ends = tuple(range(-len(axes), 0))
        rows = origin.flat.movedim(axes, ends).flatten(ends[0])
        rows = rows.reshape(-1, rows.shape[-1])
        places = list(along_axes(rows, origin.shape))
        counts = [_distinct(one) for one in places]
        bad = torch.stack(counts).prod(0) != _distinct(rows)
        if len(axes) == 1 and reader in LAST | CONVOLUTIONS | CHANNELS_SECOND | CATS | SUMS:
            bad |= _parts_of_several(counts, origin)
        apart = not bad.any() and origin.base in self.images and len(axes) == 1 and _apart(places[-2:], counts[-2:])
        split = reader in LAST | ATTENDS and not bad.any() and self.split(tensor, origin)
        if bad.any() or apart or split:
            share, shape = 1.0 if apart else bad.float().mean().item(), tuple(tensor.shape)
            mover, turner = (origin.mover, None) if apart else self.first_bad(origin)
            self.found.append(Scrambled(step, reader, shape, share, origin.shape, origin.step, mover, apart, turner))

    def judge_table(self, step: int, reader: str, tensor: Tensor) -> None:
        """Note a table of places × heads that was cut in another order: table[index].view(heads, n, n)."""
        origin = self.origins[id(tensor)]
        table = origin.step is None and len(origin.shape) == 2 and origin.base not in self.images
        if table and origin.mover is not None and any(one == {0, 1} for one in self.varying(tensor)):
            shape = tuple(tensor.shape)
            self.found.append(Scrambled(step, reader, shape, 0.0, origin.shape, None, origin.mover, False))

    def split(self, tensor: Tensor, origin: Origin) -> bool:
        """Whether heads hold tokens, and tokens parts of heads: x.view(b, heads, n, d) of b×n×(heads·d)."""
        features = {*origin.features}
        tokens = {*range(1, len(origin.shape))} - features
        varied = self.varying(tensor) if features and tensor.ndim == 4 else []
        mixed = [axis for axis, one in enumerate(varied[1:-1], 1) if one & features and one & tokens]
        return any(varied[axis] & tokens for place in mixed for axis in range(1, len(varied) - 1) if axis != place)

    def first_bad(self, origin: Origin) -> tuple[int, int | None]:
        """The first step that put pieces of several tokens into one row; and one that turned what was cut before it."""
        for place, (step, name, flat) in enumerate(origin.moves):
            if name in RESHAPES and any(_mixes_pieces(flat, axis, origin) for axis in range(1, flat.ndim)):
                before = origin.moves[max(place - 2, 0) : place]
                joins = len(before) == 2 and flat.ndim < before[1][2].ndim
                turned = joins and before[0][1] in RESHAPES and before[1][1] in TURNS
                return step, before[1][0] if turned else None
        assert origin.mover is not None
        return origin.mover, None

    def varying(self, tensor: Tensor) -> list[set[int]]:
        """For each axis of the tensor, the axes of the one its values come from along which they differ along it."""
        origin = self.origins[id(tensor)]
        found: list[set[int]] = [set() for _ in tensor.shape]
        for at, places in enumerate(along_axes(origin.flat, origin.shape)):
            for axis, varied in enumerate(found):
                if places.numel() and (places != places.narrow(axis, 0, 1)).any():
                    varied.add(at)
        return found


def _again(call: TorchCall, flat: Tensor) -> Any:
    """The same call on other values; an index on the same device stays."""
    func: Any = call.func
    if call.name == "einsum":
        return func(call.args[0], flat)
    return func(flat, *call.args[1:], **call.kwargs)


def _moved_tensor(call: TorchCall) -> Tensor | None:
    """The first tensor of a call; of an einsum only where it does no more than turn its one tensor."""
    args = call.args
    if call.name == "einsum" and len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], Tensor):
        given, _, made = args[0].replace(" ", "").partition("->")
        return args[1] if sorted(given) == sorted(made) and len({*made}) == len(made) else None
    return args[0] if args and isinstance(args[0], Tensor) else None


def _bounds(shape: Sequence[int]) -> Iterator[int]:
    """How many values lie within each axis of a shape and those behind it, up to those of one image."""
    size, whole = 1, prod(shape) // BATCH
    for one in reversed(shape):
        size *= one
        if 1 < size < whole:
            yield size


def _mixes_pieces(flat: Tensor, axis: int, origin: Origin) -> bool:
    """Whether values along an axis come from several places that are no product of sets, or from parts of several."""
    rows = flat.movedim(axis, -1).reshape(-1, flat.shape[axis])
    counts = [_distinct(one) for one in along_axes(rows, origin.shape)]
    return bool((torch.stack(counts).prod(0) != _distinct(rows)).any() or _parts_of_several(counts, origin).any())


def _parts_of_several(counts: Sequence[Tensor], origin: Origin) -> Tensor:
    """Which rows hold several tokens, and of each more than one feature, but not all of them."""
    features = torch.ones_like(counts[0])
    tokens = torch.ones_like(counts[0])
    for axis, count in enumerate(counts):
        if axis in origin.features:
            features = features * count
        else:
            tokens = tokens * count
    whole = prod(origin.shape[axis] for axis in origin.features)
    return (tokens > 1) & (features > 1) & (features < whole)


def _read(call: TorchCall) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """The tensors that a call reads in rows, with the axes that the rows run along."""
    args, name = call.args, call.name
    first = args[0] if args and isinstance(args[0], Tensor) else None
    if name in LAST and first is not None and first.ndim:
        yield first, (-1,)
    elif name in CONVOLUTIONS | CHANNELS_SECOND and first is not None and first.ndim > 1:
        yield first, (1,)
    elif name in PRODUCTS and len(args) > 1:
        for tensor, axis in ((args[0], -1), (args[1], -2)):
            if isinstance(tensor, Tensor) and tensor.ndim > 1:
                yield from ((tensor, axes) for axes in ((axis,), (-2, -1)))
    elif name in COMPARES:
        yield from ((tensor, (-1,)) for tensor in args[:2] if isinstance(tensor, Tensor) and tensor.ndim > 1)
    elif name == "scaled_dot_product_attention":
        yield from ((tensor, axes) for tensor in args[:3] for axes in ((-1,), (-2, -1)))
    elif name == "einsum":
        yield from ((tensor, (-2, -1)) for tensor in args[1:] if isinstance(tensor, Tensor) and tensor.ndim > 2)
    elif name in CATS and args and isinstance(args[0], (tuple, list)):
        axis = args[1] if len(args) > 1 else call.kwargs.get("dim", call.kwargs.get("axis", 0))
        for tensor in args[0]:
            if tensor.ndim > 1 and axis not in (-1, tensor.ndim - 1):
                yield tensor, (-1,)


def _apart(places: Sequence[Tensor], counts: Sequence[Tensor]) -> bool:
    """Whether most rows hold several pixels of a line and leave out some between them."""
    for one, count in zip(places, counts, strict=True):
        wide = one.max(1).values - one.min(1).values + 1
        if ((count > 1) & (wide > count)).float().mean() > APART:
            return True
    return False


def along_axes(flat: Tensor, shape: Sequence[int]) -> Iterator[Tensor]:
    """The places along each axis of a shape, of places that are counted flat."""
    behind = prod(shape)
    for size in shape:
        behind //= size
        yield flat // behind % size


def _distinct(rows: Tensor) -> Tensor:
    """How many different numbers each row has."""
    ordered = rows.sort(dim=1).values
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(1)
