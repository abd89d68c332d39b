"""Says in words what a size is made of and which step made it. No torch."""

import re
from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Stage, Symbol, TensorSpec, Trace
from vit_trace.base.words import shape_text
from vit_trace.dims.formula import Name, Number, on_screen, parse, symbols_of, terms

TOKENS = {"class": r"\b\w*(?:cls|class)_?tok\w*", "distillation": r"\b\w*dist(?:ill?\w*)?_?tok\w*"}
TOKENS |= {"register": r"\b\w*(?:reg|register|storage)s?_?tok\w*"}
"""Kind of token -> what its name looks like in source."""

DROPPING = {"getitem": "takes one of", "select": "takes one of", "mean": "the mean of", "amax": "the largest of"}
"""Operation that drops an axis -> what it does with the values along it."""


def made_by(trace: Trace, formula: str) -> Stage | None:
    """The first step that has a formula in its output and not in its input."""
    for stage in _steps(trace):
        given = any(formula in spec.dims for spec in stage.inputs)
        if any(formula in spec.dims for spec in stage.outputs) and not given:
            return None if stage.kind in ("input", "output") else stage
    return None


def within_modules(trace: Trace) -> set[int]:
    """Indexes of functions that are all there is in their module: F.linear in a Linear."""
    children: dict[int | None, list[Stage]] = {}
    for stage in trace.stages:
        children.setdefault(stage.parent, []).append(stage)
    alone = [
        (trace.stages[parent], held[0]) for parent, held in children.items() if parent is not None and not held[1:]
    ]
    return {one.index for around, one in alone if one.kind == "function" and one.outputs == around.outputs}


def _steps(trace: Trace) -> list[Stage]:
    """The stages with no other inside, as a table shows them."""
    hidden = within_modules(trace)
    inner = {stage.parent for stage in trace.stages if stage.index not in hidden}
    return [stage for stage in trace.stages if stage.index not in inner | hidden]


def composition(trace: Trace, formula: str, maker: Stage | None) -> str:
    """14×14 patches (image 224 ÷ patch 16) and the class token; "" where the symbols have no words."""
    parts = terms(parse(formula))
    if Name("n") in parts and trace.symbols["n"].formula == "h*w":
        extra = [part for part in parts if part != Name("n")]
        if not extra:
            return _patches(trace)
        if len(extra) == 1 and isinstance(extra[0], Number) and extra[0].value > 0:
            return f"{_patches(trace)} and {_added(trace, extra[0].value, maker)}"
    symbols = [(name, trace.symbols[name]) for name in trace.symbols if name in symbols_of(parse(formula))]
    return ", ".join(_quantity(symbol) for name, symbol in symbols if name not in ("n", "h", "w"))


def _quantity(symbol: Symbol) -> str:
    """embedding dimension 768, 7 rows of a window of a stage."""
    counted = symbol.meaning.startswith(("rows", "columns", "windows", "frames"))
    return f"{symbol.value} {symbol.meaning}" if counted else f"{symbol.meaning} {symbol.value}"


def _patches(trace: Trace) -> str:
    """14×14 patches (image 224 ÷ patch 16)."""
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    grid = f"{values['h']}×{values['w']} patches"
    sides = [re.fullmatch(rf"{side}//(\w+)", trace.symbols[name].formula or "") for name, side in ("hH", "wW")]
    patch = [values[side[1]] if side[1] in values else int(side[1]) for side in sides if side]
    if len(patch) < len(sides):
        return grid
    return f"{grid} (image {_square(values['H'], values['W'])} ÷ patch {_square(*patch)})"


def _square(height: int, width: int) -> str:
    return str(height) if height == width else f"{height}×{width}"


def _added(trace: Trace, count: int, maker: Stage | None) -> str:
    """What a concatenation adds to the patches: the class token; without a telling name, only how many."""
    said = [words for spec in maker.inputs if (words := _tokens_of(trace, spec, maker))] if maker is not None else []
    found = dict(said)
    if sum(found.values()) == count and len(found) == len(said):
        kinds = [f"the {kind} token" if number == 1 else f"{number} {kind} tokens" for kind, number in found.items()]
        return " and ".join(kinds)
    return f"{count} more"


def _tokens_of(trace: Trace, spec: TensorSpec, maker: Stage) -> tuple[str, int] | None:
    """(kind, number) of the tokens that an input of a concatenation holds, by the source of the step that made it."""
    if len(spec.dims) != 3 or not spec.dims[1].isdecimal():
        return None
    for stage in reversed(trace.stages[: maker.index]):
        if stage.kind in ("function", "einops") and spec.dims in [made.dims for made in stage.outputs]:
            text = f"{stage.name} {stage.source.text if stage.source else ''}"
            kinds = [kind for kind, pattern in TOKENS.items() if re.search(pattern, text)]
            return (kinds[0], spec.shape[1]) if len(kinds) == 1 else None
    return None


def shape_makers(trace: Trace, shape: tuple[int, ...]) -> list[Stage]:
    """The steps whose output has a shape, those first that make it of another one."""
    found = [one for one in _steps(trace) if any(spec.shape == shape for spec in one.outputs)]
    return sorted(found, key=lambda one: any(spec.shape == shape for spec in one.inputs))


DROPPING = {"getitem": "takes one of", "select": "takes one of", "mean": "the mean of", "amax": "the largest of"}
"""Operation that drops an axis -> what it does with the values along it."""


def lost_axis(stage: Stage) -> str:
    """What a step that drops one axis does with it: takes one of 197 (n+1); "" for another step."""
    if not stage.inputs or not stage.outputs:
        return ""
    given, made = stage.inputs[0], stage.outputs[0]
    for axis, (size, dim) in enumerate(zip(given.shape, given.dims, strict=True)):
        if (*given.dims[:axis], *given.dims[axis + 1 :]) == made.dims:
            name = "" if dim == str(size) else f" ({on_screen(dim)})"
            return f"{DROPPING.get(stage.operation, 'without the axis of')} {size}{name}"
    return ""


def folded_places(places: Sequence[str]) -> Iterator[str]:
    """The places, those in the same repeated block counted: blocks.0…11: 9 places each."""
    groups: dict[str, list[str]] = {}
    for place in places:
        found = re.match(r".*?\d…\d+", place)
        groups.setdefault(found[0] if found else place, []).append(place)
    for block, held in groups.items():
        yield f"{block}: {len(held)} places each" if len(held) > 2 else ", ".join(held)


def shapes_text(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(shape_text(spec.shape) for spec in specs)
