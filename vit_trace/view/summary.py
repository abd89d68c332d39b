"""Says what a whole trace is: its title, its totals, its symbols, what its steps mix. No layout."""

import re
from collections.abc import Iterable, Iterator, Mapping

from vit_trace.base.roles import same_role
from vit_trace.base.trace import Trace, Value
from vit_trace.base.words import bytes_text, compact, flops_text
from vit_trace.dims.explain import with_numbers
from vit_trace.dims.formula import on_screen, parse
from vit_trace.dims.values import used_in
from vit_trace.view.outline import Outline

TITLE = dict(image_size="image {}", patch_size="patch {}", dim="dim {}", depth="depth {}", heads="heads {}")
TITLE |= dict(mlp_dim="mlp {}", num_classes="{} classes", pool="pool {}", batch_size="batch {}")
"""Hyperparameter -> its phrase in the title, in this order."""


def title(trace: Trace) -> tuple[str, ...]:
    """The class and its hyperparameters, one phrase each."""
    values = _in_our_words(trace.target.hyperparameters)
    if "dim_head" in values and "heads" in values:
        values["heads"] = f"{_phrase(values['heads'])}×{_phrase(values['dim_head'])}"
    known = [TITLE[name].format(_phrase(values[name])) for name in TITLE if name in values]
    if not known:
        named = {name: symbol.value for name, symbol in trace.symbols.items() if symbol.hyperparameter}
        sizes = {name: value for name, value in values.items() if not isinstance(value, (bool, float))}
        known = [f"{name} {_phrase(value)}" for name, value in list((named or sizes).items())[:8]]
    if "batch_size" not in values and (batch := batch_of(trace)):
        known.append(TITLE["batch_size"].format(batch))
    return (trace.target.class_, *known)


def _in_our_words(hyperparameters: Mapping[str, Value]) -> dict[str, Value]:
    """The hyperparameters, those that a library calls otherwise under the title's names too."""
    given = {name: value for name, value in hyperparameters.items() if value not in (None, "")}
    found = dict(hyperparameters)
    for ours in "image_size patch_size num_classes mlp_dim dim heads dim_head depth".split():
        if ours not in found and (theirs := same_role(ours, given)):
            found[ours] = given[theirs[0]]
    return found


def _phrase(value: Value) -> str:
    """A hyperparameter as the title shows it: two sizes as 256×320, one per stage as 2, 2, 6, 2."""
    return ("×" if len(value) == 2 else ", ").join(map(str, value)) if isinstance(value, list) else str(value)


BOUNDS = dict(exact="{} parameters", least="at least {} parameters (some sizes are unknown)")
BOUNDS |= dict(unknown="parameters unknown: the stages change")
"""How the total of parameters is said, by what it is."""

PLACES = {"tokens", "h", "w", "frames"}
FEATURES = {"features", "channels", "heads", "pixels"}
IMAGES = {"batch"}
"""What a step may mix: words of `Stage.mixes`."""


NUMBERED = re.compile(r"^(win|n|)([hwt])(\d{1,9})_*$")
"""Symbols of the grids and windows of stages: h2, winh1, nw3."""


def totals(outline: Outline) -> tuple[str, ...]:
    """The closing phrases: stages shown, parameters, bytes, FLOPs."""
    trace = outline.trace
    stages = f"{trace.totals.stages} stages"
    ranked = any(row.share[1] for row in outline.rows)
    shown = sum(row.repeats if ranked else 1 for row in outline.rows if row.stage is not None)
    if shown < trace.totals.stages:
        folded = max((row.repeats for row in outline.rows if row.repeats > 1 and row.heading), default=0)
        reasons = [f"{folded} equal layers folded"] if folded else []
        if outline.collapsed and not ranked:
            blocks = f"{outline.collapsed} similar block{'s' * (outline.collapsed > 1)} collapsed"
            reasons.append(f"{blocks}, --no-fold shows all")
        why = f" ({', '.join(reasons)})" if reasons else ""
        stages = f"{shown} of {stages} shown{why}"
    if outline.partial:
        return stages, *_shares(outline)
    parameters = BOUNDS[trace.totals.bound].format(f"{trace.totals.parameters:,}")
    if trace.totals.parameter_bytes:
        parameters += f", {bytes_text(trace.totals.parameter_bytes)}"
    flops = [flops_text(trace.totals.flops, batch_of(trace))] if trace.totals.flops else []
    saved = [f"{bytes_text(sum(trace.saved.values()))} of saved activations"] if trace.saved else []
    return stages, parameters, *flops, *saved


