"""Makes the report of `vit-trace sizes`: the rules of a model's settings, and answers about single values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.base.roles import Path, same_role
from vit_trace.base.words import whole_number
from vit_trace.check.sizes.report import SCHEMA, Asked, SizeRule, SizesReport
from vit_trace.version import __version__

if TYPE_CHECKING:
    from vit_trace.check.sizes.search import SizeSearch
    from vit_trace.probing.variants import Dial
    from vit_trace.targets.target import Target

NEAREST = 3
"""Values that work, named beside one that was asked for."""

MAIN, MAIN_SHARE = ("image", "patch", "window", "heads", "dim", "frames", "frame_patch"), 3
"""Roles of what people choose most, and the times another's share of the budget that the search for a rule has."""


def size_report(target: Target, names: Sequence[str] = (), at: Sequence[str] = (), by_rule: bool = True) -> SizesReport:
    """The rules of the named settings of a target, of all that matter where none is named.

    Args:
        target: the model.
        names: hyperparameters, elements of them ("depths[2]"), or "input".
        at: values to judge, each as NAME=N.
        by_rule: shapes by the fast rules, or by torch's meta kernels.

    Raises:
        Refused: a name that is no setting, a value that is no whole number, a model without numbers to vary.
    """
    from vit_trace.check.sizes.search import SizeSearch
    from vit_trace.probing.variants import variants_of

    variants = variants_of(target, by_rule)
    if not variants.settings:
        raise refuse("nothing-to-vary", f"{target.spec or 'the model'} has no number that could be varied")
    search = SizeSearch(variants, target.spec or "the built-in ViT")
    questions = [_question(search, text) for text in at]
    chosen = [group for name in names for group in _named(search, name)]
    every = not names and not at
    notes = [*search.settle()]
    found = tuple(_rules(search, _unique(chosen) if not every else [*_groups(variants.settings)], every))
    asked = tuple(_asked(search, group, value) for group, value in questions)
    layers = tuple(dict.fromkeys(_last_name(path) for path in variants.few))
    rules = tuple(one for one in found if one.tried)
    left = [name for one in found if not one.tried for name in one.names]
    if left:
        notes.append(f"the budget left nothing for {', '.join(left)}: ask for them by name")
    return SizesReport(SCHEMA, target.spec, __version__, rules, asked, layers, (*notes, *search.shortfall()))


def _rules(search: SizeSearch, groups: Sequence[list[Dial]], every: bool) -> Iterator[SizeRule]:
    """The rules of groups, of `every` one that matters: each has its share of the budget, then some have what is left.

    What people choose most comes first, and has a larger share.
    """
    found: dict[int, list[SizeRule]] = {}
    weights = [MAIN_SHARE if group[0].role in MAIN else 1 for group in groups]
    for turn in range(2):
        cut = [place for place, rules in found.items() if any(one.cut for one in rules)]
        waiting = cut if turn else sorted(range(len(groups)), key=lambda place: -weights[place])
        for done, place in enumerate(waiting):
            search.begin(groups[place], weights[place] / sum(weights[one] for one in waiting[done:]))
            if turn or not every or search.matters(groups[place]):
                found[place] = list(search.rules(groups[place]))
    for place in sorted(found):
        yield from found[place]


def _last_name(path: Path) -> str:
    return next(str(part) for part in reversed(path) if isinstance(part, str))


def _groups(settings: Sequence[Dial]) -> Iterator[list[Dial]]:
    """The settings, the two sides of an image as one group."""
    seen: set[str] = set()
    for one in settings:
        if one.name not in seen:
            alike = [other for other in settings if _pair(one) and _pair(other) == _pair(one)] or [one]
            seen |= {other.name for other in alike}
            yield alike


def _pair(one: Dial) -> str:
    """What the sides of one image share: the hyperparameter that gives them, or "input"; "" for other settings."""
    if one.role == "image":
        return one.name.partition("[")[0]
    return one.role if one.axis in ("H", "W") else ""


def _unique(groups: Sequence[list[Dial]]) -> list[list[Dial]]:
    return [group for place, group in enumerate(groups) if group not in groups[:place]]


def _named(search: SizeSearch, name: str) -> list[list[Dial]]:
    """The settings of a name: its own, those of its elements, those that other libraries call so. Raises Refused."""
    settings = search.variants.settings
    groups = list(_groups(settings))
    for matches in (
        lambda one: one.name == name,
        lambda one: one.name.partition("[")[0] == name or one.name.rpartition(".")[2] == name,
        lambda one: bool(same_role(name, [one.name.rpartition(".")[2].partition("[")[0]])),
        lambda one: name == "input" and one.role == "input",
    ):
        if found := [group for group in groups if any(map(matches, group))]:
            exact = [[one] for group in found for one in group if one.name == name]
            return exact or found
    names = dict.fromkeys(one.name.partition("[")[0] for one in settings if one.role != "input")
    help = (f"it can be {', '.join([*names, 'input'])}",)
    raise refuse("no-such-quantity", f"{name}: there is no such whole number in {search.spec}", help=help)


def _question(search: SizeSearch, text: str) -> tuple[list[Dial], dict[str, int]]:
    """The settings and the values of NAME=N or NAME=HxW. Raises Refused."""
    name, _, given = text.partition("=")
    numbers = given.replace("×", "x").split("x")
    if not all(number.isdecimal() and number.strip("0") for number in numbers) or len(numbers) > 2:
        raise refuse("bad-value", f"--at {text}: not a whole number above 0", help=("--at image_size=384",))
    group = _named(search, name)[0]
    values = [whole_number(number) for number in numbers]
    if len(values) > len(group):
        raise refuse("bad-value", f"--at {text}: {name} is one number", help=(f"--at {name}={values[0]}",))
    pairs = zip(group, values if len(values) == len(group) else values * len(group), strict=True)
    return group, {one.name: value for one, value in pairs}


def _asked(search: SizeSearch, group: list[Dial], values: Mapping[str, int]) -> Asked:
    """What becomes of the model with these values, and the nearest that work."""
    search.begin(group, 1 / 2)
    outcome = search.at(values)
    value = max(values.values())
    nearest: tuple[int, ...] = ()
    if outcome.word != "runs":
        rules: list[SizeRule] = list(search.rules(group))
        nearest = tuple(dict.fromkeys(one for rule in rules for one in search.nearest(rule, value, NEAREST)))[:NEAREST]
    apart = tuple(values.values()) if len(set(values.values())) > 1 else ()
    return Asked(tuple(values), value, outcome.word, outcome.where, outcome.why, nearest, apart)
