"""Varies alone what the settings do not vary: every whole number of the arguments, every element of a list.

A size is constant only if it stays where each of them changes. Many change in one trace; where that changes a size or
does not run, the numbers are halved until each one that matters stands alone.
"""

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vit_trace.base.trace import Trace
from vit_trace.dims.walk import Key, stage_keys
from vit_trace.targets.knobs import Changes, Leaf

COUNTED = re.compile(r"depth|layer|block|stage|level|repeat|id$|ids|idx|ind(ex|ices)")
"""Names of what counts or chooses parts of a model: one more is tried first, not twice as many."""

Shapes = dict[Key, list[tuple[int, ...]]]

Attempt = Callable[[Changes], Trace | None]
"""The trace with some arguments changed; None where it cannot be made. Raises Spent."""


class Spent(Exception):
    """The budget allows no more traces."""


@dataclass
class Screened:
    """What the changes of single numbers showed.

    `witnesses` are traces with some of them changed, at the real sizes otherwise. `alone` are leaves that change sizes
    and nothing else, each with its new value and the trace that showed it; `deciding` those that change the stages;
    `unvaried` those that could not be changed.
    """

    witnesses: list[Trace] = field(default_factory=list)
    alone: list[tuple[Leaf, int, Trace]] = field(default_factory=list)
    deciding: list[str] = field(default_factory=list)
    unvaried: list[str] = field(default_factory=list)


def screen(trace: Trace, leaves: Sequence[Leaf], attempt: Attempt) -> Screened:
    """Change every leaf, together where nothing comes of it."""
    found = Screened()
    real = shapes(trace)
    waiting = _groups(leaves, {size for held in real.values() for shape in held for size in shape} - {0, 1})
    while waiting:
        group = waiting.pop(0)
        try:
            tried, settled, value = _with_changes(group, attempt, real)
        except Spent:
            found.unvaried += [leaf.name for one in (group, *waiting) for leaf in one]
            break
        found.witnesses += [tried] if tried is not None else []
        if not settled:
            waiting += [group[: len(group) // 2], group[len(group) // 2 :]]
        elif len(group) == 1:
            _file(found, group[0], (tried, value), real)
    return _lists_together(found, leaves, attempt)


def _groups(leaves: Sequence[Leaf], sizes: Container[int]) -> list[list[Leaf]]:
    """The leaves by kind: what counts parts, whole numbers that are a size or none, fractions."""
    kinds: dict[str, list[Leaf]] = {"counted": [], "size": [], "whole": [], "fraction": []}
    for leaf in leaves:
        whole = "counted" if COUNTED.search(leaf.name) else "size" if leaf.value in sizes else "whole"
        kinds["fraction" if isinstance(leaf.value, float) else whole].append(leaf)
    return [group for group in kinds.values() if group]


def _with_changes(group: Sequence[Leaf], attempt: Attempt, real: Shapes) -> tuple[Trace | None, bool, Any]:
    """The trace with a group changed, whether the group need not be halved, and the value of a group of one."""
    if len(group) == 1:
        for value in _others(group[0]):
            if (tried := attempt({group[0].path: value})) is not None:
                return tried, True, value
        return None, True, None
    tried = attempt({leaf.path: next(_others(leaf)) for leaf in group})
    fractions = isinstance(group[0].value, float)  # a factor of other sizes: which one it is says nothing
    return tried, tried is not None and (fractions or unchanged(real, tried)), None


def _file(found: Screened, leaf: Leaf, shown: tuple[Trace | None, Any], real: Shapes) -> None:
    tried, value = shown
    if tried is None:
        found.unvaried.append(leaf.name)
    elif shapes(tried).keys() != real.keys():
        found.deciding.append(leaf.name)
    elif isinstance(leaf.value, int) and not unchanged(real, tried):
        found.alone.append((leaf, value, tried))


def _lists_together(found: Screened, leaves: Sequence[Leaf], attempt: Attempt) -> Screened:
    """Elements of a list that cannot change alone are changed together."""
    for name in {leaf.name.partition("[")[0] for leaf in leaves if leaf.name in found.unvaried and "[" in leaf.name}:
        group = [leaf for leaf in leaves if leaf.name.partition("[")[0] == name]
        for values in zip(*map(_others, group), strict=False):
            try:
                tried = attempt({leaf.path: value for leaf, value in zip(group, values, strict=True)})
            except Spent:
                return found
            if tried is not None:
                found.witnesses.append(tried)
                found.unvaried = [one for one in found.unvaried if one.partition("[")[0] != name]
                break
    return found


def _others(leaf: Leaf) -> Iterator[Any]:
    """Other values to try, the likeliest to run first."""
    value = leaf.value
    if isinstance(value, float):
        yield from (2 * value, 1.5 * value, value / 2)
        return
    one_more = COUNTED.search(leaf.name) or value < 1
    values = (value + 1, value - 1, 2 * value) if one_more else (2 * value, value + 1, value - 1, 3 * value, value // 2)
    yield from (one for one in dict.fromkeys(values) if one != value and one > 0)


def shapes(trace: Trace) -> Shapes:
    """The shapes of each stage's outputs and of each parameter."""
    found: Shapes = {("parameter", one.name): [one.shape] for one in trace.parameters}
    keys = stage_keys(trace.stages)
    return found | {key: [one.shape for one in stage.outputs] for key, stage in zip(keys, trace.stages, strict=True)}


def unchanged(real: Shapes, other: Trace) -> bool:
    """Whether every stage and parameter is there, with its shape; there may be more of them."""
    theirs = shapes(other)
    return all(theirs.get(key) == held for key, held in real.items())


def scales(before: int | float, after: int, real: Trace, other: Trace) -> bool:
    """Whether every size that changes does so as if made of a number that was `before` and is `after`.

    It grows by a multiple of the number or by whole steps, or in its ratio, or shrinks in it as a head dimension does.
    """
    theirs = shapes(other)
    pairs = [pair for key, held in shapes(real).items() for pair in zip(held, theirs[key], strict=False)]
    sizes = [pair for one, another in pairs for pair in zip(one, another, strict=False) if pair[0] != pair[1]]
    return bool(sizes) and all(
        (new > old and (new - old) % before == 0) or old * after == new * before or old * before == new * after
        for old, new in sizes
    )
