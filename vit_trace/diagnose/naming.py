"""Says in words what a size is: its formula, the grid behind it, the image size it was made for. No torch."""

import re
from collections.abc import Mapping

from vit_trace.base.trace import Symbol, Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.scene import Side, called
from vit_trace.dims.explain import with_numbers
from vit_trace.dims.formula import FormulaError, on_screen, parse, symbols_of
from vit_trace.dims.symbols import ENDING

SIDES = {"H": "height", "W": "width", "b": "batch size", "c": "number of channels"}


def formula_of(side: Side) -> str:
    """The formula of a side's size, "" where there is none."""
    if side.operand is None or side.axis is None or side.axis >= len(side.operand.dims):
        return ""
    dim = side.operand.dims[side.axis]
    return "" if dim == str(side.size) else dim


def said(trace: Trace, side: Side) -> str:
    """82 = n + 1 on the 9×9 grid of this 288×288 input, patch 32; "" where nothing is known."""
    formula = formula_of(side)
    if not formula:
        return ""
    try:
        used = symbols_of(parse(formula))
        values = {name: symbol.value for name, symbol in trace.symbols.items()}
        numbers = with_numbers(parse(formula), values)
    except (FormulaError, KeyError):
        return ""
    image = next((spec.shape for stage in trace.stages if stage.kind == "input" for spec in stage.outputs), None)
    if formula in SIDES and image is not None:
        return f"{side.size} is the {SIDES[formula]} of the input {shape_text(image)}"
    ending = ENDING if any(name.endswith(ENDING) for name in used) else ""
    where = _on_grid(trace, side, used, ending)
    middle = "" if where or numbers == str(side.size) else f" = {numbers}"
    text = on_screen(re.sub(rf"\b(\w+){ENDING}\b", r"\1", formula)).replace("+", " + ").replace("-", " - ")
    return f"{side.size} = {text}{middle}{where}"


def _on_grid(trace: Trace, side: Side, used: frozenset[str], ending: str) -> str:
    """On which grid of patches a count of them was made."""
    known = trace.symbols
    counts = {name + ending for name in ("n", "h", "w")} & used
    owner = called(side.operand) if side.operand is not None and side.operand.parameter else "the model"
    if not {f"H{ending}", f"W{ending}"} <= known.keys():
        frames = known.get(f"T{ending}") if {f"T{ending}", f"t{ending}"} & used and ending else None
        made_for = f"{frames.hyperparameter or 'frames'} {frames.value}" if frames is not None else ""
        return f" of {made_for} that {owner} was made for" if made_for else ""
    height, width = known[f"H{ending}"].value, known[f"W{ending}"].value
    made_for = f" of {image_size(known)} {size_text(height, width)} that {owner} was made for" if ending else ""
    if not counts or not {f"h{ending}", f"w{ending}"} <= known.keys():
        return made_for
    down, across = known[f"h{ending}"].value, known[f"w{ending}"].value
    text = f" on the {down}×{across} grid"
    if ending:
        return text + made_for
    made_here = side.operand is not None and not side.operand.parameter
    whose = "this" if f"H{ENDING}" in known or made_here else "the"
    sides = [known[name].value for name in ("p1", "p2") if name in known]
    sides = sides if len(sides) == 2 else [known["p"].value] * 2 if "p" in known else []
    patch = f", patch {size_text(*sides)}" if sides else ""
    return f"{text} of {whose} {height}×{width} input{patch}"


def size_text(height: int, width: int) -> str:
    """256 for a square, else 256×320."""
    return str(height) if height == width else f"{height}×{width}"


def image_size(known: Mapping[str, Symbol]) -> str:
    """The target's own word for its image size."""
    named = known.get(f"H{ENDING}") or known.get("H")
    return (named.hyperparameter or "image_size").split("[")[0] if named is not None else "image_size"
