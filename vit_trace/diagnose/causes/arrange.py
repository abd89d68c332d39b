"""Sizes that do not divide and axes that are not there: view, split, expand, permute, indexing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.scene import Cause, Scene, Side, axes_text, called, mentions, side, whole_lines

MOST_TOKENS = 8
"""Tokens beside a grid of patches, at the most."""

VIEWS = {"view", "reshape", "unflatten", "reshape_as", "view_as", "_unsafe_view"}
ONE_AXIS = {"softmax", "log_softmax", "flatten", "unbind", "chunk", "split", "squeeze", "select", "cumsum", "narrow"}
ONE_AXIS |= {"mean", "sum", "amax", "amin", "argmax", "size", "unflatten", "norm", "normalize", "tensor_split", "roll"}
ONE_AXIS |= {"unsqueeze", "flip", "sort", "std", "var", "max", "min", "prod", "all", "any", "gather"}


def reshaping(scene: Scene) -> Cause | None:
    """view and reshape: the sizes asked for do not multiply to what there is."""
    tensor = scene.tensor(0)
    if scene.call not in VIEWS or tensor is None:
        return None
    wanted, given = scene.sizes("shape", "size", "sizes"), tensor.shape
    if scene.call == "unflatten":
        axis = scene.integer("[1]", "dim", default=0)
        sizes = scene.argument("[2]", "sizes")
        if not isinstance(sizes, list) or not -len(given) <= axis < len(given):
            return None
        wanted, given = tuple(size for size in sizes if type(size) is int), (given[axis],)
    if scene.call in ("view_as", "reshape_as") and len(scene.operands) > 1:
        wanted = scene.operands[1].shape
    if wanted and min(wanted) < -1:
        text = f"{scene.call} of {called(tensor)} {shape_text(given)} to {shape_text(wanted)}: {min(wanted)} is no size"
        return Cause("reshape", text)
    return None if not wanted or fits(given, wanted) else undivided(scene, tensor, given, wanted)


def fits(given: Sequence[int], wanted: Sequence[int]) -> bool:
    known = prod(size for size in wanted if size != -1)
    if -1 in wanted:
        return known != 0 and prod(given) % known == 0
    return prod(given) == known


def undivided(scene: Scene, tensor: Operand, given: tuple[int, ...], wanted: tuple[int, ...]) -> Cause:
    """The part of the shape that is rearranged, once the axes that stay are set aside."""
    start, stop = 0, 0
    while start < min(len(given), len(wanted)) and given[start] == wanted[start]:
        start += 1
    while stop < min(len(given), len(wanted)) - start and given[-1 - stop] == wanted[-1 - stop]:
        stop += 1
    have, want = given[start : len(given) - stop], wanted[start : len(wanted) - stop]
    if not have or not want or not any(size != -1 for size in want):
        have, want, start = given, wanted, 0
    known = [size for size in want if size != -1]
    text = f"{scene.call} of {called(tensor)} {shape_text(tensor.shape)} to {shape_text(wanted)}: "
    if -1 in want:
        text += f"{total(have)} is not a multiple of {total(known)}"
    else:
        text += f"{total(have)} is not {total(known)}"
    culprit = division(scene, wanted, prod(have)) or misfit(scene, want, prod(have))
    notes = (culprit[0],) if culprit else spoken(scene, want)
    if not culprit:
        notes = (*notes, *tokens_over(have, known))
    sides = [side(tensor, start + place) for place in range(len(have)) if scene.call != "unflatten"]
    divisor = culprit[1] if culprit else (prod(known) if -1 in want else None)
    return Cause("window" if is_window(scene, want) else "reshape", text, notes, tuple(sides), divisor=divisor)


def tokens_over(have: Sequence[int], known: Sequence[int]) -> tuple[str, ...]:
    """197 = 14·14 + 1: a class token that a grid has no place for."""
    grid = prod(known)
    for size in have if len(known) > 1 else ():
        if 0 < size - grid <= MOST_TOKENS:
            more = size - grid
            return (f"{size} = {product_text(known)} + {more}: the grid has no place for {more} of them",)
    return ()


def total(sizes: Sequence[int]) -> str:
    """2·5·153 = 1530"""
    return f"{product_text(sizes)} = {prod(sizes)}" if len(sizes) > 1 else str(prod(sizes))


def division(scene: Scene, wanted: Sequence[int], have: int) -> tuple[str, int] | None:
    """A number of the frame that was divided with a remainder into a size asked for: 768 // 5 = 153."""
    numbers = {name: value for name, value in scene.failure.values.items() if type(value) is int and value > 1}
    for name, value in numbers.items():
        for other, divisor in numbers.items():
            quotient, rest = divmod(value, divisor)
            if rest and quotient > 1 and {divisor, quotient} <= set(wanted) and have % value == 0:
                text = f"{name} = {value} is not a multiple of {other} = {divisor}: {value} // {divisor} = "
                return f"{text}{quotient}, {rest} left over", divisor
    return None


def misfit(scene: Scene, want: Sequence[int], have: int) -> tuple[str, int] | None:
    """A number of the frame that, were it another, would make the sizes fit: self.num_heads = 5 would have to be 3."""
    if -1 in want or 0 in want:
        return None
    text = whole_lines(scene.failure.span) if scene.failure.span else ""
    for name, value in scene.failure.values.items():
        if name.startswith("self.") and mentions(text, name) and type(value) is int and value > 1 and value in want:
            fitting, rest = divmod(have * value, prod(want))
            if not rest and fitting > 0:
                return f"{name} = {value} would have to be {fitting} for the other sizes to fit", value
    return None


