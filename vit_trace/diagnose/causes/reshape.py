"""Recognises sizes that a tensor cannot take: view and reshape, windows that do not tile, expand, split."""

import ast
import linecache
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import prod
from typing import NamedTuple

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import call_changed, turned
from vit_trace.diagnose.changes.records import CallChange, Fix, NumberChange
from vit_trace.diagnose.changes.solved import multiples
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.grids import (
    beside_grid,
    beside_words,
    grid_said,
    grids_meant,
    grids_of,
    pixels_for_patches,
)
from vit_trace.diagnose.pixels import images
from vit_trace.diagnose.scene import (
    Scene,
    Shape,
    Side,
    axes_text,
    called,
    mentions,
    side,
    sizes_text,
    spoken_lines,
    with_shape,
)
from vit_trace.dims.formula import FormulaError, evaluate, parse

RESHAPE = CauseKind(
    "reshape",
    """view, reshape or unflatten to sizes whose product is not the number of values.
    Example: 2×7×576 to 2×7×3×5×38: 576 is not 3·5·38 = 570, since C = 192 is not a multiple of heads = 5.
    The sizes that stay are left out; the note names the number that was divided with a remainder.
    """,
    usual(sizes=(multiples,)),
)

WINDOW = CauseKind(
    "window",
    """A window does not tile the grid: the grid has to be a multiple of the window.
    Example: h = 64 is not a multiple of window_size = 7.
    Take a window that divides the grid, or an image whose grid it divides.
    """,
    usual(sizes=(multiples,)),
)