def _shares(outline: Outline) -> Iterator[str]:
    """The totals of the stages shown, each with its share of the model's: 28.3 M parameters (33 %)."""
    whole = outline.trace.totals
    if outline.parameters >= 0 and whole.bound == "exact":
        yield f"{compact(outline.parameters)} parameters{share_text(outline.parameters, whole.parameters, ' ({})')}"
    if kept := sum(row.saved for row in outline.rows):
        all_kept = sum((outline.trace.saved or {}).values())
        yield f"{bytes_text(kept)} of saved activations{share_text(kept, all_kept, ' ({})')}"
    if whole.flops:
        yield f"{flops_text(outline.flops, batch_of(outline.trace))}{share_text(outline.flops, whole.flops, ' ({})')}"


def share_text(part: int, whole: int, form: str = "{}") -> str:
    """33 %, in words of a form; "" of nothing."""
    if not whole or part <= 0:
        return ""
    share = 100 * part / whole
    return form.format(f"{share:.{0 if share >= 10 else 1}f} %" if share >= 0.05 else "< 0.1 %")


def batch_of(trace: Trace) -> int | None:
    """Images in the batch, where the trace says how many."""
    symbol = trace.symbols.get("b")
    given = symbol.value if symbol else trace.target.hyperparameters.get("batch_size")
    return given if isinstance(given, int) and given > 0 else None


def legend(outline: Outline, more: Iterable[str] = ()) -> list[str]:
    """The symbols of the formulas shown and of `more`, with their values: n (num_patches) = h·w = 14·14 = 196."""
    trace = outline.trace
    texts = {dim for row in outline.rows if not row.heading for spec in row.shapes for dim in spec.dims} | set(more)
    names = used_in(trace, texts)
    called = {one.formula: one.name for one in reversed(trace.construction) if one.formula and not one.module}
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    phrases = []
    for name in sorted((name for name in trace.symbols if name in names), key=_legend_order):
        symbol = trace.symbols[name]
        if not symbol.formula:
            phrases.append(f"{name} {symbol.value}")
            continue
        parts = (on_screen(symbol.formula), with_numbers(parse(symbol.formula), values), str(symbol.value))
        alias = f" ({called[name]})" if called.get(name, name) != name else ""
        phrases.append(f"{name}{alias} = {' = '.join(dict.fromkeys(parts))}")
    return phrases


def _legend_order(name: str) -> tuple[int, int, str]:
    """The grids of stages behind the other symbols, then their windows, each in the order of the stages."""
    found = NUMBERED.match(name)
    return (["", "win", "n"].index(found[1]) + 1, int(found[3]), found[2]) if found else (0, 0, "")


def mixing_told(outline: Outline) -> str:
    """How many steps mix tokens, how many features, and whether one mixes images; "" where that is not known.

    What a mixed axis without a formula counts is not known: a count is a lower bound then, and 0 is left out.
    """
    trace = outline.trace
    inner = {stage.parent for stage in trace.stages}
    steps = [set(stage.mixes) for stage in trace.stages if stage.mixes is not None and stage.index not in inner]
    bound = "at least " if any(one - PLACES - FEATURES - IMAGES for one in steps) else ""
    counts = {
        name: sum(bool(words & one) for one in steps)
        for name, words in (("tokens", PLACES), ("features", FEATURES), ("images", IMAGES))
        if steps
        and not outline.partial
        and (not bound or any(words & one for one in steps) or (words == IMAGES and "b" in trace.symbols))
    }
    said = [
        f"{f'{bound}{count}' if count else 'none'} {'mix' if count > 1 else 'mixes'} {name}"
        for name, count in counts.items()
    ]
    of = next((f" step{'s' * (count > 1)}" if count else " of the steps" for count in counts.values()), "")
    return ", ".join(said).replace(" mix", f"{of} mix", 1)
