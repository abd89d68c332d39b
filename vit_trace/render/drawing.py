"""Draws a flow: boxes in layers, lines from who feeds whom, and a small picture of what each box makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from vit_trace.base.trace import Symbol, TensorSpec
from vit_trace.base.words import shape_text
from vit_trace.dims.formula import Number, Quotient, Sum, parse
from vit_trace.render.legible import printable
from vit_trace.view.flow import Box, Flow, Group

WIDTH, HEIGHT, GAP, BESIDE, LANE, MARGIN, HEAD = 250, 54, 22, 18, 14, 16, 14
"""Of a box, between layers, between boxes side by side, between lanes, around all, over a block."""

MOST_BESIDE = 4
"""Boxes side by side; further ones stand in a layer of their own."""

PICTURE = (40, 36)
"""Width and height of a small picture."""

MOST_LINES, MOST_BARS = 16, 10
"""Lines of a grid, which has none where more would run together; bars of tokens, where others are left out."""

LONGEST = 27
"""Characters of a box's text."""

ROWS, COLUMNS = re.compile(r"^(H|h\d*|h_*)$"), re.compile(r"^(W|w\d*|w_*)$")


class Picture(NamedTuple):
    """What a tensor looks like: a "map" of rows × columns, "tokens", a "square" n × n.

    `dims` are the formulas of what it shows and `sizes` their values; `extra` are tokens that are no patches.
    """

    kind: str
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    extra: int = 0

    def path(self) -> str:
        """Its lines, as the path of an SVG."""
        width, height = PICTURE
        if self.kind == "tokens":
            return self._bars(self.extra, self.sizes[0])
        rows, columns = (size if size <= MOST_LINES else 1 for size in self.sizes)
        across = "".join(f"M0 {height * row / rows:.1f}H{width}" for row in range(rows + 1))
        down = "".join(f"M{width * column / columns:.1f} 0V{height}" for column in range(columns + 1))
        return across + down + (f"M0 0L{width} {height}" if self.kind == "square" and rows == 1 else "")

    def extras(self) -> str:
        """The bars of tokens that are no patches, before the others."""
        return self._bars(0, self.extra)

    def _bars(self, first: int, end: int) -> str:
        rows = min(self.sizes[0], MOST_BARS)
        tall = PICTURE[1] / rows
        return "".join(f"M0 {tall * (row + 0.5):.1f}H{PICTURE[0]}" for row in range(min(first, rows), min(end, rows)))


class Placed(NamedTuple):
    """A box with its place and its texts."""

    box: Box
    x: float
    y: float
    name: str
    does: str
    tensor: TensorSpec | None
    alike: int
    picture: Picture | None


class Frame(NamedTuple):
    """What surrounds an open block."""

    x: float
    y: float
    width: float
    height: float
    group: Group


class Edge(NamedTuple):
    """The path of an edge; `around` leads past other boxes, as a residual connection does."""

    path: str
    around: bool
    start: int
    end: int


class Drawing(NamedTuple):
    """A drawing: its size, and what lies where."""

    width: float
    height: float
    placed: tuple[Placed, ...]
    frames: tuple[Frame, ...]
    edges: tuple[Edge, ...]


def plan_of(flow: Flow) -> Drawing:
    """Places for all boxes of a flow: below those that feed them, side by side where they do not feed each other."""
    layers = _layers(flow)
    rows: dict[int, list[int]] = {}
    for number, layer in enumerate(layers):
        rows.setdefault(layer, []).append(number)
    widest = max(map(len, rows.values()), default=0)
    middle = MARGIN + (widest * (WIDTH + BESIDE) - BESIDE) / 2
    places: list[tuple[float, float]] = [(0.0, 0.0)] * len(flow.boxes)
    heads = [layers[next(box.number for box in flow.boxes if box.group == at)] for at in range(len(flow.groups))]
    for layer, numbers in rows.items():
        top = MARGIN + layer * (HEIGHT + GAP) + HEAD * sum(head <= layer for head in heads)
        left = middle - (len(numbers) * (WIDTH + BESIDE) - BESIDE) / 2
        for at, number in enumerate(numbers):
            places[number] = left + at * (WIDTH + BESIDE), top
    placed = tuple(_placed(box, places[box.number], flow.trace.symbols) for box in flow.boxes)
    right = 2 * middle - MARGIN
    edges, lanes = _routed(flow, places, layers, right)
    height = max((y for _, y in places), default=0) + HEIGHT + MARGIN
    return Drawing(right + (lanes + 2) * LANE + MARGIN, height, placed, _frames(flow, places), edges)


def _layers(flow: Flow) -> list[int]:
    """The layer of each box: below all that feed it; full layers push what follows down."""
    above: dict[int, list[int]] = {}
    for start, end in flow.edges:
        above.setdefault(end, []).append(start)
    layers: list[int] = []
    filled: dict[int, int] = {}
    for box in flow.boxes:
        lowest = max((layers[one] + 1 for one in above.get(box.number, ())), default=0)
        if not above.get(box.number) and layers:  # what is fed by nothing stands beside what came before it
            lowest = max(layers)
        begins = box.number > 0 and box.group != flow.boxes[box.number - 1].group
        lowest = max(lowest, max(layers, default=-1) + 1) if begins else lowest
        while filled.get(lowest, 0) >= MOST_BESIDE:
            lowest += 1
        filled[lowest] = filled.get(lowest, 0) + 1
        layers.append(lowest)
    return layers


