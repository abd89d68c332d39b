"""Shows the answer of `explain`: what a size or a shape is made of, by which step, and what a stage depends on."""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from vit_trace.base.trace import Parameter, Stage, Trace
from vit_trace.base.words import shape_text, unnumbered
from vit_trace.dims.explain import bracketed, doublings, formulas_of, meanings, merged_places, with_grid
from vit_trace.dims.formula import on_screen, parse
from vit_trace.dims.origin import composition, folded_places, lost_axis, made_by, shape_makers, shapes_text
from vit_trace.render import theme
from vit_trace.render.cells import borderless, formula_cell, joined_phrases, shape_cell, source_cell
from vit_trace.render.legible import printable

LONGEST_QUOTED = 40
"""Longest source, in characters, that is quoted beside a step."""

COUNTS = {2: "two meanings", 3: "three meanings", 4: "four meanings"}


def print_stages(trace: Trace, stages: Sequence[Stage], console: Console) -> None:
    """Each stage's tensors with their formulas, and its output with each hyperparameter doubled."""
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    for place, stage in enumerate(stages):
        if place:
            console.print()
        console.print(Text(f"{stage.name or 'the model'}  ", theme.TITLE).append(stage.pattern or stage.operation))
        if stage.source:
            console.print(Text(f"  {source_cell(stage.source).plain}  {stage.source.text}", theme.SAME))
        table = borderless(indent=2)
        for title, spec in (*(("in", spec) for spec in stage.inputs), *(("out", spec) for spec in stage.outputs)):
            numbers = " × ".join(bracketed(parse(dim), values) for dim in spec.dims)
            table.add_row(Text(title, theme.SAME), shape_cell(spec, None), formula_cell(spec, None), Text(numbers))
        console.print(table)
        if stage.mixes is not None:
            said = (
                f"mixes {' and '.join(stage.mixes)}" if stage.mixes else "mixes nothing: each value keeps to its place"
            )
            console.print(Text(f"  {said}"))
        for knob in doublings(trace, formulas_of(stage)):
            changed = [spec for spec in stage.outputs if any(dim in knob.sizes for dim in spec.dims)]
            for spec in changed[:1]:
                sizes = [str(knob.sizes.get(dim, size)) for dim, size in zip(spec.dims, spec.shape, strict=True)]
                console.print(Text(f"  doubling {knob.hyperparameter}: {'×'.join(sizes)}"))


def print_size(trace: Trace, size: int, console: Console) -> None:
    """What a size is made of and by which step, where it stands, and what doubling each hyperparameter makes of it."""
    found = meanings(trace, size)
    if len(found) > 1:
        count = COUNTS.get(len(found), f"{len(found)} meanings")
        console.print(Text(f"{size} has {count} in this model", theme.TITLE))
    for meaning in found:
        _print_sentence(_told_size(trace, meaning.formula, size), console)
        _print_places(meaning.places, console)
    formulas = [meaning.formula for meaning in found if meaning.formula != str(size)]
    if not formulas:
        console.print(Text("no formula was found for it; it may be a constant in the code", theme.SAME))
        return
    console.print()
    knobs = doublings(trace, formulas)
    for knob in knobs:
        if made := [f"{on_screen(formula)} {value}" for formula, value in knob.sizes.items()]:
            console.print(Text(f"doubling {knob.hyperparameter} makes {', '.join(made)}"))
    if idle := [knob.hyperparameter for knob in knobs if not knob.sizes]:
        none = {1: "it", 2: "either"}.get(len(formulas), "any of them")
        console.print(Text(f"doubling {', '.join(idle)} does not change {none}", theme.SAME))


def _told_size(trace: Trace, formula: str, size: int) -> str:
    """197 = n+1 = 14·14 + 1: 14×14 patches (image 224 ÷ patch 16) and the class token, put there by cat in forward."""
    maker = made_by(trace, formula)
    said = composition(trace, formula, maker) if formula != str(size) else ""
    head = " = ".join(dict.fromkeys((str(size), on_screen(formula), with_grid(trace, formula))))
    added = " token" in said or said.endswith(" more")
    made = f"{'put there' if added else 'made'} by {_step_words(maker)}" if maker is not None else ""
    return f"{head}: {', '.join(filter(None, (said, made)))}".rstrip(": ")


def _step_words(stage: Stage) -> str:
    """cat in forward, vit.py:167; blocks.0.attn.qkv (Linear)."""
    where = f", {source_cell(stage.source).plain}" if stage.source else ""
    name = unnumbered(stage.name)
    return f"{f'{name} ({stage.operation})' if name == stage.module else _in_module(stage)}{where}"


def _in_module(stage: Stage) -> str:
    """cat in forward, with the source where that is short: getitem x[:, 0] in forward."""
    text = stage.source.text if stage.source else ""
    quoted = f" {text}" if stage.operation == "getitem" and len(text) <= LONGEST_QUOTED and "\n" not in text else ""
    return f"{stage.operation}{quoted} in {stage.module or 'forward'}"


def _print_sentence(text: str, console: Console) -> None:
    for line in wrap(text, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False):
        console.print(Text(line))


def _print_places(places: Iterable[str], console: Console) -> None:
    """Where it stands, repeated blocks counted; broken between the names."""
    phrases = [printable(place) for place in folded_places(list(places))]
    for line in joined_phrases(phrases, max(1, console.width - 2)).split("\n"):
        console.print(Text("  ").append_text(line), style=theme.SAME)


def print_shape(trace: Trace, shape: tuple[int, ...], console: Console) -> None:
    """Which step makes a shape of another one, where it stands, and what doubling each hyperparameter makes of it."""
    found = shape_makers(trace, shape)
    maker = found[0]
    spec = next(spec for spec in maker.outputs if spec.shape == shape)
    formula = " × ".join(map(on_screen, spec.dims))
    given = f" from {shapes_text(maker.inputs[:3])}" if maker.inputs else ""
    lost = lost_axis(maker)
    made = f"{shape_text(shape)} = {formula}: made{given} by {_step_words(maker)}"
    _print_sentence(
        f"{made}, which {lost}" if lost.startswith("takes") else f"{made}{f': {lost}' * bool(lost)}", console
    )
    _print_places(merged_places(one.name or "the model" for one in found), console)
    console.print()
    for knob in doublings(trace, list(dict.fromkeys(spec.dims))):
        if knob.sizes:
            sizes = [knob.sizes.get(dim, size) for dim, size in zip(spec.dims, spec.shape, strict=True)]
            console.print(Text(f"doubling {knob.hyperparameter} makes {shape_text(sizes)}"))


def print_parameter(parameter: Parameter, console: Console) -> None:
    """pos_embed: a parameter of 1×197×768 = 1 × n+1 × dim."""
    formula = " × ".join(map(on_screen, parameter.dims))
    console.print(Text(f"{parameter.name}: a parameter of {shape_text(parameter.shape)} = {formula}"))


def print_symbol(trace: Trace, name: str, console: Console) -> None:
    """n = h·w = 14·14 = 196: patches, and where its size stands."""
    symbol = trace.symbols[name]
    console.print(Text(f"{name}: {symbol.meaning}", theme.TITLE))
    print_size(trace, symbol.value, console)
