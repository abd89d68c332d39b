"""Varies alone what the settings do not vary: every whole number of the arguments, every element of a list.

A size is constant only if it stays where each of them changes. Many change in one trace; where that changes a size or
does not run, the numbers are halved until each one that matters stands alone.
"""

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from vit_trace.base.roles import Path
from vit_trace.base.trace import Trace
from vit_trace.dims.walk import Key, stage_keys
from vit_trace.targets.knobs import Changes, Leaf

COUNTED = re.compile(r"depth|layer|block|stage|level|repeat|id$|ids|idx|ind(ex|ices)")
"""Names of what counts or chooses parts of a model: one more is tried first, not twice as many."""

MOST_DEPTH = 20
"""Levels of what holds a number."""

MOST_VALUES, LEAST_VALUES = 5, 2
"""Values that are tried of a number or a list, and of an element where its list was changed."""

Shapes = dict[Key, list[tuple[int, ...]]]

Attempt = Callable[[Changes], Trace | None]
"""The trace with some arguments changed; None where it cannot be made. Raises Spent."""


class Spent(Exception):
    """The budget allows no more traces."""


@dataclass
class Screened:
    """What the changes of single numbers showed.

    `witnesses` are traces with some of them changed, at the real sizes otherwise. `alone` are leaves that change sizes
    and nothing else, each with its new value and the trace that showed it; `unvaried` those that could not be changed.
    """

    witnesses: list[Trace] = field(default_factory=list)
    alone: list[tuple[Leaf, int, Trace]] = field(default_factory=list)
    unvaried: list[str] = field(default_factory=list)


def screen(trace: Trace, leaves: Sequence[Leaf], attempt: Attempt) -> Screened:
    """Change every leaf, together where nothing comes of it; of a list first all elements, then each."""
    found = Screened()
    real = shapes(trace)
    sizes = {size for held in real.values() for shape in held for size in shape} - {0, 1}
    waiting = _groups(leaves, sizes)
    varied: set[Path] = set()
    parts: set[Path] = set()  # those that make other stages

    def turn(group: Sequence[Leaf]) -> tuple[bool, bool, float]:
        """Comes first what nothing varied so far, then what may be a width: the larger, the likelier."""
        paths = {leaf.path for leaf in group}
        return paths <= varied, paths <= parts, -max(leaf.value for leaf in group)

    while waiting:
        group = min(waiting, key=turn)
        waiting.remove(group)
        try:
            value, tried = _with_changes(group, attempt, varied)
        except Spent:
            break
        found.witnesses += [tried] if tried is not None else []
        fractions = isinstance(group[0].value, float)  # a factor of other sizes: which one it is says nothing
        settled = tried is not None and (fractions or unchanged(real, tried))
        if tried is not None and (settled or _of_one_list(group)):
            varied |= {leaf.path for leaf in group}
        aligned = tried is not None and shapes(tried).keys() == real.keys()
        if len(group) > 1 and not settled:
            waiting += _parts(group, sizes)
            parts |= {leaf.path for leaf in group if not aligned}
        elif tried is not None and not settled and aligned:
            found.alone.append((group[0], value, tried))
    found.unvaried = [leaf.name for leaf in leaves if leaf.path not in varied]
    return found


def _groups(leaves: Sequence[Leaf], sizes: Container[int]) -> list[list[Leaf]]:
    """The leaves by kind: what counts parts, whole numbers that are a size or none, fractions."""
    kinds: dict[str, list[Leaf]] = {"counted": [], "size": [], "whole": [], "fraction": []}
    for leaf in leaves:
        whole = "counted" if _counts(leaf) else "size" if leaf.value in sizes else "whole"
        kinds["fraction" if isinstance(leaf.value, float) else whole].append(leaf)
    return [group for group in kinds.values() if group]


def _counts(leaf: Leaf) -> bool:
    """Whether a number counts or chooses parts of a model, by its own name."""
    return bool(COUNTED.search(leaf.name.rpartition(".")[2]))


def _list_of(leaf: Leaf) -> Path:
    """The names on the way to a number: those of one list have the same, and one field of the records in a list."""
    return tuple(part for part in leaf.path if isinstance(part, str))


def _of_one_list(group: Sequence[Leaf]) -> bool:
    return len(set(map(_list_of, group))) == 1


def _parts(group: Sequence[Leaf], sizes: Container[int]) -> list[list[Leaf]]:
    """The group in two: between lists, then between those that a list holds; each alone where all may be sizes."""
    several = not _of_one_list(group)
    paths = {leaf.path: _list_of(leaf) if several else leaf.path for leaf in group}
    depth = next(at for at in range(1, MOST_DEPTH) if len({path[:at] for path in paths.values()}) > 1)
    parts: dict[Path, list[Leaf]] = {}
    for leaf in group:
        parts.setdefault(paths[leaf.path][:depth], []).append(leaf)
    whole = not any(map(_counts, group))
    if whole and all(leaf.value in sizes for leaf in group):
        return [*parts.values()]
    first = {*[*parts][: (len(parts) + 1) // 2]}
    return [[leaf for leaf in group if (paths[leaf.path][:depth] in first) is half] for half in (True, False)]


def _with_changes(group: Sequence[Leaf], attempt: Attempt, varied: Container[Path]) -> tuple[Any, Trace | None]:
    """The trace with a group changed, and its first leaf's value there; of a number or a list several are tried."""
    tries = LEAST_VALUES if group[0].path in varied else MOST_VALUES if _of_one_list(group) else 1
    for values in islice(zip(*map(_others, group), strict=False), tries):
        if (tried := attempt({leaf.path: value for leaf, value in zip(group, values, strict=True)})) is not None:
            return values[0], tried
    return None, None


def _others(leaf: Leaf) -> Iterator[Any]:
    """Other values to try, the likeliest to run first."""
    value = leaf.value
    if isinstance(value, float):
        yield from (2 * value, 1.5 * value, value / 2)
        return
    one_more = _counts(leaf) or value < 1
    values = (value + 1, value - 1, 2 * value) if one_more else (2 * value, value // 2, value + 1, value - 1, 3 * value)
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


def scales(before: int | float, after: int, real: Trace, other: Trace) -> str:
    """How all sizes that change do so, as if made of a number that was `before` and is `after`; "" where they do not.

    "grows": by a multiple of the number or by whole steps, in its ratio, or as a head dimension that shrinks in it.
    "tiles": what stages make only shrinks as the number grows, or goes with the area of a window.
    """
    theirs = shapes(other)
    pairs = [(key[0], *pair) for key, held in shapes(real).items() for pair in zip(held, theirs[key], strict=False)]
    sizes = [(kind, *pair) for kind, *both in pairs for pair in zip(*both, strict=False) if pair[0] != pair[1]]

    def fit(*powers: int) -> bool:
        scaled = [(before**power, after**power) for power in powers]
        return bool(sizes) and all(
            (before and new > old and (new - old) % before == 0)
            or any(old * two == new * one or old * one == new * two for one, two in scaled)
            for _, old, new in sizes
        )

    made = [(new > old) is (after > before) for kind, old, new in sizes if kind != "parameter"]
    return "grows" if fit(1) and any(made or [True]) else "tiles" if fit(1, 2) else ""
