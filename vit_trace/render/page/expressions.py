"""Writes the sizes and counts of a trace as expressions that a page computes: one table, each expression once.

An entry is a list: ["n", 3], ["s", "dim"], or a sign with the places of other entries, which come before it: ["+", 0,
1], ["*", …], ["/", top, bottom] rounded down, ["min", …]. ["?", 768] is known as long as no symbol changes, ["=", …] is
what its parts agree on, and what is made of something unknown is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from vit_trace.base.trace import LAYERS, Parameter, Stage, TensorSpec, Trace
from vit_trace.dims.costs import BYTES, bytes_of, flop_factors, flop_rules, weight_of
from vit_trace.dims.formula import Formula, Least, Name, Number, Product, Quotient, Sum, parse
from vit_trace.view.fold import StageNode, layer_nodes
from vit_trace.view.outline import nodes_of

SIGNS = {Sum: "+", Product: "*", Quotient: "/", Least: "min"}


class Expressions:
    """The table of a trace's expressions; methods give the place of an entry."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.entries: list[list[object]] = []
        self.places: dict[tuple[object, ...], int] = {}
        self.computed: dict[object, int] = {}
        self.inside: dict[int, tuple[int, int]] = {}
        self.held = {one.name: self.shape(one) for one in trace.parameters}
        self.shapes = {one.name: one.shape for one in trace.parameters}
        self.modules: dict[str, list[Parameter]] = {}
        for one in trace.parameters:
            self.modules.setdefault(one.name.rpartition(".")[0], []).append(one)
        self.depth = next((name for name, symbol in trace.symbols.items() if symbol.meaning == LAYERS), "")
        self.layers = layer_nodes(nodes_of(trace), trace.symbols[self.depth].value) if self.depth else []

    def add(self, *entry: object) -> int:
        if entry not in self.places:
            self.places[entry] = len(self.entries)
            self.entries.append(list(entry))
        return self.places[entry]

    def number(self, value: int) -> int:
        return self.add("n", value)

    def formula(self, formula: Formula) -> int:
        """A formula over symbols that can be set: what follows from others is written out."""
        if isinstance(formula, Number):
            return self.number(formula.value)
        if isinstance(formula, Name):
            symbol = self.trace.symbols.get(formula.name)
            return self.text(symbol.formula) if symbol and symbol.formula else self.add("s", formula.name)
        return self.add(SIGNS[type(formula)], *map(self.formula, formula.inner()))

    def text(self, text: str) -> int:
        if text not in self.computed:
            self.computed[text] = self.formula(parse(text))
        return self.computed[text]

    def shape(self, record: TensorSpec | Parameter) -> tuple[int, ...]:
        """The sizes of a tensor: a number that was not measured to stay is known as it is only."""
        return tuple(
            self.text(dim) if axis in record.constant or dim != str(size) else self.add("?", size)
            for axis, (size, dim) in enumerate(zip(record.shape, record.dims, strict=True))
        )

    def product(self, parts: Sequence[int]) -> int:
        return parts[0] if len(parts) == 1 else self.add("*", *parts) if parts else self.number(1)

    def sum(self, parts: Iterable[int]) -> int:
        """A sum; equal parts are counted."""
        counts = Counter(parts)
        counts.pop(self.number(0), None)
        terms = [one if times == 1 else self.add("*", self.number(times), one) for one, times in counts.items()]
        return terms[0] if len(terms) == 1 else self.add("+", *terms) if terms else self.number(0)

    def parameters(self, stage: Stage) -> int:
        """The count of what a stage holds: known at other values where it holds all of its module's own."""
        held = self.modules.get(stage.module, [])
        if not stage.parameters or sum(prod(one.shape) for one in held) != stage.parameters:
            return self.add("?", stage.parameters) if stage.parameters else self.number(0)
        return self.sum(self.product(self.held[one.name]) for one in held)

    def flops(self, stage: Stage) -> int:
        """The count of what a stage does: what all rules that give it now agree on."""
        if not stage.flops:
            return self.number(0)
        shapes = [self.shape(one) for one in (*stage.inputs, *stage.outputs[:1])]
        weight = weight_of(stage, shapes, self.held)
        key = (stage.operation, len(stage.inputs), *shapes, weight, stage.flops)
        if key not in self.computed:
            self.computed[key] = self._agreed(stage, shapes, weight)
        return self.computed[key]

    def _agreed(self, stage: Stage, shapes: Sequence[Sequence[int]], weight: Sequence[int]) -> int:
        rules, found = set(flop_rules(stage, self.shapes)), []
        for place, factors in enumerate(flop_factors(stage, shapes, weight) if rules else ()):
            if place in rules:
                sizes = (self.add("+", *one) if isinstance(one, tuple) else one for one in factors)
                found.append(self.product([self.number(2), *sizes]))
        found = list(dict.fromkeys(found))
        return found[0] if len(found) == 1 else self.add("=", *found) if found else self.add("?", stage.flops)

    def counts(self, node: StageNode) -> tuple[int, int]:
        """(parameters, FLOPs) of a node and all that is inside it, times its repetitions."""
        first, second = self.each(node)
        times = [self.times(node)] if node.repeats > 1 else []
        return self.product([*times, first]), self.product([*times, second])

    def each(self, node: StageNode) -> tuple[int, int]:
        """(parameters, FLOPs) of one repetition of a node."""
        if id(node) not in self.inside:
            within = [self.counts(one) for one in node.inside]
            if node.block is None:
                within.append((self.parameters(node.stage), self.flops(node.stage)))
            first, second = (self.sum(one) for one in zip(*within, strict=True))
            self.inside[id(node)] = first, second
        return self.inside[id(node)]

    def repeats_layers(self, starts: Sequence[int]) -> bool:
        """Whether what begins at these stages repeats as often as there are layers."""
        return any(node.starts == starts for node in self.layers)

    @property
    def layers_place(self) -> int:
        return self.add("s", self.depth)

    def times(self, node: StageNode) -> int:
        return self.layers_place if self.repeats_layers(node.starts) else self.number(node.repeats)

    def more(self, place: int) -> list[int]:
        """The parameters, or the FLOPs, of the layers that are more than were traced."""
        if not self.layers:
            return []
        each = self.sum(self.each(node)[place] for node in self.layers)
        return [self.product([each, self.add("+", self.layers_place, self.number(-self.layers[0].repeats))])]

    def per_image(self, flops: int) -> int:
        """FLOPs of one image, where the trace says how many there are."""
        return self.add("/", flops, self.add("s", "b")) if "b" in self.trace.symbols else flops

    def totals(self) -> Mapping[str, int]:
        """The sums over the whole model: parameters, bytes of them, FLOPs of an image."""
        held, whole = self.trace.parameters, self.trace.totals
        count = self.sum([*(self.product(self.held[one.name]) for one in held), *self.more(0)])
        kinds = {BYTES.get(one.dtype, 1) for one in held}
        sizes = [self.product([self.number(BYTES.get(one.dtype, 1)), *self.held[one.name]]) for one in held]
        if len(kinds) == 1:
            known = self.product([self.number(*kinds), count])
        else:
            known = self.sum(sizes) if not self.layers else self.add("?", whole.parameter_bytes)
        return {
            "parameters": count,
            "bytes": known if bytes_of(held) == whole.parameter_bytes else self.add("?", whole.parameter_bytes),
            "flops": self.per_image(self.sum([*map(self.flops, self.trace.stages), *self.more(1)])),
        }