def _placed(box: Box, place: tuple[float, float], symbols: Mapping[str, Symbol]) -> Placed:
    row = box.row
    name = printable(row.label) or "model"
    if name.isdigit() and row.node is not None:
        name = ".".join(row.node.stage.name.split(".")[-2:])
    tensor = row.shapes[0] if row.shapes else None
    if tensor is None and row.node is not None and row.node.stage.outputs:
        tensor = row.node.stage.outputs[0]
    alike = sum(one.shape == row.shapes[0].shape for one in row.shapes) if row.shapes else 1
    does = printable(row.operation)
    name = short(name, LONGEST - len(row.times))
    return Placed(box, *place, name, short(does), tensor, alike, picture_of(tensor, symbols))


def short(text: str, longest: int = LONGEST) -> str:
    """The text, cut where a box is too narrow for it."""
    while cell_len(text) > longest:
        text = f"{text[:-2]}…" if text.endswith("…") else f"{text[:-1]}…"
    return text


def picture_of(spec: TensorSpec | None, symbols: Mapping[str, Symbol]) -> Picture | None:
    """The picture of a tensor, by its formulas; None where they do not say what it is."""
    if spec is None or len(spec.shape) < 3 or min(spec.shape) < 1:
        return None
    dims, shape = spec.dims, spec.shape
    for axis in range(len(shape) - 1):
        if ROWS.match(dims[axis]) and COLUMNS.match(dims[axis + 1]):
            pairs = [_patches(dims[at], shape[at], symbols) for at in (axis, axis + 1)]
            return Picture("map", tuple(dim for dim, _ in pairs), tuple(size for _, size in pairs))
    if dims[-2].isdigit():
        return None
    if dims[-1] == dims[-2]:
        return Picture("square", dims[-2:], shape[-2:])
    formula = parse(dims[-2])
    extra = sum(one.value for one in formula.parts if isinstance(one, Number)) if isinstance(formula, Sum) else 0
    return Picture("tokens", dims[-2:-1], shape[-2:-1], max(0, extra))


def _patches(dim: str, size: int, symbols: Mapping[str, Symbol]) -> tuple[str, int]:
    """What a side of an image is cut into, where a symbol says so: h of H."""
    for name, symbol in symbols.items():
        formula = parse(symbol.formula) if symbol.formula else None
        if size > MOST_LINES and isinstance(formula, Quotient) and str(formula.top) == dim:
            return name, symbol.value
    return dim, size


def _frames(flow: Flow, places: Sequence[tuple[float, float]]) -> tuple[Frame, ...]:
    found = []
    for number, group in enumerate(flow.groups):
        inside = [places[box.number] for box in flow.boxes if box.group == number]
        if inside:
            left, top = min(x for x, _ in inside), min(y for _, y in inside)
            right, bottom = max(x for x, _ in inside) + WIDTH, max(y for _, y in inside) + HEIGHT
            found.append(Frame(left - 10, top - 9, right - left + 20, bottom - top + 18, group))
    return tuple(found)


def _routed(
    flow: Flow, places: Sequence[tuple[float, float]], layers: Sequence[int], right: float
) -> tuple[tuple[Edge, ...], int]:
    """The path of each edge, and how many lanes lie beside the boxes for those that lead around others."""
    lanes: list[list[tuple[int, int]]] = []
    found = []
    for start, end in sorted(flow.edges, key=lambda edge: layers[edge[1]] - layers[edge[0]]):
        (x1, y1), (x2, y2) = places[start], places[end]
        if layers[end] == layers[start] + 1:
            a, b, top, bottom = x1 + WIDTH / 2, x2 + WIDTH / 2, y1 + HEIGHT, y2
            bent = f"C{a:.0f} {top + GAP / 2:.0f} {b:.0f} {bottom - GAP / 2:.0f} {b:.0f} {bottom:.0f}"
            found.append(Edge(f"M{a:.0f} {top:.0f}{bent}", False, start, end))
            continue
        span = layers[start], layers[end]
        free = (at for at, lane in enumerate(lanes) if all(span[1] <= low or high <= span[0] for low, high in lane))
        lane = next(free, len(lanes))
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append(span)
        x = right + (lane + 1) * LANE
        out, into = y1 + HEIGHT * 0.65, y2 + HEIGHT * 0.35
        path = f"M{x1 + WIDTH:.0f} {out:.0f}H{x - 6:.0f}q6 0 6 6V{into - 6:.0f}q0 6 -6 6H{x2 + WIDTH:.0f}"
        found.append(Edge(path, True, start, end))
    return tuple(found), len(lanes)


def described(placed: Placed) -> str:
    """The whole text of a box: its name, what it does, what it makes."""
    made = shape_text(placed.tensor.shape) if placed.tensor else ""
    return " · ".join(filter(None, (printable(placed.box.row.label), printable(placed.box.row.operation), made)))
