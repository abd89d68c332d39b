"""Explains a size: every place that has it, its formulas, and what each becomes when a hyperparameter doubles."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vit_trace.base.trace import Parameter, Stage, TensorSpec, Trace
from vit_trace.base.words import name_range, unnumbered
from vit_trace.dims.formula import Formula, Name, Number, Product, Sum, evaluate, parse, rewrite, symbols_of, terms
from vit_trace.dims.origin import within_modules
from vit_trace.dims.values import ValuesError, bindings, knob_of


@dataclass(frozen=True)
class _Meaning:
    """One formula of a size, the formula with its numbers, and the places that have it."""

    formula: str
    numbers: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class _Doubled:
    """The sizes that change when one hyperparameter doubles: formula -> new size."""

    hyperparameter: str
    sizes: dict[str, int]


def meanings(trace: Trace, size: int) -> tuple[_Meaning, ...]:
    """The meanings of a size in this model, one per formula, in the order of the data flow."""
    found: dict[str, dict[str, None]] = {}
    for formula, place in _stands(trace, size):
        found.setdefault(formula, {})[place] = None
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    numbers = {formula: with_numbers(parse(formula), values) for formula in found}
    return tuple(_Meaning(formula, numbers[formula], tuple(merged_places(places))) for formula, places in found.items())


def _stands(trace: Trace, size: int) -> Iterator[tuple[str, str]]:
    """(formula, place) for every axis of that size: constructor, outputs of stages, parameters."""
    for record in trace.construction:
        if record.value == size:
            name = f"{record.module}.{record.name}" if record.module else record.name
            yield record.formula or str(size), f"{name} (constructor)"
    tensors: list[tuple[str, TensorSpec | Parameter]] = []
    hidden = within_modules(trace)
    stages = [stage for stage in trace.stages if stage.index not in hidden and stage.operation != "Identity"]
    tensors += ((stage.name or "the model", spec) for stage in stages for spec in stage.outputs)
    tensors += ((parameter.name, parameter) for parameter in trace.parameters)
    for place, sized in tensors:
        yield from ((dim, place) for dim, axis in zip(sized.dims, sized.shape, strict=True) if axis == size)


def sizes_in(trace: Trace) -> list[int]:
    """Every size in the trace."""
    found = {size for stage in trace.stages for spec in stage.outputs for size in spec.shape}
    found |= {size for parameter in trace.parameters for size in parameter.shape}
    return sorted(found | {record.value for record in trace.construction if isinstance(record.value, int)})


def merged_places(places: Iterable[str]) -> list[str]:
    """The places, those that differ only in numbers as one: layers.0…5.fn.to_qkv."""
    groups: dict[str, list[str]] = {}
    for place in (re.sub(r"#\d+", "", place) for place in places):
        groups.setdefault(re.sub(r"\d+", "*", place), []).append(place)
    return [name_range(group[0], group[-1]) for group in groups.values()]


def with_grid(trace: Trace, formula: str) -> str:
    """n + 1 as 14·14 + 1: the numbers of what the formula is made of, a patch grid as its sides."""
    replacements: dict[Formula, Formula] = {}
    for name in ("n", "h", "w") if trace.symbols.get("n") is not None and trace.symbols["n"].formula == "h*w" else ():
        sides = [Number(trace.symbols[side].value) for side in "hw"]
        replacements[Name(name)] = Product(tuple(sides)) if name == "n" else Number(trace.symbols[name].value)
    whole = rewrite(parse(formula), replacements)
    return with_numbers(whole, {name: symbol.value for name, symbol in trace.symbols.items()})


def with_numbers(formula: Formula, values: Mapping[str, int]) -> str:
    """3·heads·dim_head as 3·16·64."""
    match formula:
        case Number(value):
            return str(value)
        case Name(name):
            return str(values[name])
        case Sum():
            return " + ".join(with_numbers(term, values) for term in terms(formula)).replace("+ -", "- ")
        case Product(parts):
            return "·".join(bracketed(part, values) for part in parts)
        case _:
            return str(evaluate(formula, values))


def bracketed(formula: Formula, values: Mapping[str, int]) -> str:
    """with_numbers, in brackets where the formula is a sum."""
    text = with_numbers(formula, values)
    return f"({text})" if isinstance(formula, Sum) else text


def doublings(trace: Trace, formulas: list[str]) -> tuple[_Doubled, ...]:
    """For each hyperparameter the formulas that change when it doubles; both of a pair double together."""
    knobs: dict[str, list[str]] = {}
    for name, symbol in trace.symbols.items():
        if symbol.formula is None:
            knobs.setdefault(knob_of(symbol) or name, []).append(name)
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    found = []
    for knob, names in knobs.items():
        try:
            doubled = bindings(trace, {name: 2 * values[name] for name in names})
        except ValuesError:
            continue
        sizes = {text: evaluate(parse(text), doubled) for text in formulas}
        now = {text: evaluate(parse(text), values) for text in formulas}
        found.append(_Doubled(knob, {text: size for text, size in sizes.items() if size != now[text]}))
    return tuple(found)


def stages_named(trace: Trace, name: str) -> list[Stage]:
    """The stages with that name, or whose names end in it; equal ones in several blocks once."""
    plain = [stage for stage in trace.stages if unnumbered(stage.name) == name]
    exact = [stage for stage in trace.stages if stage.name == name and "#" in name]
    found = exact or plain or [stage for stage in trace.stages if unnumbered(stage.name).endswith(f".{name}")]
    kept: dict[object, Stage] = {}
    for stage in found:
        shapes = tuple((spec.shape, spec.dims) for spec in (*stage.inputs, *stage.outputs))
        kept.setdefault((re.sub(r"\d+", "*", stage.module), stage.operation, stage.source, shapes), stage)
    return list(kept.values())


def formulas_of(stage: Stage) -> list[str]:
    """The formulas with symbols of a stage's tensors, each once."""
    dims = dict.fromkeys(dim for spec in (*stage.inputs, *stage.outputs) for dim in spec.dims)
    return [dim for dim in dims if symbols_of(parse(dim))]
