"""A trace at other values of its symbols: what the formulas give, and what they leave unknown. No torch.

A symbol is either given (dim, H) or follows from others (n = h*w); only given ones can be set. A size that no formula
covers is UNKNOWN at other values, never the old number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from math import prod

from msgspec.structs import replace

from vit_trace.base.trace import Construction, Listed, Note, Parameter, Stage, Symbol, TensorSpec, Trace, Value
from vit_trace.dims.formula import Formula, FormulaError, Number, Quotient, evaluate, listed, parse, symbols
from vit_trace.dims.formula import Symbol as Name

UNKNOWN = -1
"""A size that cannot be told."""

PAIR = re.compile(r"^(\d+)(?:[x×](\d+))?$")


class ValuesError(ValueError):
    """A value that cannot be set; `help` says what could be."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


@cache
def parsed(text: str) -> Formula:
    return parse(text)


def divided(known: Mapping[str, Symbol], values: Mapping[str, int]) -> None:
    """Refuse values of which one is to be divided by another and is not a multiple of it."""
    for name, symbol in known.items():
        formula = parsed(symbol.formula) if symbol.formula else None
        if isinstance(formula, Quotient) and isinstance(formula.top, Name) and isinstance(formula.bottom, Name):
            whole, part = values[formula.top.name], values[formula.bottom.name]
            if whole % part:
                near = sorted({max(whole // part, 1) * part, (whole // part + 1) * part})
                message = (
                    f"{formula.top.name} {whole} is not a multiple of {formula.bottom.name} {part}, so {name} is none"
                )
                raise ValuesError(message, f"{' and '.join(map(str, near))} are")


def bindings(trace: Trace, changes: Mapping[str, int]) -> dict[str, int]:
    """The value of every symbol once the given ones have changed. Raises ValuesError."""
    values = {name: symbol.value for name, symbol in trace.symbols.items() if symbol.formula is None} | dict(changes)
    waiting = {name: parsed(symbol.formula) for name, symbol in trace.symbols.items() if symbol.formula is not None}
    while waiting:
        ready = [name for name, formula in waiting.items() if symbols(formula) <= values.keys()]
        if not ready:
            raise ValuesError(f"{', '.join(waiting)}: cannot be worked out")
        for name in ready:
            try:
                values[name] = evaluate(waiting.pop(name), values)
            except FormulaError as error:
                raise ValuesError(str(error)) from None
    return values


def used(trace: Trace) -> set[str]:
    """Symbols that some size depends on, directly or through another symbol."""
    texts = {dim for stage in trace.stages for spec in stage.outputs for dim in spec.dims}
    texts |= {dim for parameter in trace.parameters for dim in parameter.dims}
    found: set[str] = set()
    while texts:
        names = {name for text in texts for name in symbols(parsed(text))} & trace.symbols.keys()
        texts = {trace.symbols[name].formula or "" for name in names - found} - {""}
        found |= names
    return found


def changes_of(trace: Trace, assignments: Mapping[str, str]) -> dict[str, int]:
    """Symbols to change, from texts as typed: `image_size=384x512` is H=384 and W=512. Raises ValuesError."""
    changes: dict[str, int] = {}
    for name, text in assignments.items():
        found = PAIR.match(text.strip())
        if not found or int(found[1]) < 1:
            raise ValuesError(f"{name}={text}: a whole number above 0 is wanted", "384, or 384x512 for a pair")
        changes |= named(trace.symbols, name, found)
    idle = changes.keys() - used(trace)
    if idle:
        message = (
            f"{', '.join(sorted(idle))}: no size follows from it, so what it changes cannot be told from this trace"
        )
        raise ValuesError(message, "trace the model with the new value")
    return changes


def named(known: Mapping[str, Symbol], name: str, found: re.Match[str]) -> dict[str, int]:
    """The symbols that a name stands for, its own or a hyperparameter's, with their values."""
    first, second = int(found[1]), int(found[2] or found[1])
    if name in known:
        formula = known[name].formula
        if formula is not None:
            raise ValuesError(f"{name} follows from {formula}", f"set {', '.join(sorted(given(known, name)))}")
        targets = [name]
    else:
        pair = [symbol for symbol, value in known.items() if (value.hyperparameter or "").split("[")[0] == name]
        targets = sorted(pair, key=lambda symbol: known[symbol].hyperparameter or "")
    if not targets:
        names = {*known, *((symbol.hyperparameter or "").split("[")[0] for symbol in known.values())} - {""}
        near = get_close_matches(name, sorted(names), 1)
        help = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(names))}"
        raise ValuesError(f"{name}: no formula of this trace uses it", help)
    if found[2] and len(targets) != 2:
        raise ValuesError(f"{name} is one number", f"{name}={first}")
    return dict(zip(targets, (first, second), strict=False))


def given(known: Mapping[str, Symbol], name: str) -> set[str]:
    """The names that can be set for a symbol to change: its own, or those it follows from in the end."""
    formula = known[name].formula if name in known else None
    if formula is None:
        hyperparameter = known[name].hyperparameter if name in known else None
        return {(hyperparameter or name).split("[")[0]}
    return set().union(*(given(known, inner) for inner in symbols(parsed(formula))))


def at(trace: Trace, changes: Mapping[str, int]) -> Trace:
    """The trace with every size as its formula gives it at the changed values. Raises ValuesError."""
    if not any(symbol.formula is None for symbol in trace.symbols.values()):
        raise ValuesError("this trace has no formulas", "save one with vit-trace -o trace.json, without --no-formulas")
    values = bindings(trace, changes)
    divided(trace.symbols, values)
    return Evaluation(trace, values).trace()


class Evaluation:
    """Formulas evaluated once each for one set of values."""

    def __init__(self, trace: Trace, values: Mapping[str, int]) -> None:
        self.old = trace
        self.values = values
        self.sizes: dict[str, int] = {}

    def size(self, dim: str, constant: bool) -> int:
        """The size of one axis; UNKNOWN where only a number stands that was not measured to stay."""
        if dim not in self.sizes:
            formula = parsed(dim)
            number = isinstance(formula, Number)
            self.sizes[dim] = UNKNOWN if number else evaluate(formula, self.values)
        return self.sizes[dim] if not constant else int(dim)

    def shape(self, dims: tuple[str, ...], constant: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.size(dim, axis in constant) for axis, dim in enumerate(dims))

    def spec(self, spec: TensorSpec) -> TensorSpec:
        return replace(spec, shape=self.shape(spec.dims, spec.constant))

    def specs(self, specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(map(self.spec, specs))

    def parameter(self, parameter: Parameter) -> Parameter:
        return replace(parameter, shape=self.shape(parameter.dims, parameter.constant))

    def construction(self, record: Construction) -> Construction:
        if record.formula is None:
            return replace(record, value=UNKNOWN)
        sizes = tuple(evaluate(parsed(part), self.values) for part in listed(record.formula))
        return replace(record, value=sizes if isinstance(record.value, tuple) else sizes[0])

    def source(self, listed: Listed) -> Listed:
        """A function's lines with what they make at the new values; a number without a formula is not known."""
        lines = (replace(line, notes=tuple(map(self.note, line.notes))) for line in listed.lines)
        return replace(listed, lines=tuple(lines))

    def note(self, note: Note) -> Note:
        value = "?" if note.value else ""
        if note.value and note.formula:
            value = ", ".join(str(evaluate(parsed(part), self.values)) for part in listed(note.formula))
        return replace(note, tensors=self.specs(note.tensors), value=value)

    def trace(self) -> Trace:
        """Everything at the new values; FLOPs and bytes, which no formula covers, are left out."""
        old = self.old
        parameters = tuple(map(self.parameter, old.parameters))
        before, after = held(old.parameters), held(parameters)
        return replace(
            old,
            target=replace(old.target, hyperparameters=self.hyperparameters()),
            symbols={name: replace(symbol, value=self.values[name]) for name, symbol in old.symbols.items()},
            construction=tuple(map(self.construction, old.construction)),
            parameters=parameters,
            stages=tuple(self.stage(stage, before, after) for stage in old.stages),
            outputs=self.specs(old.outputs),
            listing=tuple(map(self.source, old.listing)),
            totals=replace(old.totals, parameters=sum(after.values()), parameter_bytes=0, flops=0),
        )

    def hyperparameters(self) -> dict[str, Value]:
        """The target's hyperparameters at the new values."""
        found = {
            name: list(value) if isinstance(value, list) else value
            for name, value in self.old.target.hyperparameters.items()
        }
        for name, symbol in self.old.symbols.items():
            knob, bracket, axis = (symbol.hyperparameter or "").partition("[")
            held = found.get(knob)
            if bracket and isinstance(held, list):
                held[int(axis.rstrip("]"))] = self.values[name]
            elif knob in found:
                found[knob] = self.values[name]
        return found

    def stage(self, stage: Stage, before: Mapping[str, int], after: Mapping[str, int]) -> Stage:
        """The stage at the new values; its parameters are told where it holds just its module's own."""
        own = stage.parameters and before.get(stage.module) == stage.parameters
        parameters = after[stage.module] if own else 0
        inputs, outputs = self.specs(stage.inputs), self.specs(stage.outputs)
        return replace(stage, inputs=inputs, outputs=outputs, parameters=parameters, flops=0, saved_bytes=None)


def held(parameters: tuple[Parameter, ...]) -> dict[str, int]:
    """How many values the parameters of each module hold; a size that is unknown makes it 0."""
    counts: dict[str, int] = {}
    for parameter in parameters:
        module = parameter.name.rpartition(".")[0]
        count = 0 if UNKNOWN in parameter.shape else prod(parameter.shape)
        counts[module] = counts.get(module, 0) + count
    return counts
