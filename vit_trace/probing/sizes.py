"""Chooses other sizes to build a model at: different primes, multiplied where one size must divide another.

A style says which groups of knobs are varied and how; a setting gives every symbol its value. Plain numbers: no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

from vit_trace.base.roles import Path
from vit_trace.base.trace import Symbol
from vit_trace.dims.formula import FormulaError, evaluate, parse
from vit_trace.targets.inputs import height_width
from vit_trace.targets.knobs import SYMBOLS, Changes, Knob, Leaf, image_changes

GROUPS = {role: symbol.group for role, symbol in SYMBOLS.items()}
"""Group of each role: roles of one group vary together. A knob without a role is a group of its own."""

IMAGES = ("awkward", "patches", "exact", "square awkward", "square patches", "square exact", "multiple")
"""Kinds of images, from the one that tells most."""

SMALL = {"heads", "patch", "window", "frame_patch", "channels", "frames"}
"""Roles that are given small primes."""

APART = {"channels", "classes"}
"""Roles whose sizes meet at no stage: doubled in one trace."""

SMALL_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23)
PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103)
DIVISORS = (2, 3, 4, 6, 1, 12)
"""Numbers of heads for the elements of a list, which one width may have to be a multiple of."""
GRIDS = ((3, 7), (5, 3), (11, 5), (7, 13), (13, 17), (4, 9))
MULTIPLES = ((2, 3), (3, 5), (5, 2), (7, 4), (4, 7), (6, 11))
COARSE = ((5, 11), (7, 3), (11, 13), (13, 6), (17, 19), (3, 8))
"""Rows and columns of patches, of windows on the coarsest stage; never square."""


TOKENS = {"n": "tokens", "h": "rows of tokens", "w": "columns of tokens"}
"""Sizes of an input of tokens, with what they mean."""

MANY = {False: (107, 109, 113, 127, 131, 137), True: (9, 25, 49, 121, 169, 16)}
"""Numbers of tokens, by whether they stand in a square."""

SMALL_GRIDS = {(False, False): (4, 5), (False, True): (1, 2), (True, False): (4, 4), (True, True): (2, 2)}
"""Rows and columns of a small grid, by whether it has to be square and whether it is what all strides leave."""

NARROW = 64
"""A width that is small in any model."""


@dataclass(frozen=True)
class Style:
    """Which groups are varied, what the head dimension is a multiple of, and how the image is chosen.

    `image` is "awkward" (a multiple of nothing), "patches" (of a patch), "exact" (of all strides), one of these with
    "square " before it, "multiple" (of the real one) or "fixed".
    """

    groups: frozenset[str]
    even: int = 8
    image: str = "awkward"

    @property
    def square(self) -> bool:
        return self.image.startswith("square")


@dataclass(frozen=True)
class Sizes:
    """What can be varied: the knobs, the paths of the image size, the sizes of the real input, all other numbers.

    `lines` are those that the constructor ran.
    """

    knobs: tuple[Knob, ...]
    image_places: tuple[tuple[Path, Any], ...]
    real: Mapping[str, int]
    leaves: tuple[Leaf, ...] = ()
    lines: int = 0

    @property
    def built_for(self) -> dict[str, int]:
        """The sides of the images or clips that the model was built for, which it may be given others than."""
        size = height_width(self.image_places[0][1]) if self.image_places else None
        frames = {knob.symbol: knob.value for knob in self.knobs if knob.role == "frames" and "T" in self.real}
        return frames | ({"H": size[0], "W": size[1]} if size is not None else {})

    @property
    def tokens(self) -> tuple[str, ...]:
        """Sizes of an input that is tokens: their number, or their rows and columns."""
        return tuple(name for name in TOKENS if name in self.real)

    @property
    def images(self) -> tuple[str, ...]:
        """Kinds of inputs to try: of images, or of tokens."""
        return IMAGES if self.spatial else ("awkward", "square awkward") if self.tokens else ()

    @property
    def spatial(self) -> bool:
        return "H" in self.real and "W" in self.real

    def varied(self, style: Style) -> tuple[Knob, ...]:
        return tuple(knob for knob in self.knobs if group_of(knob) in style.groups)

    def setting(self, style: Style, turn: int) -> dict[str, int]:
        """A value for every symbol that the style varies, the input's own sizes included."""
        values = {"b": (2, 3, 5, 7, 4, 6)[turn % 6]}
        values |= self.knob_values(style, turn, _rotated(PRIMES, 2 * turn), _rotated(SMALL_PRIMES, turn))
        self.add_extents(values, style, turn)
        return values

    def smallest(self, style: Style) -> dict[str, int]:
        """A setting with little to compute: narrow, and an image of a few patches and windows if it may be one."""
        values = {"b": 3} | self.knob_values(style, 0, iter(SMALL_PRIMES[1:] * 9), iter((3, 2, *SMALL_PRIMES * 9)), 3)
        if style.image != "fixed" and self.spatial:
            rows, columns = SMALL_GRIDS[style.square, self.coarse]
            high, wide = self.patch_sides(values)
            window = self.windows(values)
            if window > 1 and not self.coarse:
                rows, columns = 2 * window, (2 if style.square else 3) * window
            times = 2 ** (max(self.stages, 4) - 1) * window if self.coarse else 1
            values |= {"H": rows * high * times, "W": columns * wide * times}
        if style.image != "fixed":
            values |= dict.fromkeys(self.tokens, 4)
        return values

    def wider(self, values: Mapping[str, int]) -> bool:
        """Whether a setting is far above the model's own, as where many heads have to divide a width."""
        return any(values.get(knob.symbol, 0) > max(2 * knob.value, NARROW) for knob in self.knobs)

    def windows(self, values: Mapping[str, int]) -> int:
        """What a grid is a multiple of, if all windows are whole."""
        return lcm(*(values.get(knob.symbol, knob.value) for knob in self.knobs if knob.role == "window"))

    def knob_values(
        self, style: Style, turn: int, primes: Iterator[int], small: Iterator[int], heads: int = 0
    ) -> dict[str, int]:
        """A value for every knob that the style varies; `heads` for all heads, if they are not to differ."""
        values: dict[str, int] = {}
        turned = self.varied(style)
        tiles = [knob for knob in turned if knob.tiles]
        for knob in turned:
            value = next(small if knob.role in SMALL or knob.counts or knob.inner else primes)
            if knob.tiles:
                place = tiles.index(knob)
                value = DIVISORS[(turn * (1 + 4 * (place // 6 % 2)) + place) % 6]
            elif knob.role == "window":
                value = 2 if heads else (3, 5, 7, 9, 4, 6)[(turn + knob.place) % 6]
            elif knob.role == "patch":
                value = self.patch(knob, turn)
            elif knob.role == "heads" and "[" in knob.symbol:
                value = DIVISORS[(turn + knob.place) % 6]
            elif knob.role == "dim_head" or knob.wide or knob.inner:
                value = (2 if heads else value) * style.even
            if heads:  # the smallest: as the others, and no larger than it is
                value = {"frames": 4, "channels": 3}.get(knob.role, value)  # tubelets are whole, 2 divides a grid
                value = heads if knob.role == "heads" or knob.counts else min(value, knob.value)
            values[knob.symbol] = value
        for knob in turned:
            if knob.role == "dim" or knob.wide:
                values[knob.symbol] *= (1 if knob.wide else style.even) * self.divisor(knob, values)
        return values

    def near(self, style: Style, free: bool) -> Iterator[dict[str, int]]:
        """Settings that a user would try next: another image, one knob doubled, a window larger than its grid.

        Sizes that are clamped, rounded or divided with a remainder differ there, but not at the primes of `setting`.
        """
        here, uneven = self.here(style), {}
        if free and "H" in here:
            high, wide = self.patch_sides(here)
            rows, columns = here["H"] + high, here["W"] + 11 * wide  # an odd grid, rows and columns not alike
            uneven = {"H": rows, "W": rows if style.square else columns}
            moves = [(high, 3 * wide), (high // 2 + 1, 2 * wide - 1)]
            moves += self.clamping(here)
            if self.coarse:
                moves += [(high - 1, 3 * wide - 1)]  # a pixel short of an odd number of patches
                moves += [(25, 36), (52, 27), (2 * here["H"] + 14, here["W"] + 49), (7, 58), (112, 224), (48, 80)]
            for down, across in moves:
                height = here["H"] + down
                yield {**here, "H": height, "W": height if style.square else here["W"] + across}
        varied = self.varied(style)
        windows = [knob for knob in varied if knob.role == "window"]
        if windows:
            yield here | uneven | {knob.symbol: 16 * knob.value for knob in windows}
        together = [knob for knob in varied if knob.role in APART or (knob.role == "heads" and "[" in knob.symbol)]
        for knobs in (together, *([knob] for knob in varied if knob not in together)):
            if knobs:
                yield here | {knob.symbol: 2 * knob.value for knob in knobs}
        if uneven_widths := {
            knob.symbol: knob.value + self.divisor(knob, here) for knob in varied if knob.role == "dim" or knob.wide
        }:
            yield here | uneven_widths  # rounded to a multiple of eight
        if free and self.coarse:
            for turn, even in ((6, 3), (7, 1), (8, 5)):
                yield self.setting(replace(style, even=even * style.even), turn)

    def moved(self, style: Style, values: Mapping[str, int]) -> dict[str, int]:
        """What a setting changes."""
        here = self.here(style)
        return {name: value for name, value in values.items() if value != here.get(name)}

    def one_by_one(self, style: Style, values: Mapping[str, int]) -> list[dict[str, int]]:
        """The settings with each change alone, where several symbols change and the input does not; else none."""
        moved = self.moved(style, values)
        several = len(moved) > 1 and not {"b", "H", "W", "T"} & moved.keys()
        return [self.here(style) | {name: value} for name, value in moved.items()] if several else []

    def clamping(self, here: Mapping[str, int]) -> list[tuple[int, int]]:
        """What to add to the image's sides for windows that are larger than the grid of a stage on one axis only.

        On one axis all stages are so from the first on, or from a later one on; on the other none is.
        """
        window = max((knob.value for knob in self.knobs if knob.role == "window"), default=1)
        if window <= 4:
            return []
        last = max(self.stages, 4) - 1
        across, moves = 2**last * (window + 3), []
        high, wide = self.patch_sides(here)
        for stage, less in ((1, 4), (2, 2)):
            down = 2**stage * (window - less) + 1  # rounds down or up
            for rows, columns in ((down, across), (across, down)):
                moves.append((rows * high - here["H"], columns * wide - here["W"]))
        return moves

    @property
    def coarse(self) -> bool:
        """Whether the grid is made coarser on the way, or by a step that is no knob."""
        return self.stages > 1 or not any(knob.role == "patch" for knob in self.knobs)

    def patch(self, knob: Knob, turn: int) -> int:
        """A patch of another size: doubled where it is a stage's stride, else prime."""
        prime = (3, 11, 7, 13, 5, 17) if knob.symbol == "p2" else (5, 7, 3, 11, 13, 2)
        return (3, 5, 2, 7, 6, 4)[(turn + (knob.symbol == "p2")) % 6] if self.stages > 1 else prime[turn % 6]

    def divisor(self, knob: Knob, values: Mapping[str, int]) -> int:
        """What a width must be a multiple of: the heads of its network, else the head dimension."""
        near = [other for other in self.knobs if other.container == knob.container and other.prefix == knob.prefix]
        inner = [other for other in self.knobs if len(other.container) > len(knob.container)]
        for role in ("heads", "dim_head"):
            for group in (near, inner):
                same = [other for other in group if other.role == role or (role == "heads" and other.counts)]
                place = [other for other in same if other.place == knob.place] if "[" in knob.symbol else same
                if chosen := place or same[:1]:
                    return lcm(*(values.get(other.symbol, other.value) for other in chosen))
        return 1

    @property
    def stages(self) -> int:
        """Stages of a hierarchical model; 1 for one without."""
        widths = [knob for knob in self.knobs if knob.role in ("dim", "heads")]
        return max([len(knob.places) for knob in widths] + [knob.place + 1 for knob in widths], default=1)

    def add_extents(self, values: dict[str, int], style: Style, turn: int) -> None:
        """Height, width and frames of the input, or the number of its tokens."""
        if style.image != "fixed":
            values |= {name: MANY[style.square][(turn + place) % 6] for place, name in enumerate(self.tokens)}
            values |= {"w": values["h"]} if style.square and "h" in self.tokens else {}
        sides = self.patch_sides(values)
        if style.image == "multiple":
            high, wide = MULTIPLES[turn % 6]
            times = lcm(*(values[knob.symbol] for knob in self.varied(style) if knob.tiles))
            values |= {"H": high * times * self.real["H"], "W": wide * times * self.real["W"]}
        elif style.image != "fixed" and self.spatial:
            coarse = self.coarse
            grid = (COARSE if coarse else GRIDS)[turn % 6]
            stride = 2 ** (max(self.stages, 4) - 1) * self.windows(values) if coarse else 1
            stride *= lcm(*(values[knob.symbol] for knob in self.varied(style) if knob.tiles))
            units = [side * stride for side in sides]
            if coarse and units[0] < 64:
                units = [unit * -(-64 // unit) for unit in units]
            rest = [0, 0]
            kind = style.image.removeprefix("square ")
            if kind in ("awkward", "patches"):
                rest = [self.rest(sides[axis], units[axis], turn + 2 * axis) for axis in (0, 1)]
            if kind == "patches":
                rest = [more // side * side for more, side in zip(rest, sides, strict=True)]
            values["H"], values["W"] = (side * unit + more for side, unit, more in zip(grid, units, rest, strict=True))
            if style.square:
                values["W"] = values["H"]
        if "T" in self.real and "frames" in style.groups:
            tubelet = values.get("pt", next((knob.value for knob in self.knobs if knob.symbol == "pt"), 1))
            values["T"] = tubelet * (3, 5, 2, 7, 4, 6)[turn % 6]
        if "length" in style.groups:
            values["L"] = sides[0] * (7, 5, 11, 13, 9, 17)[turn % 6]

    def rest(self, side: int, unit: int, turn: int) -> int:
        """How much longer than a multiple of all strides a side is: a pixel, an odd number of patches, both, or almost
        one stride more.

        Then a grid that rounds down, one that rounds up and one that is padded to whole windows all differ.
        """
        pixel = min(side - 1, 1)
        if unit < 2 * side + 2:
            return (pixel, max(side - 2, 0), side // 2, side - 1)[turn % 4]
        return (pixel, side, 3 * side + pixel, unit - max(side - 1, 1), unit - 1)[turn % 5] % unit

    def patch_sides(self, values: Mapping[str, int]) -> tuple[int, int]:
        sides = [values.get(knob.symbol, knob.value) for knob in self.knobs if knob.role == "patch"]
        if not sides:
            return 4, 4
        return sides[0], sides[1] if len(sides) == 2 and "p2" in {knob.symbol for knob in self.knobs} else sides[0]

    def changes(self, values: Mapping[str, int]) -> Changes:
        """The changes to the arguments that make a setting."""
        changes: Changes = {}
        for knob in self.knobs:
            if knob.symbol in values:
                changes |= knob.changes(values[knob.symbol])
        if "H" in values:
            changes |= image_changes(self.image_places, values["H"], values["W"])
        return changes

    def here(self, style: Style) -> dict[str, int]:
        """The real model's setting, for the symbols that the style varies."""
        values = {"b": self.real["b"]} | {knob.symbol: knob.value for knob in self.varied(style)}
        if style.image != "fixed":
            values |= {name: self.real[name] for name in ("H", "W", *TOKENS) if name in self.real}
        if "T" in self.real and "frames" in style.groups:
            values["T"] = self.real["T"]
        return values

    def symbols(self, style: Style, values: Mapping[str, int]) -> dict[str, Symbol]:
        """The symbols of a setting, those that follow from others among them."""
        names: dict[str, tuple[str, str | None]] = {"b": ("batch size", None)}
        names |= {"H": ("image height", self.image_name(0)), "W": ("image width", self.image_name(1))}
        names["T"] = ("frames", next((knob.name for knob in self.knobs if knob.role == "frames"), None))
        names |= {knob.symbol: (knob.meaning or knob.name, knob.name) for knob in self.knobs}
        names |= {name: (meaning, None) for name, meaning in TOKENS.items() if name in self.real}
        found = {
            name: Symbol(values[name], meaning, hyperparameter=hyperparameter)
            for name, (meaning, hyperparameter) in names.items()
            if name in values
        }
        if style.square and "W" in found:
            found["W"] = Symbol(values["W"], "image width", "H")
        if style.square and "w" in found:
            found["w"] = Symbol(values["w"], TOKENS["w"], "h")
        for name, (meaning, formula) in self.derived(style).items():
            try:
                known = {one: symbol.value for one, symbol in found.items()}
                found[name] = Symbol(evaluate(parse(formula), known), meaning, formula)
            except FormulaError:
                continue
        return found

    def image_name(self, axis: int) -> str | None:
        name = str(self.image_places[0][0][-1]) if self.image_places else None
        return f"{name}[{axis}]" if name else None

    def derived(self, style: Style) -> dict[str, tuple[str, str]]:
        """Symbols that follow from others: the grid of patches, their number, the head dimension."""
        turned = {knob.symbol for knob in self.varied(style)}
        patches = [knob for knob in self.knobs if knob.symbol in ("p", "p1", "p2")]
        found: dict[str, tuple[str, str]] = {}
        if patches and style.image != "fixed" and self.spatial:
            sides = [knob.symbol if knob.symbol in turned else str(knob.value) for knob in patches]
            found["h"] = ("patch rows", f"H//{sides[0]}")
            found["w"] = ("patch columns", f"W//{sides[-1]}")
            found["n"] = ("patches", "h*w")
        elif patches and "length" in style.groups:
            found["n"] = ("patches", f"L//{patches[0].symbol if patches[0].symbol in turned else patches[0].value}")
        tubelet = next((knob for knob in self.knobs if knob.symbol == "pt"), None)
        if tubelet and "T" in self.real and "frames" in style.groups:
            found["t"] = ("patches in time", "T//pt")
        pair = {knob.symbol: knob for knob in self.knobs if knob.symbol in ("dim", "heads", "dim_head")}
        if {"dim", "heads"} <= turned and "dim_head" not in pair and pair["dim"].value % pair["heads"].value == 0:
            found["dim_head"] = ("head dimension", "dim//heads")
        return found


def group_of(knob: Knob) -> str:
    """The group that a knob varies with."""
    return GROUPS.get(knob.role) or f"only {knob.symbol}"


def _rotated(pool: Sequence[int], turn: int) -> Iterator[int]:
    """The pool from another start in each turn: no two turns give a knob the same value."""
    for place in range(1000):
        lap, rest = divmod(place, len(pool))
        yield pool[(rest + turn) % len(pool)] + 2 * lap * pool[-1]
