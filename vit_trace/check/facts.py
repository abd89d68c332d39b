"""Collects what is known of a config and its trace: its quantities by role, whatever their names. Needs no torch."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vit_trace.base.roles import Path, role_named
from vit_trace.base.trace import Source, Trace
from vit_trace.config import REFERENCE, Settled, near_multiples
from vit_trace.targets.knobs import is_integer, walk_values
from vit_trace.targets.target import Target

RATES = re.compile(r"drop(?!.*(mode|layer|type|kind|size|block|last))|^mask(ing)?_ratio$")
"""Names of dropout rates, and of the share of patches that are masked."""

PREFIX = re.compile(r"^(decoder|encoder|sm|lg|text|predictor|pred)_")
"""Prefixes that tell apart two networks in one config."""

WIDTHS = ("dim", "mlp_dim")
"""Roles that are kept only where a layer of the trace has that size."""


OF_NO_ROLE = {"key_dim"}
"""Names of sizes that stand for themselves: attention whose heads do not share out the width has a key_dim."""


@dataclass(frozen=True)
class Quantity:
    """One quantity of a config: its role, the name that sets it, its value and, where it was given, its place."""

    role: str
    name: str
    value: int | float | tuple[int, ...]
    span: Source | None = None

    @property
    def whole(self) -> int | None:
        """The value where it is one whole number."""
        return self.value if isinstance(self.value, int) else None

    @property
    def sides(self) -> tuple[int, int] | None:
        """(height, width) of an image or patch, given as one number or two."""
        if isinstance(self.value, int):
            return self.value, self.value
        return (self.value[0], self.value[1]) if isinstance(self.value, tuple) and len(self.value) == 2 else None


class Network(dict[str, Quantity]):
    """The quantities of one network by role: most configs describe one, some an encoder and a decoder."""

    def whole(self, role: str) -> int | None:
        return self[role].whole if role in self else None

    def present(self, *roles: str) -> tuple[Quantity, ...]:
        """The quantities of those roles that it has."""
        return tuple(self[role] for role in roles if role in self)

    def pairs(self, one: str, two: str) -> Iterator[tuple[int, int]]:
        """The values of two roles that belong together: both numbers, or both lists of one length.

        A number beside a list belongs to the first stage, as in models whose widths double from stage to stage.
        """
        first, second = self[one].value, self[two].value
        if isinstance(first, int) and isinstance(second, int):
            yield first, second
        elif isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
            yield from zip(first, second, strict=True)
        elif isinstance(first, int) and isinstance(second, tuple) and second:
            yield first, second[0]

    @property
    def head_dimension(self) -> int | None:
        """Given, or dim / heads."""
        if "dim_head" in self:
            return self.whole("dim_head")
        dim, heads = self.whole("dim"), self.whole("heads")
        return dim // heads if dim and heads and dim % heads == 0 else None


@dataclass(frozen=True)
class Facts:
    """A config as the rules see it.

    `rates` are dropout rates; `image` is the (height, width) of the images it is made for; `tokens` the longest
    sequence that attention looks over, where that is known; `trace` is None where the settings say all. For a
    config.json, `json_fields` are the fields it has, with `json_values`, and `class_fields` those that its config class
    reads. `places` are the places of settings by their dotted names.
    """

    target: Target
    networks: tuple[Network, ...]
    rates: tuple[Quantity, ...] = ()
    image: tuple[int, int] | None = None
    tokens: int | None = None
    trace: Trace | None = None
    json_fields: Mapping[str, Source] = field(default_factory=dict)
    class_fields: tuple[str, ...] = ()
    json_values: Mapping[str, object] = field(default_factory=dict)
    places: Mapping[str, Source] = field(default_factory=dict)

    def field(self, name: str) -> object:
        """The value that the model has for a field, as far as its arguments or the file say."""
        return self.target.arguments.get(name, self.json_values.get(name))

    @property
    def quantities(self) -> Iterator[Quantity]:
        return (one for network in self.networks for one in network.values())


def of_builtin(settled: Settled, target: Target) -> Facts:
    """The facts of the built-in ViT, read from its settings alone."""
    config = settled.config
    spans = {name: setting.span for name, setting in settled.given.items()}
    values = {name: getattr(config, name) for name in REFERENCE.__struct_fields__}
    sizes = {name: value for name, value in values.items() if is_integer(value) or isinstance(value, tuple)}
    quantities = (Quantity(role_named(name) or name, name, size, spans.get(name)) for name, size in sizes.items())
    network = Network((one.role, one) for one in quantities)
    rates = tuple(Quantity("rate", name, values[name], spans.get(name)) for name in ("dropout", "emb_dropout"))
    (height, width), (p1, p2) = config.image_size, config.patch_size
    tokens = (height // p1) * (width // p2) + 1
    return Facts(target, (network,), rates, config.image_size, tokens)


def of_foreign(target: Target, trace: Trace, spans: Mapping[Path, Source]) -> Facts:
    """The facts of somebody else's model: its arguments, known by the names that libraries use."""
    networks: dict[tuple[object, ...], Network] = {}
    rates: list[Quantity] = []
    for path, value in walk_values(target.arguments):
        one = _quantity_of(path, value, spans.get(path)) if "text" not in str(path) else None
        if one is not None and one.role == "rate":
            rates.append(one)
        elif one is not None:
            prefix = PREFIX.match(str(path[-1]))
            networks.setdefault((*path[:-1], prefix and prefix[0]), Network()).setdefault(one.role, one)
    confirmed = tuple(_confirmed(network, trace) for network in networks.values())
    image = (target.expected[-2], target.expected[-1]) if target.expected and len(target.expected) > 1 else None
    named = {".".join(map(str, path)): span for path, span in spans.items()}
    tokens = _longest_attended(trace)
    return Facts(target, confirmed, tuple(rates), image, tokens, trace, places=named)


