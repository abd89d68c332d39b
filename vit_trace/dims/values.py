"""Evaluates a trace at other values of its symbols: what the formulas give, and what they leave unknown. No torch.

A symbol is either given (dim, H) or follows from others (n = h*w); only given ones can be set. A size without a formula
is UNKNOWN at other values, never the old number.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from math import prod
from typing import Literal

from msgspec.structs import replace

from vit_trace.base.roles import other_names
from vit_trace.base.trace import Construction, Diagnostic, Listed, Note, Parameter, Stage, Symbol, Totals, Trace, Value
from vit_trace.config.words import cut
from vit_trace.dims.costs import NOT_KNOWN, bytes_of, flops_at
from vit_trace.dims.formula import (
    LARGEST,
    FormulaError,
    Number,
    evaluate,
    parse,
    split_formulas,
    symbols_of,
)
from vit_trace.dims.walk import Sized, map_specs, map_tensors

UNKNOWN = -1
"""Stands for a size that no formula gives."""

PAIR = re.compile(r"^([0-9]+)(?:[x×]([0-9]+))?$")

MAX_DIGITS = 18
"""Digits of the largest value that --with takes: torch counts with 64 bits."""


class ValuesError(ValueError):
    """A value that cannot be set; `help` says what can."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


def knob_of(symbol: Symbol) -> str:
    """The hyperparameter that gives a symbol its value, without the place in it; "" where none does."""
    return (symbol.hyperparameter or "").partition("[")[0]