def _grid_sides(question: Question) -> Iterator[Fix]:
    """The sides of the grid where those of the image, or of another grid, were asked for."""
    scene, wanted = question.scene, _wanted_sizes(question.scene)
    for one in pixels_for_patches(scene, wanted):
        down, across = (side // max(count, 1) for side, count in zip(one.asked, one.grid, strict=True))
        yield from _with_sizes(scene, one.sizes, f"height // {down} and width // {across}")
    for one in grids_meant(scene, wanted):
        if _holds_as_many(scene.operands[0].shape, one.sizes):
            yield from _with_sizes(scene, one.sizes, f"the grid of this input, {shape_text(one.grid)}")


def _with_sizes(scene: Scene, sizes: Shape, said: str) -> Iterator[Fix]:
    """The call with other sizes."""
    changed = {place: size for place, size in enumerate(sizes) if size != _wanted_sizes(scene)[place]}
    if scene.failure.span is not None:
        text = f"{scene.call} to {sizes_text(sizes)}: {said}"
        yield CallChange(text, scene.failure.call, scene.failure.span, sizes=changed)


def _without_those_beside(question: Question) -> Iterator[Fix]:
    """x[:, 1:]: the tokens of the grid alone."""
    scene, tensor = question.scene, question.scene.operands[0]
    start, have, want = _rearranged(tensor.shape, _wanted_sizes(scene))
    for size, _, more in _beside(scene, have, want):
        axis = start + list(have).index(size)
        yield from turned(scene, 0, ("narrow", axis, more, size - more))


def numbers_written_out(question: Question) -> Iterator[NumberChange]:
    """x.shape[1] instead of 3: a size of the tensor where the line has a number for it."""
    failure = question.scene.failure
    for one in _literals(question.scene):
        text = f"{one.name} instead of {one.literal} in line {one.line}"
        if failure.span is not None:
            yield NumberChange(
                text, failure.call, failure.span, sizes={one.place: one.sizes[one.place]}, literal=one.literal
            )
    yield from _named_numbers(question)


@finds(
    *("view", "reshape", "unflatten", "reshape_as", "view_as", "unsafe_view"),
    tensors=1,
    edits=[numbers_written_out, _grid_sides, _without_those_beside],
)
def sizes_do_not_multiply(scene: Scene) -> Cause | None:
    """`x.view(b, n, heads, 12)` of another number of values."""
    tensor, wanted = scene.operands[0], _wanted_sizes(scene)
    given = tensor.shape
    if scene.call == "unflatten":
        axis = scene.integer("[1]", "dim", default=0)
        sizes = scene.argument("[2]", "sizes")
        if not isinstance(sizes, list) or not -len(given) <= axis < len(given):
            return None
        wanted, given = tuple(size for size in sizes if type(size) is int), (given[axis],)
    if wanted and min(wanted) < -1:
        text = f"{scene.call} of {called(tensor)} {shape_text(given)} to {sizes_text(wanted)}: {min(wanted)} is not a "
        return Cause(RESHAPE, f"{text}valid size")
    return _undivided(scene, tensor, given, wanted) if wanted and not _holds_as_many(given, wanted) else None


def _wanted_sizes(scene: Scene) -> Shape:
    """The shape that a view or reshape asks for."""
    if scene.call in ("view_as", "reshape_as") and len(scene.operands) > 1:
        return scene.operands[1].shape
    return scene.sizes("shape", "size", "sizes")


def _holds_as_many(given: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape holds as many values as another; -1 stands for what is left."""
    fixed = prod(size for size in wanted if size != -1)
    if -1 in wanted:
        return fixed != 0 and prod(given) % fixed == 0
    return prod(given) == fixed


def _undivided(scene: Scene, tensor: Operand, given: Shape, wanted: Shape) -> Cause:
    """The cause, told about the part of the shape that changes."""
    start, have, want = _rearranged(given, wanted)
    fixed = [size for size in want if size != -1]
    relation = "is not a multiple of" if -1 in want else "is not"
    text = f"{scene.call} of {with_shape(tensor)} to {sizes_text(wanted)}: "
    text += f"{_product_with_total(have)} {relation} {_product_with_total(fixed)}"
    grid = (*_written_out(scene), *_pixels(scene, tensor, wanted), *_tokens_over(scene, have, want))
    culprit = None if grid else _divided_with_rest(scene, wanted, prod(have)) or _misfit(scene, want, prod(have))
    notes = culprit[:1] if culprit else (*grid, *_named_sizes(scene, want))
    sides = () if scene.call == "unflatten" else tuple(side(tensor, start + place) for place in range(len(have)))
    divisor = culprit[1] if culprit else (prod(fixed) if -1 in want else None)
    return Cause(WINDOW if _is_window(scene, want) else RESHAPE, text, notes, sides, divisor=divisor)


def _rearranged(given: Shape, wanted: Shape) -> tuple[int, Shape, Shape]:
    """(first axis, sizes there, sizes wanted) of the part that changes, once the axes that stay are set aside."""
    start, stop = 0, 0
    while start < min(len(given), len(wanted)) and given[start] == wanted[start]:
        start += 1
    while stop < min(len(given), len(wanted)) - start and given[-1 - stop] == wanted[-1 - stop]:
        stop += 1
    have, want = given[start : len(given) - stop], wanted[start : len(wanted) - stop]
    if not have or not want or not any(size != -1 for size in want):
        return 0, given, wanted
    return start, have, want


def _tokens_over(scene: Scene, have: Shape, want: Shape) -> tuple[str, ...]:
    """197 = 14·14 + 1 class token: a grid has no place for it."""
    return tuple(
        f"{size} = {product_text(grid)} + {beside_words(scene.trace, more)}: the grid has no place for {_them(more)}"
        for size, grid, more in _beside(scene, have, want)
    )[:1]


class _Literal(NamedTuple):
    """A number in the failing line, what it may stand for, and the sizes asked for with that in its place."""

    literal: int
    place: int
    line: int
    name: str
    size: int
    sizes: Shape


def _literals(scene: Scene) -> Iterator[_Literal]:
    """Numbers written out in the failing line for which a size of the tensor would do."""
    span, tensor, wanted = scene.failure.span, scene.operands[0], _wanted_sizes(scene)
    written = _size_expressions(span.text) if span is not None else []
    if span is None or len(written) != len(wanted):
        return
    for place, expression in enumerate(written):
        for node in ast.walk(expression):
            if not isinstance(node, ast.Constant) or type(node.value) is not int or node.value < 2:
                continue
            for name, size in _sizes_by_name(scene, tensor, place):
                value = _with_number(expression, node, size, scene) if size != node.value else None
                sizes = (*wanted[:place], value or 0, *wanted[place + 1 :])
                if value and _holds_as_many(tensor.shape, sizes):
                    yield _Literal(node.value, place, span.line + node.lineno - 1, name, size, sizes)
                    break


def _sizes_by_name(scene: Scene, tensor: Operand, place: int) -> Iterator[tuple[str, int]]:
    """(name, size) that a number may stand for: an axis of the tensor, the one at its place first; then channels."""
    for axis, size in sorted(enumerate(tensor.shape), key=lambda pair: pair[0] != place):
        yield f"{called(tensor)}.shape[{axis}]", size
    for spec in images(scene.trace):
        yield f"{spec.shape[1]}, the channels of the images,", spec.shape[1]


def _size_expressions(text: str) -> list[ast.expr]:
    """The expressions of the sizes in x.reshape(b, 3, -1), x.view((b, 3)) or torch.reshape(x, (b, 3))."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return []
    given = [*call.args, *(one.value for one in call.keywords)] if isinstance(call, ast.Call) else []
    last = given[-1] if given else None
    return [*last.elts] if isinstance(last, (ast.Tuple, ast.List)) else [*given]


def _with_number(expression: ast.expr, node: ast.Constant, number: int, scene: Scene) -> int | None:
    """The value of an expression with another number in a place, where the frame's numbers tell it."""
    held, node.value = node.value, number
    try:
        text = ast.unparse(expression)
    finally:
        node.value = held
    names = sorted((name for name in scene.whole_numbers if mentions(text, name)), key=len, reverse=True)
    for name in names:
        text = re.sub(rf"(?<![\w.]){re.escape(name)}\b", str(scene.whole_numbers[name]), text)
    text = re.sub(r"\b(\d+) ?\*\* ?2\b", r"(\1*\1)", text)
    try:
        return evaluate(parse(text), {})
    except FormulaError:
        return None


def _written_out(scene: Scene) -> tuple[str, ...]:
    """The 3 in line 22 is written out; x.shape[1] is 1."""
    told = (f"the {one.literal} in line {one.line} is written out; " + _what_it_is(one) for one in _literals(scene))
    return tuple(told)[:1]


def _what_it_is(one: _Literal) -> str:
    return f"the images have {one.size} channels" if "images" in one.name else f"{one.name} is {one.size}"


def _them(count: int) -> str:
    return "that one" if count == 1 else f"those {count}"


def _beside(scene: Scene, have: Shape, want: Shape) -> Iterator[tuple[int, tuple[int, int], int]]:
    """(tokens, grid, tokens beside it): a size that is a grid and a few more, without which the sizes would do."""
    known = grids_of(scene.trace)
    pairs = [(one, two) for one, two in pairwise(want) if one > 1 and two > 1]
    pairs += [grid for grid in known if prod(grid) in want]
    for place, size in enumerate(have):
        for grid in dict.fromkeys(pairs):
            more = beside_grid(scene.trace, size, grid)
            if known and grid not in known and beside_words(scene.trace, more).isdigit():
                continue
            if more and _holds_as_many((*have[:place], size - more, *have[place + 1 :]), want):
                yield size, grid, more


def _pixels(scene: Scene, tensor: Operand, wanted: Shape) -> tuple[str, ...]:
    """224×224 are the pixels of the image; its grid is 14×14, 196 patches. Or another grid than the one there is."""
    for one in pixels_for_patches(scene, wanted):
        if _holds_as_many(tensor.shape, one.sizes):
            patches = f"{shape_text(one.grid)}, {prod(one.grid)} patches"
            return (f"{shape_text(one.asked)} are the pixels of the image; its grid is {patches}",)
    fitting = (one for one in grids_meant(scene, wanted) if _holds_as_many(tensor.shape, one.sizes))
    return tuple(grid_said(one.asked, one.grid) for one in fitting)[:1]


def _product_with_total(sizes: Sequence[int]) -> str:
    """2·5·153 = 1530"""
    return f"{product_text(sizes)} = {prod(sizes)}" if len(sizes) > 1 else str(prod(sizes))


SHORT = 4
"""Numbers of a list that are looked at, such as the sides of a window."""

DIVISION = re.compile(r"([A-Za-z_][\w.]*)\s*//?\s*([A-Za-z_][\w.]*(?:\[\d\])?|\d+)")
"""A division as it is written."""


def _divided_with_rest(scene: Scene, wanted: Sequence[int], have: int) -> tuple[str, int] | None:
    """(note, divisor) for a number that the source divides with a remainder into a size asked for: 768 // 5 = 153."""
    numbers = {name: value for name, value in _numbers(scene) if value > 1}
    here = DIVISION.findall(spoken_lines(scene))
    pairs = [(name, other) for name, other in here if name in numbers and (other in numbers or other.isdigit())]
    written = {(_last(name), _last(other)) for name, other in DIVISION.findall(_own_file(scene))}
    elsewhere = [pair for pair in product(numbers, numbers) if (_last(pair[0]), _last(pair[1])) in written]
    for name, other in (*pairs, *elsewhere):
        value, divisor = numbers[name], numbers[other] if other in numbers else int(other)
        quotient, rest = divmod(value, divisor) if divisor else (0, 0)
        known = (name, other) in pairs or {divisor, quotient} <= set(wanted)
        if rest and quotient != 1 and quotient in wanted and known and have % value == 0:
            said = f"{other} = {divisor}" if other in numbers else other
            what = f"{quotient}, {rest} left over" if quotient else "0"
            relation = "not a multiple of" if quotient else "smaller than"
            text = f"{name} = {value} is {relation} {said}: {value} // {divisor} = {what}"
            return text, divisor
    return None


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _numbers(scene: Scene) -> Iterator[tuple[str, int]]:
    """The whole numbers of the failing frame by name, those of short lists among them: self.window[0]."""
    yield from scene.whole_numbers.items()
    for name, held in scene.failure.values.items():
        for place, one in enumerate(held[:SHORT] if isinstance(held, list) else ()):
            if type(one) is int:
                yield f"{name}[{place}]", one


def _own_file(scene: Scene) -> str:
    """The source of the file whose line failed."""
    span = scene.failure.span
    return "".join(linecache.getlines(span.file)) if span is not None else ""


def _misfit(scene: Scene, want: Sequence[int], have: int) -> tuple[str, int] | None:
    """(note, number) for a number that would have to be another for the sizes to fit: self.num_heads = 5, not 3."""
    for name, value, fitting in _misfits(scene, want, have):
        written = _quotient(scene, name, value, fitting)
        return f"{name} = {value} would have to be {fitting}{written} for the other sizes to fit", value
    return None


def _misfits(scene: Scene, want: Sequence[int], have: int) -> Iterator[tuple[str, int, int]]:
    """(name, value, value at which the other sizes fit) of the numbers that the line names."""
    if -1 in want or 0 in want:
        return
    text = spoken_lines(scene)
    for name, value in scene.whole_numbers.items():
        if name.startswith("self.") and mentions(text, name) and value > 1 and value in want:
            fitting, rest = divmod(have * value, prod(want))
            if not rest and fitting > 1:
                yield name, value, fitting


def _quotient(scene: Scene, name: str, value: int, fitting: int) -> str:
    """ " = self.dim // self.heads", where that is what a number would have to be."""
    numbers = scene.whole_numbers.items()
    other = next((one for one, size in numbers if one.startswith("self.") and size > 1 and size * fitting == value), "")
    return f" = {name} // {other}" if other else ""


def _named_numbers(question: Question) -> Iterator[NumberChange]:
    """self.dim // self.heads instead of self.dim: the value of a name at which the other sizes fit."""
    scene, failure = question.scene, question.scene.failure
    wanted = _wanted_sizes(scene)
    for name, value, fitting in _misfits(scene, wanted, prod(scene.operands[0].shape)):
        better = _quotient(scene, name, value, fitting).removeprefix(" = ")
        if failure.span is not None and better and wanted.count(value) == 1:
            text = f"{better} instead of {name} in line {failure.span.line}"
            sizes = {wanted.index(value): fitting}
            yield NumberChange(text, failure.call, failure.span, sizes=sizes, literal=value)


def _named_sizes(scene: Scene, want: Sequence[int]) -> tuple[str, ...]:
    """What the line calls the sizes that it asks for: with self.width = 7."""
    text = spoken_lines(scene)
    numbers = scene.whole_numbers.items()
    named = [f"{name} = {value}" for name, value in numbers if value in want and mentions(text, name)]
    return (f"with {', '.join(named)}",) if named else ()


def _is_window(scene: Scene, sizes: Sequence[int]) -> bool:
    """Whether one of the sizes is a window's: by the name of a number in the frame."""
    values = scene.failure.values.items()
    named = [value for name, value in values if "window" in name or name.split(".")[-1] in ("ws", "wsize", "win")]
    return any(size in sizes for value in named for size in (value if isinstance(value, list) else [value]))


VIEW = CauseKind(
    "view",
    """view only gives a new shape to values that are contiguous in memory. After a transpose or permute they are not,
    though the sizes would do: x.transpose(1, 2).view(2, -1). reshape copies where it has to; x.contiguous().view(…)
    does the same. """,
)


def _reshaped_instead(question: Question) -> Iterator[Fix]:
    """reshape, which copies where it has to; not of patches to pixels, which it would put in the wrong order."""
    if _scrambled_pixels(question.scene):
        return
    yield from call_changed(question.scene, "reshape instead of view", steps=[("contiguous",)])


@finds("view", "view_as", "unsafe_view", tensors=1, edits=[_reshaped_instead])
def not_contiguous(scene: Scene) -> Cause | None:
    """`x.transpose(1, 2).view(2, -1)`."""
    tensor, wanted = scene.operands[0], _wanted_sizes(scene)
    if not wanted or min(wanted) < -1 or not _holds_as_many(tensor.shape, wanted):
        return None
    text = f"view of {with_shape(tensor)} to {sizes_text(wanted)}: the sizes would do, but "
    text += "after a transpose or permute the values are not contiguous, as view needs them"
    return Cause(VIEW, text, _scrambled_pixels(scene))


def _scrambled_pixels(scene: Scene) -> tuple[str, ...]:
    """A reshape of patches straight to the pixels of an image: what each patch holds has to come apart first."""
    tensor, wanted = scene.operands[0], _wanted_sizes(scene)
    for _, image, grid in pixels_for_patches(scene, wanted):
        if prod(grid) in tensor.shape:
            order = "rearrange(x, 'b (h w) (c p1 p2) -> b c (h p1) (w p2)', …)"
            return (
                f"a reshape of {prod(grid)} patches to {shape_text(image)} pixels puts them in another order: {order}",
            )
    return ()


EXPAND = CauseKind(
    "expand",
    """expand and broadcast_to can only make axes of size 1 larger.
    Example: tokens has 2 on axis 0 and cannot be expanded to 4: made for one batch size, used with another.
    """,
)


@finds("expand", "expand_as", "broadcast_to", "repeat", "tile", tensors=1)
def cannot_grow(scene: Scene) -> Cause | None:
    """`tokens.expand(4, -1, -1)` of a batch of 2."""
    tensor = scene.operands[0]
    wanted = scene.operands[1].shape if scene.call == "expand_as" and len(scene.operands) > 1 else ()
    wanted = wanted or scene.sizes("size", "sizes", "repeats")
    if wanted and min(wanted) < -1:
        text = f"{scene.call} of {with_shape(tensor)} to {sizes_text(wanted)}: "
        return Cause(EXPAND, f"{text}{min(wanted)} is not a valid size")
    if len(wanted) < len(tensor.shape):
        text = f"{scene.call} to {axes_text(len(wanted))}, but {with_shape(tensor)} has "
        return Cause(WRONG_RANK, text + str(len(tensor.shape)), rank=len(wanted))
    if scene.call in ("repeat", "tile"):
        return None
    for back in range(1, len(tensor.shape) + 1):
        if tensor.shape[-back] not in (1, wanted[-back]) and wanted[-back] != -1:
            one = side(tensor, -back)
            text = f"{one.name} has {one.size} on axis {one.axis} and cannot be expanded to {wanted[-back]}"
            return Cause(EXPAND, text, sides=(one, Side(None, None, wanted[-back], "the wanted size")))
    return None


SPLIT = CauseKind("split", "split into parts whose sum is not the size of the axis.")


@finds("split", "split_with_sizes", "tensor_split", tensors=1)
def parts_do_not_add_up(scene: Scene) -> Cause | None:
    """`x.split([4, 4], dim=1)` of 9."""
    tensor = scene.operands[0]
    sizes = scene.argument("[1]", "split_size_or_sections", "split_size", "split_sizes")
    axis = scene.integer("[2]", "dim", default=0)
    if not isinstance(sizes, list) or not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    parts = [size for size in sizes if type(size) is int]
    there = side(tensor, axis)
    if sum(parts) == there.size:
        return None
    text = f"split into {' + '.join(map(str, parts))} = {sum(parts)}, but axis {there.axis} of {there.name} is "
    return Cause(SPLIT, f"{text}{there.size}", sides=(there, Side(None, None, sum(parts), "the parts")))
