"""What is known of a config and its trace: its quantities by their role, whatever their names. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vit_trace.base.roles import ROLES, Path
from vit_trace.base.trace import Diagnostic, Source, Trace, Value
from vit_trace.config import REFERENCE, Settled
from vit_trace.targets.knobs import nested, whole
from vit_trace.targets.target import Target

RATES = re.compile(r"drop(?!.*(mode|layer|type|kind|size|block|last))")
"""Names of what is dropped at random, as a share."""

PREFIX = re.compile(r"^(decoder|encoder|sm|lg|text|predictor|pred)_")
"""Two networks that share one config are told apart by such a prefix."""

BUILTIN_ROLES = {"image_size": "image", "patch_size": "patch", "num_classes": "classes"}

Number = int | float | tuple[int, ...]


@dataclass(frozen=True)
class Quantity:
    """One quantity of a config: its role, the name that sets it, its value and, where it was given, its place."""

    role: str
    name: str
    value: Number
    span: Source | None = None


Network = Mapping[str, Quantity]
"""The quantities of one network by role: most configs are of one, some of an encoder and a decoder."""


@dataclass(frozen=True)
class Facts:
    """A config as the rules see it.

    `image` is the (height, width) of the images it is for; `tokens` the longest sequence that attention sees, where
    that is known; `builtin` whether all about it is known without a trace.
    """

    target: Target
    networks: tuple[Network, ...]
    rates: tuple[Quantity, ...] = ()
    image: tuple[int, int] | None = None
    tokens: int | None = None
    trace: Trace | None = None
    fields: Mapping[str, Source] = field(default_factory=dict)
    known: tuple[str, ...] = ()


Change = Mapping[str, Value]
"""Values to set, by the names that set them."""


@dataclass(frozen=True)
class Finding:
    """What a rule found: a headline, the quantities to blame (the first that was given is pointed at), what might help.

    None of `changes` is a remedy before it was tried.
    """

    message: str
    blame: tuple[Quantity, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def span(self) -> Source | None:
        return next((one.span for one in self.blame if one.span is not None), None)


class Rule(NamedTuple):
    """A code, how grave it is, and the function that finds it."""

    code: str
    severity: str
    find: Callable[[Facts], Iterator[Finding]]

    def diagnostics(self, facts: Facts) -> list[tuple[Diagnostic, Finding]]:
        """What the rule says of a config, without help."""
        return [
            (Diagnostic(self.code, self.severity, one.message, one.span, one.notes), one)  # type: ignore[arg-type]
            for one in self.find(facts)
        ]


def of_builtin(settled: Settled, target: Target) -> Facts:
    """The facts of the built-in ViT: its settings say all."""
    config = settled.config
    places = {name: setting.span for name, setting in settled.given.items()}
    values = {name: getattr(config, name) for name in REFERENCE.__struct_fields__}
    network = {
        (role := BUILTIN_ROLES.get(name, name)): Quantity(role, name, value, places.get(name))
        for name, value in values.items()
        if whole(value) or isinstance(value, tuple)
    }
    rates = tuple(Quantity("rate", name, values[name], places.get(name)) for name in ("dropout", "emb_dropout"))
    (height, width), (p1, p2) = config.image_size, config.patch_size
    tokens = (height // p1) * (width // p2) + 1
    return Facts(target, (network,), rates, config.image_size, tokens)


def of_foreign(target: Target, trace: Trace | None, places: Mapping[Path, Source]) -> Facts:
    """The facts of somebody else's model: its arguments by the names that libraries use."""
    networks: dict[tuple[object, ...], dict[str, Quantity]] = {}
    rates: list[Quantity] = []
    for path, value in nested(target.arguments):
        name = str(path[-1])
        if "text" in str(path):
            continue
        span, dotted = places.get(path), ".".join(map(str, path))
        if isinstance(value, float) or (whole(value) and RATES.search(name)):
            if RATES.search(name):
                rates.append(Quantity("rate", dotted, value, span))
            elif name.endswith("mlp_ratio"):
                networks.setdefault(key_of(path), {}).setdefault(
                    "mlp_ratio", Quantity("mlp_ratio", dotted, value, span)
                )
            continue
        sizes = tuple(value) if isinstance(value, (list, tuple)) else value
        role = "mlp_ratio" if name.endswith("mlp_ratio") else role_of(PREFIX.sub("", name))
        if role and (whole(sizes) or (isinstance(sizes, tuple) and sizes and all(map(whole, sizes)))):
            assert isinstance(sizes, (int, tuple))
            networks.setdefault(key_of(path), {}).setdefault(role, Quantity(role, dotted, sizes, span))
    held = [confirmed(network, trace) for network in networks.values()]
    image = target.expected[-2:] if target.expected is not None else None
    fed = (image[0], image[1]) if image is not None and len(image) == 2 else None
    return Facts(target, tuple(held), tuple(rates), fed, attended(trace), trace)


WIDTHS = ("dim", "mlp_dim")


def confirmed(network: Network, trace: Trace | None) -> Network:
    """The network without widths that no layer of the trace has: some take a name for another thing."""
    if trace is None:
        return network
    modules = [stage for stage in trace.stages if stage.kind == "module"]
    sizes = {size for stage in modules for spec in stage.outputs for size in spec.shape[1:]}

    def seen(one: Quantity) -> bool:
        return one.role not in WIDTHS or bool(sizes & set(one.value if isinstance(one.value, tuple) else (one.value,)))

    return {role: one for role, one in network.items() if seen(one)}


def role_of(name: str) -> str:
    return next((role for role, names in ROLES.items() if name in names), "")


def key_of(path: Path) -> tuple[object, ...]:
    """What tells the networks of a config apart: where their quantities stand, and a common prefix."""
    found = PREFIX.match(str(path[-1]))
    return (*path[:-1], found[0] if found else "")


SOFTMAX = {"softmax", "Softmax", "scaled_dot_product_attention"}


def attended(trace: Trace | None) -> int | None:
    """The longest sequence that attention looks over, measured; None where no attention is seen."""
    lengths = []
    for stage in trace.stages if trace is not None else ():
        if stage.operation not in SOFTMAX or not stage.outputs:
            continue
        if stage.operation == "scaled_dot_product_attention":
            lengths += [stage.inputs[1].shape[-2]] if len(stage.inputs) > 1 else []
        elif len(shape := stage.outputs[0].shape) >= 3 and shape[-1] == shape[-2]:
            lengths.append(shape[-1])
    return max(lengths, default=None)


def pairs(one: Quantity | None, two: Quantity | None) -> Iterator[tuple[int, int]]:
    """The values of two quantities that belong together: both numbers, or both lists of one length.

    A number beside a list is its first stage's, as in models whose widths double from stage to stage.
    """
    if one is None or two is None:
        return
    first, second = one.value, two.value
    if isinstance(first, int) and isinstance(second, int):
        yield first, second
    elif isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
        yield from zip(first, second, strict=True)
    elif isinstance(first, int) and isinstance(second, tuple) and second:
        yield first, second[0]


def number(quantity: Quantity | None) -> int | None:
    """The value of a quantity that is one whole number."""
    return quantity.value if quantity is not None and isinstance(quantity.value, int) else None