def _require_multiples(trace: Trace, values: Mapping[str, int]) -> None:
    """Raise ValuesError where a value has to be a multiple of another, as H of p1 for h = H//p1, and is not."""
    for one in trace.wholes:
        whole, part = _size(one.top, values), _size(one.bottom, values)
        if part > 0 and whole % part and one.rest != "dropped":
            near = sorted({max(whole // part, 1) * part, (whole // part + 1) * part})
            message = f"{one.top} {whole} is not a multiple of {one.bottom} {part}".replace(f"{part} {part}", str(part))
            raise ValuesError(message, f"{' and '.join(map(str, near))} are")


def bindings(trace: Trace, changes: Mapping[str, int]) -> dict[str, int]:
    """The value of every symbol after the given ones have changed. Raises ValuesError."""
    values = {name: symbol.value for name, symbol in trace.symbols.items() if symbol.formula is None} | dict(changes)
    waiting = {name: parse(symbol.formula) for name, symbol in trace.symbols.items() if symbol.formula is not None}
    while waiting:
        ready = [name for name, formula in waiting.items() if symbols_of(formula) <= values.keys()]
        if not ready:
            raise ValuesError(f"{', '.join(waiting)}: cannot be computed")
        for name in ready:
            waiting.pop(name)
            values[name] = _size(trace.symbols[name].formula or "", values)
    return values


def used_symbols(trace: Trace) -> set[str]:
    """Symbols that some size depends on, directly or through another symbol."""
    texts = {dim for stage in trace.stages for spec in stage.outputs for dim in spec.dims}
    return used_in(trace, texts | {dim for parameter in trace.parameters for dim in parameter.dims})


def used_in(trace: Trace, texts: set[str]) -> set[str]:
    """Symbols that some of the formulas depend on, directly or through another symbol."""
    found: set[str] = set()
    while texts:
        names = {name for text in texts for name in symbols_of(parse(text))} & trace.symbols.keys()
        texts = {trace.symbols[name].formula or "" for name in names - found} - {""}
        found |= names
    return found


def changes_of(trace: Trace, assignments: Mapping[str, str]) -> dict[str, int]:
    """Symbols to change, from texts as typed: `image_size=384x512` is H=384 and W=512. Raises ValuesError."""
    changes: dict[str, int] = {}
    for name, text in assignments.items():
        found = PAIR.match(text.strip())
        if not found or set(found[1]) == {"0"}:
            message = f"{cut(name)}={cut(text)}: must be a whole number above 0"
            raise ValuesError(message, "384, or 384x512 for a pair")
        if max(len(side or "") for side in found.groups()) > MAX_DIGITS:
            digits = f"{cut(name)}={cut(text)}: {MAX_DIGITS} digits are read at most"
            raise ValuesError(digits, "384, or 384x512 for a pair")
        changes |= _symbols_of(trace.symbols, name, found)
    idle = changes.keys() - used_symbols(trace)
    if idle:
        message = f"{', '.join(sorted(idle))}: no size follows from it, so this trace does not say what it changes"
        raise ValuesError(message, "trace the model with the new value")
    return changes


def _symbols_of(known: Mapping[str, Symbol], name: str, found: re.Match[str]) -> dict[str, int]:
    """The symbols that a name stands for (a symbol, or a hyperparameter with one or two), with their values."""
    first, second = int(found[1]), int(found[2] or found[1])
    if name in known:
        formula = known[name].formula
        if formula is not None:
            raise ValuesError(f"{name} follows from {formula}", f"set {', '.join(sorted(_settable(known, name)))}")
        targets = [name]
    else:
        meant = (name, *other_names(name))  # image_size is img_size in another library
        asked = next((one for one in meant if one in map(knob_of, known.values())), name)
        pair = (symbol for symbol, value in known.items() if knob_of(value) == asked)
        targets = sorted(pair, key=lambda symbol: known[symbol].hyperparameter or "")
    if not targets:
        names = {*known, *map(knob_of, known.values())} - {""}
        near = get_close_matches(name, sorted(names), 1)
        help = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(names))}"
        raise ValuesError(f"{name}: no formula of this trace uses it", help)
    if found[2] and len(targets) != 2:
        raise ValuesError(f"{name} is one number", f"{name}={first}")
    return dict(zip(targets, (first, second), strict=False))


def _settable(known: Mapping[str, Symbol], name: str) -> set[str]:
    """The names to set for a symbol to change: its own, or those it finally follows from."""
    if name not in known:
        return {name}
    formula = known[name].formula
    if formula is None:
        return {knob_of(known[name]) or name}
    return set().union(*(_settable(known, inner) for inner in symbols_of(parse(formula))))


def at(trace: Trace, changes: Mapping[str, int]) -> Trace:
    """The trace with every size as its formula gives it at the changed values. Raises ValuesError.

    FLOPs and bytes are left out where the sizes do not say them.
    """
    if not any(symbol.formula is None for symbol in trace.symbols.values()):
        raise ValuesError("this trace has no formulas", "save one with vit-trace -o trace.json, without --no-formulas")
    values = bindings(trace, changes)
    _require_multiples(trace, values)
    evaluation = _Evaluation(values)
    there = map_specs(trace, evaluation.sized, evaluation.quantity)
    changed = tuple(_structure_changes(trace, values))
    stages = _counted(trace, there, bool(changed))
    return replace(
        there,
        target=replace(trace.target, hyperparameters=_hyperparameters_at(trace, values)),
        symbols={name: replace(symbol, value=values[name]) for name, symbol in trace.symbols.items()},
        stages=stages,
        listing=tuple(map(evaluation.source, trace.listing)),
        totals=_totals_at(trace, replace(there, stages=stages), bool(changed)),
        saved=None,
        diagnostics=(*trace.diagnostics, *(Diagnostic("structure", "warning", message) for message in changed)),
    )


def _size(text: str, values: Mapping[str, int]) -> int:
    """What a formula gives. Raises ValuesError where that is no number that could be shown."""
    try:
        size = evaluate(parse(text), values)
    except FormulaError as error:
        raise ValuesError(str(error)) from None
    if abs(size) > LARGEST:
        raise ValuesError(f"{cut(text)} would be a number of {len(str(size)):,} digits")
    return size


def _structure_changes(trace: Trace, values: Mapping[str, int]) -> Iterator[str]:
    """In words, which of the new values are known to lead to other stages, or may."""
    before = {name: symbol.value for name, symbol in trace.symbols.items()}
    for branch in trace.branches:
        if _hold(branch, values) != _hold(branch, before):
            words = " and ".join(f"{name} = {text}" for name, text in branch.items())
            yield f"the model has other stages where {words}: trace it with these values"
    for name, symbol in trace.symbols.items():
        low, high = symbol.kept or (values[name], values[name])
        if not low <= values[name] <= high:
            stay = f"stay at {low}" if low == high else f"stay from {low} to {high}"
            yield f"{name} decides which stages there are: they {stay}, at {values[name]} there may be others"


def _hold(branch: Mapping[str, str], values: Mapping[str, int]) -> bool:
    return all(values.get(name) == _size(text, values) for name, text in branch.items())


class _Evaluation:
    """Sizes as their formulas give them for one set of values, each formula evaluated once."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self.size = cache(lambda text: _size(text, values))

    def each(self, text: str) -> tuple[int, ...]:
        """The sizes of several formulas; a number among them was measured to stay."""
        return tuple(map(self.size, split_formulas(text)))

    def sized(self, record: Sized, _: object) -> Sized:
        """UNKNOWN for an axis that is only a number and was not measured to stay."""
        kept = (axis in record.constant or not isinstance(parse(dim), Number) for axis, dim in enumerate(record.dims))
        shape = tuple(self.size(dim) if known else UNKNOWN for dim, known in zip(record.dims, kept, strict=True))
        return replace(record, shape=shape)

    def quantity(self, record: Construction, _: object) -> Construction:
        if record.formula is None:
            return replace(record, value=UNKNOWN)
        sizes = self.each(record.formula)
        return replace(record, value=sizes if isinstance(record.value, tuple) else sizes[0])

    def source(self, listed: Listed) -> Listed:
        """A function's lines with what they make at the new values."""
        return replace(
            listed, lines=tuple(replace(one, notes=tuple(map(self.note, one.notes))) for one in listed.lines)
        )

    def note(self, note: Note) -> Note:
        """A note at the new values; a number without a formula is shown as ?."""
        value = ", ".join(map(str, self.each(note.formula))) if note.formula else "?"
        return replace(note, tensors=map_tensors(self.sized, note.tensors), value=value if note.value else "")


def _hyperparameters_at(trace: Trace, values: Mapping[str, int]) -> dict[str, Value]:
    """The target's hyperparameters at the new values."""
    found = deepcopy(trace.target.hyperparameters)
    for name, symbol in trace.symbols.items():
        knob, _, axis = (symbol.hyperparameter or "").partition("[")
        held, place = found.get(knob), axis.rstrip("]")
        if isinstance(held, list) and place.isdecimal() and int(place) < len(held):
            held[int(place)] = values[name]
        elif knob in found:
            found[knob] = values[name]
    return found


def _counted(trace: Trace, there: Trace, restructured: bool) -> tuple[Stage, ...]:
    """The stages at other values: parameters of those that hold all of their module's own; FLOPs if all are known."""
    before, after = _values_held(trace.parameters), _values_held(there.parameters)
    weights = [{one.name: one.shape for one in each.parameters} for each in (trace, there)]
    pairs = [*zip(trace.stages, there.stages, strict=True)]
    flops = [NOT_KNOWN if restructured else flops_at(old, new, weights) for old, new in pairs]
    flops = flops if NOT_KNOWN not in flops else [0] * len(flops)  # a sum of some of them would be taken for the whole
    found = []
    for (old, new), count in zip(pairs, flops, strict=True):
        own = before.get(old.module) == old.parameters
        held = (after[old.module] if own else UNKNOWN) if old.parameters else 0
        found.append(replace(new, parameters=held, flops=count))
    return tuple(found)


def _totals_at(trace: Trace, there: Trace, restructured: bool) -> Totals:
    """The totals at other values; FLOPs and bytes are 0 where they are not known."""
    known = tuple(one for one in there.parameters if UNKNOWN not in one.shape)
    bound: Literal["exact", "least", "unknown"] = "exact" if len(known) == len(there.parameters) else "least"
    bound = "unknown" if restructured else bound
    sized = bound == "exact" and bytes_of(trace.parameters) == trace.totals.parameter_bytes
    return replace(
        trace.totals,
        parameters=sum(prod(one.shape) for one in known),
        parameter_bytes=bytes_of(known) if sized else 0,
        flops=sum(one.flops for one in there.stages),
        bound=bound,
    )


def _values_held(parameters: tuple[Parameter, ...]) -> dict[str, int]:
    """The number of values in the parameters of each module; UNKNOWN where the size of one is."""
    counts: dict[str, int] = {}
    for parameter in parameters:
        module, held = parameter.name.rpartition(".")[0], counts.get(parameter.name.rpartition(".")[0], 0)
        counts[module] = UNKNOWN if UNKNOWN in (*parameter.shape, held) else held + prod(parameter.shape)
    return counts
