"""Offers another order of axes before a reshape, as far as it cures what a small copy of the model showed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations, islice
from typing import TYPE_CHECKING

from vit_trace.base.trace import Source, Stage
from vit_trace.diagnose.changes.records import CallChange, Method, methods_text

if TYPE_CHECKING:
    from vit_trace.mixing.measure import Measured

RESHAPES = ("reshape", "view", "flatten")
"""Operations that put values into other rows."""

OFFERED = 2


def other_orders(measured: Measured, mover: Stage) -> tuple[CallChange, ...]:
    """Moves of one axis before a reshape that leave no row of the small copy made of pieces."""
    return tuple(islice((one for one in _orders(mover) if _cures(measured, one)), OFFERED))


def _orders(mover: Stage) -> Iterator[CallChange]:
    if mover.operation not in RESHAPES or mover.source is None or not mover.inputs:
        return
    receiver = _receiver(mover.source, mover.operation)
    if not receiver:
        return
    count = len(mover.inputs[0].shape)
    pairs = sorted(combinations(range(count), 2), key=lambda pair: (pair[0] == 0, pair[1] - pair[0], pair))
    orders: list[tuple[Method, ...]] = [(step,) for pair in pairs for step in _moves(count, *pair)]
    if count == 4:
        orders.insert(0, (("flatten", 2), ("transpose", 1, 2)))
    for steps in orders:
        whole = (*steps, ("contiguous",)) if mover.operation == "view" else steps
        text = f"{receiver}{methods_text(whole)} instead of {receiver}"
        yield CallChange(text, mover.operation, mover.source, steps=whole, runs=True)


def _moves(count: int, first: int, second: int) -> Iterator[Method]:
    """One axis taken to the place of another; the others keep their order, so that rows stay before columns."""
    if second - first == 1:
        yield ("transpose", first, second)
        return
    axes = [*range(count)]
    yield ("permute", *axes[:first], second, *axes[first:second], *axes[second + 1 :])
    yield ("permute", *axes[:first], *axes[first + 1 : second + 1], first, *axes[second + 1 :])


def _receiver(span: Source, method: str) -> str:
    """What a method is called on, as it is written; "" where it is written otherwise."""
    try:
        node = ast.parse(f"({span.text})", mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != method:
        return ""
    text = ast.get_source_segment(f"({span.text})", node.func.value) or ""
    return f"({text})" if isinstance(node.func.value, (ast.BinOp, ast.UnaryOp)) else text


def _cures(measured: Measured, change: CallChange) -> bool:
    """Whether the small copy runs with a change, scrambles nothing, and keeps rows and their features in order."""
    found = measured.changed(change.during)
    if found is None or found.watched.coordinates.found:
        return False
    for event in found.watched.events:
        if event.name == change.call and found.trace.stages[event.step].source == change.span:
            flat = found.watched.coordinates.origins[id(event.made[0])].flat
            if not all(bool((flat.diff(dim=axis) > 0).all()) for axis in (-1, -2)[: flat.ndim]):
                return False
    return True
