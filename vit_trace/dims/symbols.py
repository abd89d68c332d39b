"""Adds symbols to a trace: for what its formulas repeat, and for another size of the input. No torch.

`shorten` names the grid of each stage and its windows: `b × h2 × w2 × 2*dim`. A quotient that many dimensions share
becomes a symbol that follows from others; the formulas say the same as before.

`split` separates two sets of symbols where the input has another size than the model was built for: `H`, `W`, `h`, `w`,
`n` belong to the input, `H_model` … `n_model` to the model. A dimension gets the symbol that gives its number.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

from msgspec.structs import replace

from vit_trace.base.roles import CLIP_CHANNELS
from vit_trace.base.trace import Construction, Symbol, Trace
from vit_trace.dims.formula import (
    Formula,
    Least,
    Name,
    Quotient,
    evaluate,
    parse,
    rewrite,
    split_formulas,
    symbols_of,
    walk,
)
from vit_trace.dims.walk import Sized, map_specs

OFTEN = 4
"""Dimensions from which on a quotient that they share gets a name."""

SIDES = {"H": ("h", "rows"), "W": ("w", "columns"), "T": ("t", "frames"), "L": ("l", "steps")}
"""Symbol of an image side -> the first letter of its grids' names, and what they count."""

OF_KIND = {"": "a stage", "win": "a window of a stage", "n": "windows"}

IMAGE = ("c", "H", "W")
ENDING = "_model"
"""Ends the names of symbols that belong to the size the model was built for, where the input has another."""


def shorten(trace: Trace) -> Trace:
    """The trace with symbols for quotients of an image side that it repeats."""
    texts = {symbol.formula: name for name, symbol in trace.symbols.items() if symbol.formula}
    counts: Counter[Formula] = Counter()
    for dim, count in Counter(dim for stage in trace.stages for spec in stage.outputs for dim in spec.dims).items():
        if "//" in dim:
            for part in walk(parse(dim)):
                if part.repeated and _image_side(part):
                    counts[part] += count
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    common = [part for part, count in counts.items() if count >= OFTEN and str(part) not in texts]
    named = _choose_names({part: evaluate(part, values) for part in common}, set(trace.symbols))
    if not named:
        return trace
    names: dict[Formula, Formula] = {part: Name(name) for part, name in named.items()}
    grid: dict[Formula, Formula] = {parse(text): Name(name) for text, name in texts.items() if "//" in text}
    made = {
        name: Symbol(
            evaluate(part, values),
            f"{SIDES[_image_side(part)][1]} of {OF_KIND[_kind_of(part)]}",
            str(rewrite(part, grid | names, inside=True)),
        )
        for part, name in sorted(named.items(), key=lambda item: len(str(item[0])))
    }
    return _with_names(replace(trace, symbols={**trace.symbols, **made}), names)


def _with_names(trace: Trace, names: Mapping[Formula, Formula]) -> Trace:
    """The trace with names in the place of quotients."""

    @cache
    def dim(text: str) -> str:
        return str(rewrite(parse(text), names)) if "//" in text else text

    def sized(record: Sized, _: object) -> Sized:
        return replace(record, dims=tuple(map(dim, record.dims)))

    def quantity(record: Construction, _: object) -> Construction:
        formula = record.formula and ", ".join(map(dim, split_formulas(record.formula)))
        return replace(record, formula=formula)

    return map_specs(trace, sized, quantity)


def _image_side(formula: Formula) -> str:
    """The image side that a formula depends on; "" where it depends on none or on several."""
    sides = SIDES.keys() & symbols_of(formula)
    return sides.pop() if len(sides) == 1 else ""


def _kind_of(formula: Formula) -> str:
    """What stands before h or w in a quotient's name: "win" for the side of a window, "n" where it divides by one."""
    if isinstance(formula, Least):
        return "win"
    return "n" if isinstance(formula, Quotient) and "window" in str(formula.bottom) else ""


def _choose_names(values: Mapping[Formula, int], taken: set[str]) -> dict[Formula, str]:
    """A name for each quotient: what `_kind_of` says, then h, w or t, then the stage's number.

    Rows and columns that are made the same way get the same number.
    """
    found: dict[Formula, str] = {}
    for kind in ("", "win", "n"):
        mine = [one for one in values if _kind_of(one) == kind]
        sizes: dict[str, int] = {}
        for one in mine:
            text = _for_any_side(one)
            sizes[text] = max(values[one], sizes.get(text, 0))
        ranked = sorted(sizes, key=lambda text: (-sizes[text], len(text), text))
        for one in mine:
            prefix = kind + SIDES[_image_side(one)][0]
            name = f"{prefix}{ranked.index(_for_any_side(one)) + (2 if prefix in taken else 1)}"
            while name in taken:
                name += "_"
            found[one] = name
    return found


def _for_any_side(formula: Formula) -> str:
    """The quotient's text with any side for the image's: equal for rows and columns that are made the same way."""
    return re.sub(r"\b[HWTL]\b", "side", re.sub(r"\bp[12]\b", "p", str(formula)))


def split(trace: Trace, probes: Sequence[Trace]) -> tuple[Trace, list[Trace]]:
    """The traces with both sets of symbols where the input is an image of another size; else unchanged."""
    known = trace.symbols
    shapes = [spec.shape for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    given = next(filter(None, (_axes_named(shape, known) for shape in shapes)), None)  # the first that may be images
    if given is None or not {"b", "H", "W"} <= known.keys():
        return trace, list(probes)
    here = {name: size for name, size in given.items() if name in known}
    changed = {name for name in here if name != "b" and here[name] != known[name].value}
    if changed >= set(IMAGE):  # nothing agrees: its axes have another order
        return trace, list(probes)
    trace = replace(trace, symbols=_both(known, here, changed))
    return trace, [replace(probe, symbols=_both(probe.symbols, {}, changed)) for probe in probes]


def _axes_named(shape: Sequence[int], known: Mapping[str, Symbol]) -> dict[str, int]:
    """The sizes of images or clips by their names; empty for anything else.

    The channels of a clip stand before or behind its frames.
    """
    if 0 in shape or len(shape) not in (4, 5):
        return {}
    channels = (known["c"].value,) if "c" in known else CLIP_CHANNELS
    order = "c" if len(shape) == 4 else "cT" if shape[1] in channels else "Tc" if shape[2] in channels else ""
    return dict(zip(("b", *order, "H", "W"), shape, strict=True)) if order else {}


def _both(known: Mapping[str, Symbol], here: Mapping[str, int], changed: set[str]) -> dict[str, Symbol]:
    """The symbols of the given input, then, as `…_model`, those of the model that differ."""
    dependent = set(changed)
    found = dict(known)
    for name, symbol in known.items():
        if symbol.formula is not None and symbols_of(parse(symbol.formula)) & dependent:
            dependent.add(name)
        if name in here and here[name] != symbol.value:
            found[name] = replace(symbol, value=here[name], hyperparameter=None if name in changed else "batch_size")
        elif name in dependent and symbol.formula is not None:
            values = {one: held.value for one, held in found.items()}
            found[name] = replace(symbol, value=evaluate(parse(symbol.formula), values))
    return found | {name + ENDING: _of_model(known[name], dependent) for name in known if name in dependent}


def _of_model(symbol: Symbol, dependent: set[str]) -> Symbol:
    formula = symbol.formula
    if formula is not None:
        formula = re.sub(r"[A-Za-z_]\w*", lambda found: found[0] + ENDING * (found[0] in dependent), formula)
    return replace(symbol, formula=formula, meaning=f"{symbol.meaning} the model was built for")