def spoken(scene: Scene, want: Sequence[int]) -> tuple[str, ...]:
    """What the line calls the sizes that it asks for: with self.width = 7."""
    text = whole_lines(scene.failure.span) if scene.failure.span else ""
    named = [
        f"{name} = {value}"
        for name, value in scene.failure.values.items()
        if type(value) is int and value in want and mentions(text, name)
    ]
    return (f"with {', '.join(named)}",) if named else ()


def is_window(scene: Scene, sizes: Sequence[int]) -> bool:
    """Whether one of the sizes is a window's: by the name of a number in the frame."""
    for name, value in scene.failure.values.items():
        held = value if isinstance(value, list) else [value]
        if ("window" in name or name.split(".")[-1] in ("ws", "wsize", "win")) and any(size in sizes for size in held):
            return True
    return False


def splitting(scene: Scene) -> Cause | None:
    """split with sizes that do not add up, chunk and split of an axis that does not divide."""
    tensor = scene.tensor(0)
    if scene.call not in ("split", "split_with_sizes", "tensor_split") or tensor is None:
        return None
    sizes = scene.argument("[1]", "split_size_or_sections", "split_size", "split_sizes")
    axis = scene.integer("[2]", "dim", default=0)
    if not isinstance(sizes, list) or not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    parts = [size for size in sizes if type(size) is int]
    there = side(tensor, axis)
    if sum(parts) == there.size:
        return None
    total_parts = f"{' + '.join(map(str, parts))} = {sum(parts)}"
    text = f"split into {total_parts}, but axis {there.axis} of {there.name} is {there.size}"
    return Cause("split", text, sides=(there, Side(None, None, sum(parts), "the parts")))


def expansion(scene: Scene) -> Cause | None:
    """expand: only axes of size 1 can grow; repeat needs a number for every axis."""
    tensor = scene.tensor(0)
    if tensor is None or scene.call not in ("expand", "expand_as", "broadcast_to", "repeat", "tile"):
        return None
    wanted = scene.operands[1].shape if scene.call == "expand_as" and len(scene.operands) > 1 else ()
    wanted = wanted or scene.sizes("size", "sizes", "repeats")
    if wanted and min(wanted) < -1:
        text = f"{scene.call} of {called(tensor)} {shape_text(tensor.shape)} to {shape_text(wanted)}: "
        return Cause("expand", f"{text}{min(wanted)} is no size")
    if len(wanted) < len(tensor.shape):
        text = f"{scene.call} to {axes_text(len(wanted))}, but {called(tensor)} {shape_text(tensor.shape)} has "
        return Cause("wrong-rank", text + str(len(tensor.shape)), rank=len(wanted))
    if scene.call in ("repeat", "tile"):
        return None
    for back in range(1, len(tensor.shape) + 1):
        if tensor.shape[-back] not in (1, wanted[-back]) and wanted[-back] != -1:
            one = side(tensor, -back)
            text = f"{one.name} has {one.size} on axis {one.axis} and cannot be expanded to {wanted[-back]}"
            return Cause("expand", text, sides=(one, Side(None, None, wanted[-back], "the wanted size")))
    return None


def axes_named(scene: Scene) -> Cause | None:
    """permute, transpose, softmax, mean: an axis that the tensor does not have."""
    tensor = scene.tensor(0)
    if tensor is None:
        return None
    ndim, text = len(tensor.shape), f"{called(tensor)} {shape_text(tensor.shape)} has {axes_text(len(tensor.shape))}"
    if scene.call == "permute":
        dims = scene.sizes("dims")
        if dims and len(dims) != ndim:
            return Cause("wrong-rank", f"permute names {axes_text(len(dims))}, but {text}", rank=len(dims))
        places = [axis % ndim for axis in dims if -ndim <= axis < ndim]
        twice = next((axis for axis in places if places.count(axis) > 1), None)
        if twice is not None and len(places) == ndim:
            left = ", ".join(str(axis) for axis in range(ndim) if axis not in places)
            return Cause(
                "permute", f"permute({', '.join(map(str, dims))}) names axis {twice} twice, and {left} not at all"
            )
    named: list[int] = []
    if scene.call in ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"):
        named = [*scene.sizes("dims"), *(scene.integer(f"dim{place}", default=0) for place in (0, 1))]
    elif scene.call in ONE_AXIS:
        names = ("dim", "axis", "dims", "start_dim", "end_dim")
        values = [
            scene.argument(name) for name in (*names, *(("[1]",) if scene.call not in ("chunk", "split") else ("[2]",)))
        ]
        named = [
            item for value in values for item in (value if isinstance(value, list) else [value]) if type(item) is int
        ]
    limit = ndim + (scene.call == "unsqueeze")
    beyond = next((axis for axis in named if not -max(limit, 1) <= axis < max(limit, 1)), None)
    if beyond is None:
        return None
    wanted = beyond + 1 if beyond >= 0 else -beyond
    return Cause("wrong-rank", f"{scene.call} over axis {beyond}, but {text}", rank=wanted)


def strided(scene: Scene) -> Cause | None:
    """view of a tensor whose axes were exchanged: the sizes would do, the values do not lie in a row."""
    tensor = scene.tensor(0)
    if scene.call not in ("view", "view_as", "_unsafe_view") or tensor is None:
        return None
    wanted = scene.sizes("shape", "size")
    if scene.call == "view_as" and len(scene.operands) > 1:
        wanted = scene.operands[1].shape
    if not wanted or not fits(tensor.shape, wanted):
        return None
    text = (
        f"view of {called(tensor)} {shape_text(tensor.shape)} to {shape_text(wanted)}: the sizes would do, but after "
    )
    return Cause("view", f"{text}a transpose or permute the values do not lie in a row, as view needs them")
