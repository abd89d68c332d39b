"""Shows the answer of `explain`: the formulas of a size and where it stands, or what a stage's sizes depend on."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from vit_trace.base.trace import Stage, Trace
from vit_trace.dims.explain import bracketed, doublings, formulas_of, meanings
from vit_trace.dims.formula import on_screen, parse
from vit_trace.render import theme
from vit_trace.render.cells import borderless, formula_cell, shape_cell, source_cell

COUNTS = {1: "one meaning", 2: "two meanings", 3: "three meanings", 4: "four meanings"}


def print_stages(trace: Trace, stages: Sequence[Stage], console: Console) -> None:
    """Each stage's tensors with their formulas, and its output with each hyperparameter doubled."""
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    for place, stage in enumerate(stages):
        if place:
            console.print()
        console.print(Text(f"{stage.name or 'the model'}  ", theme.TITLE).append(stage.pattern or stage.operation))
        if stage.source:
            console.print(Text(f"  {source_cell(stage.source)}  {stage.source.text}", theme.SAME))
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
    """3072 has two meanings in this model: …, and what doubling each hyperparameter makes of them."""
    found = meanings(trace, size)
    count = COUNTS.get(len(found), f"{len(found)} meanings")
    console.print(Text(f"{size} has {count} in this model", theme.TITLE))
    table = borderless(indent=2)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for meaning in found:
        formula = on_screen(meaning.formula)
        head = Text(formula, theme.CHANGED)  # 3·heads·dim_head = 3·16·64
        head.append("" if meaning.numbers in (formula, str(size)) else f" = {meaning.numbers}")
        table.add_row(head, Text(", ".join(meaning.places)))
    console.print(table)
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