def _quantity_of(path: Path, value: object, span: Source | None) -> Quantity | None:
    """An argument as a quantity; None where its name or its value says nothing that the rules know."""
    name, dotted = str(path[-1]), ".".join(map(str, path))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and RATES.search(name):
        return Quantity("rate", dotted, value, span)
    own = PREFIX.sub("", name)
    role = "mlp_ratio" if name.endswith("mlp_ratio") else role_named(own) or (own if own in OF_NO_ROLE else "")
    if isinstance(value, float):
        return Quantity(role, dotted, value, span) if role == "mlp_ratio" else None
    sizes = tuple(value) if isinstance(value, (list, tuple)) else value
    if role and (is_integer(sizes) or (isinstance(sizes, tuple) and sizes and all(map(is_integer, sizes)))):
        assert isinstance(sizes, (int, tuple))
        return Quantity(role, dotted, sizes, span)
    return None


def _confirmed(network: Network, trace: Trace) -> Network:
    """The network without widths that no layer of the trace has: some libraries use the name for another thing."""
    modules = [stage for stage in trace.stages if stage.kind == "module"]
    seen = {size for stage in modules for spec in stage.outputs for size in spec.shape[1:]}
    values = {role: one.value if isinstance(one.value, tuple) else (one.value,) for role, one in network.items()}
    return Network((role, one) for role, one in network.items() if role not in WIDTHS or seen & set(values[role]))


def _longest_attended(trace: Trace) -> int | None:
    """The longest sequence that attention looks over, measured; None where the trace shows no attention."""
    lengths = []
    for stage in trace.stages:
        if stage.operation == "scaled_dot_product_attention":
            lengths += [keys.shape[-2] for keys in stage.inputs[1:2]]
        elif stage.operation in ("softmax", "Softmax"):
            shapes = (spec.shape for spec in stage.outputs[:1] if len(spec.shape) >= 3)
            lengths += [shape[-1] for shape in shapes if shape[-1] == shape[-2]]
    return max(lengths, default=None)


def multiples_near(size: int, of: int) -> list[int]:
    """The nearest multiples of a number around a size."""
    return sorted((one for one in near_multiples(size, of) if one != size), key=lambda one: abs(one - size))
