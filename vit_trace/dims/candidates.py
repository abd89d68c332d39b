"""Lists the formulas that the wide search chooses from: strides that round down or up, windows, shares of a width.

Their order counts: of several that give the same sizes the first is taken. A new form of formula is offered here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vit_trace.dims.formula import Formula, Least, Name, Number, Product, Quotient, Sum, factors, scaled, terms

SIDES = (("H", "p1"), ("W", "p2"), ("T", "pt"))
"""Symbols of the image's sides, each with that of its patch."""

STRIDES = (2, 4, 8, 16, 32, 64)
WINDOWS = (7, 8, 12, 14, 16)
"""Sides of windows that are tried where no symbol is one."""


def candidates(names: Sequence[str]) -> Iterator[Formula]:
    """Every formula to choose from, over symbols of these names."""
    divided = [list(patch_grids(names, side, patch)) for side, patch in SIDES]
    windows = [list(windowed(names, group)) for group in divided]
    for group in (*divided, [*spans(names), *volumes(names), *shares(names)], *windows):
        yield from group
    rows = [*divided[0], *windows[0], *fitted(names, "H", "p1")]
    columns = [*divided[1], *windows[1], *fitted(names, "W", "p2")]
    for row, column in zip(rows, columns, strict=False):
        yield row
        yield column
        yield Product((*factors(row), *factors(column)))


def windowed(names: Sequence[str], grids: Sequence[Formula]) -> Iterator[Formula]:
    """Grids divided into windows and padded to whole windows."""
    windows: list[Formula] = [Name(name) for name in names if "window" in name]
    for window in windows or [Number(side) for side in WINDOWS]:
        for grid in grids:
            down, up = rounded(grid, window)
            yield from (down, up, Product((window, up)), Product((window, down)))


def fitted(names: Sequence[str], side: str, patch: str) -> Iterator[Formula]:
    """Windows no larger than the grid they lie on, their spans, how many there are, the grid they make up."""
    windows = [Name(name) for name in names if "window" in name]
    stride = next((Name(name) for name in (patch, "p") if name in names), None)
    first = stride or Number(4)
    for window in windows if side in names else ():
        for more in (1, 2, 4, 8):
            step = Number(4 * more) if stride is None else scaled(more, stride)
            down, up = rounded(Name(side), step)[0], rounded(rounded(Name(side), first)[0], Number(more))[1]
            for grid in (down, up) if more > 1 else (down,):
                fits = Least((window, grid))
                count = rounded(grid, fits)[1]
                yield from (fits, Product((fits, fits)), Sum((Product((Number(2), fits)), Number(-1))))
                yield from (count, Product((fits, count)))


def patch_grids(names: Sequence[str], side: str, patch: str) -> Iterator[Formula]:
    """The side divided by a patch and then by strides, each rounded down or up."""
    if side not in names:
        return
    patches = [name for name in (patch, "p") if name in names][:1]
    strides: list[Formula] = [*map(Name, patches), Number(4)]
    for stride in strides:
        down, up = rounded(Name(side), stride)
        yield from (down, up)
        for more in (2, 4, 8):
            whole = Product((Number(more), stride)) if isinstance(stride, Name) else Number(4 * more)
            yield rounded(Name(side), whole)[0]
            yield rounded(down, Number(more))[1]
            yield rounded(up, Number(more))[0]
            yield rounded(Name(side), whole)[1]
    for more in (1, 2):  # a convolution that reaches over the edge, wider than its stride
        reaching = Quotient(Sum((Name(side), Number(more))), Number(4))
        yield reaching
        for further in (2, 4, 8):
            yield from rounded(reaching, Number(further))
    for name in patches:
        half = Quotient(Name(name), Number(2))
        lapped = Sum((Quotient(Sum((Name(side), Product((Number(-1), Name(name))))), half), Number(1)))
        yield lapped
        for more in (2, 4, 8):
            yield from rounded(lapped, Number(more))
    for number in STRIDES:
        yield from rounded(Name(side), Number(number))
    for number in (2, 8, 16, 32):  # a grid that rounds one way, reduced in the other
        for grid in rounded(Name(side), Number(number)):
            for more in (2, 4, 8):
                yield from rounded(grid, Number(more))


def spans(names: Sequence[str]) -> Iterator[Formula]:
    """How many relative positions a side has, and an area: 2*window - 1."""
    sides = [name for name in names if "window" in name or name in ("h", "w")]
    spans: dict[str, Formula] = {name: Sum((Product((Number(2), Name(name))), Number(-1))) for name in sides}
    for name, span in spans.items():
        yield span
        if name not in ("h", "w"):
            yield Product((span, span))
            yield Product((Name(name),) * 4)
    if "h" in spans and "w" in spans:
        yield Product((spans["h"], spans["w"]))


def volumes(names: Sequence[str]) -> Iterator[Formula]:
    """What one patch holds, where that is a product of four."""
    for patch in ("p", "p1"):
        if patch in names and "pt" in names:
            sides = (Name(patch), Name("p2" if patch == "p1" else "p"), Name("pt"))
            yield Product(sides)
            yield from (Product((Name(name), *sides)) for name in names if name == "c")


def shares(names: Sequence[str]) -> Iterator[Formula]:
    """A part of a symbol, rounded down: dim//heads, dim//2, 8*dim//3."""
    heads = [name for name in names if "head" in name]
    for other in heads:
        for one in names:
            if one not in heads:
                yield from (Quotient(scaled(factor, Name(one)), Name(other)) for factor in (1, 2, 4, 8))
    for name in names:
        if name in ("b", "H", "W", "h", "w", "T"):
            continue
        for bottom in (2, 4, 8, 16, 3, 6, 32, 12, 24, 5):
            for top in (1, 2, 4, 8, 3, 5, 16):
                if top < bottom * 16 and (bottom % top or top == 1):
                    yield Quotient(scaled(top, Name(name)), Number(bottom))


def rounded(top: Formula, bottom: Formula) -> tuple[Formula, Formula]:
    """top over bottom, rounded down and rounded up."""
    more: tuple[Formula, ...]
    more = (Number(bottom.value - 1),) if isinstance(bottom, Number) else (bottom, Number(-1))
    return Quotient(top, bottom), Quotient(Sum((*terms(top), *more)), bottom)
