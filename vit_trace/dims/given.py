"""Separates two sets of symbols where the input has another size than the model was built for.

`H`, `W`, `h`, `w`, `n` then belong to the given input, `H_model` … `n_model` to the size the model was built for. A
dimension gets the symbol that gives its number. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from vit_trace.base.trace import Symbol, Trace
from vit_trace.dims.formula import evaluate, symbols
from vit_trace.dims.values import parsed

IMAGE = ("c", "H", "W")
ENDING = "_model"


def split(trace: Trace, probes: Sequence[Trace]) -> tuple[Trace, list[Trace]]:
    """The traces with both sets of symbols where the input is an image of another size; else unchanged."""
    given, known = image_of(trace), trace.symbols
    if given is None or not {"b", "H", "W"} <= known.keys():
        return trace, list(probes)
    here = {name: size for name, size in zip(("b", *IMAGE), given, strict=True) if name in known}
    changed = {name for name in IMAGE if name in known and here[name] != known[name].value}
    if len(changed) == len(IMAGE):  # nothing agrees: its axes have another order
        return trace, list(probes)
    trace = replace(trace, symbols=both(known, here, changed))
    return trace, [replace(probe, symbols=both(probe.symbols, {}, changed)) for probe in probes]


def image_of(trace: Trace) -> tuple[int, ...] | None:
    """Batch, channels, height, width of the first input that looks like images."""
    shapes = [spec.shape for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    return next((shape for shape in shapes if len(shape) == 4 and 0 not in shape), None)


def both(known: Mapping[str, Symbol], here: Mapping[str, int], changed: set[str]) -> dict[str, Symbol]:
    """The symbols of the given input, then, as `…_model`, those of the model that differ."""
    dependent = set(changed)
    found = dict(known)
    for name, symbol in known.items():
        if symbol.formula is not None and symbols(parsed(symbol.formula)) & dependent:
            dependent.add(name)
        if name in here and here[name] != symbol.value:
            found[name] = replace(symbol, value=here[name], hyperparameter=None if name in changed else "batch_size")
        elif name in dependent and symbol.formula is not None:
            values = {one: held.value for one, held in found.items()}
            found[name] = replace(symbol, value=evaluate(parsed(symbol.formula), values))
    return found | {name + ENDING: of_model(known[name], dependent) for name in known if name in dependent}


def of_model(symbol: Symbol, dependent: set[str]) -> Symbol:
    formula = symbol.formula
    if formula is not None:
        formula = re.sub(r"[A-Za-z_]\w*", lambda found: found[0] + ENDING * (found[0] in dependent), formula)
    return replace(symbol, formula=formula, meaning=f"{symbol.meaning} the model was built for")
