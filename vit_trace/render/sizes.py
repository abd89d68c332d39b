"""Shows which numbers each setting may have: one rule a row, and below it what happens outside."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vit_trace.check.sizes.report import Asked, Example, SizeRule, SizesReport
from vit_trace.render import theme
from vit_trace.render.cells import borderless
from vit_trace.render.legible import printable


def print_sizes(report: SizesReport, console: Console) -> None:
    """Print the values asked for, the rules, and notes."""
    for one in report.asked:
        for text in _answer(one):
            console.print(text)
    if report.rules:
        console.print(_rule_table(report.rules))
    layers = [f"tried with one layer or two ({', '.join(report.layers)})"] if report.layers else []
    for note in (*report.notes, *layers):
        console.print(Text(f"note: {printable(note)}", theme.SAME))


def _rule_table(rules: tuple[SizeRule, ...]) -> Table:
    table = borderless()
    table.add_column(overflow="fold")
    table.add_column(justify="right", overflow="fold")
    table.add_column(overflow="fold")
    for rule in rules:
        text = Text(printable(_words(rule)))
        for one in rule.outside:
            text.append(f"\n{printable(_example(one))}", theme.SAME)
        table.add_row(Text(printable(name_of(rule.names)), theme.HEADING), str(rule.value), text)
    return table


def _words(rule: SizeRule) -> str:
    """The rule; for sides of an image also whether they have to be equal."""
    if not rule.rule:
        works = ", ".join(map(str, rule.works[:12]))
        head = "the budget ended the search" if rule.cut else "no simple rule"
        return f"{head}: of {rule.tried} tried, {works or 'none'} work{'s' * (len(rule.works) == 1)}"
    sides = "all sides" if len(rule.names) > 2 else "height and width"
    if rule.together:
        return f"{rule.rule}; {sides} equal"
    return f"{rule.rule}; {sides} independently" if len(rule.names) > 1 and "only" not in rule.rule else rule.rule


def _example(one: Example) -> str:
    """225 drops pixels: …; 500 is refused at layers.0: …"""
    where = f" by {one.where}" if one.where and one.outcome == "refused" and one.where not in one.why else ""
    verb = f"is {one.outcome}" if one.outcome in ("refused", "unknown") else one.outcome
    return f"{one.value} {verb}{where}{f': {one.why}' if one.why else ''}"


def name_of(names: tuple[str, ...]) -> str:
    """img_size for its two sides; "input H, W"."""
    if len(names) == 1:
        return names[0]
    first = names[0]
    if first.startswith("input "):
        return f"input {', '.join(name.partition(' ')[2] for name in names)}"
    return first.partition("[")[0]


def _answer(one: Asked) -> list[Text]:
    """image_size=500: refused by patch_embed (…). Nearest that work: 496, 512"""
    head = f"{name_of(one.names)}={'×'.join(map(str, one.values or (one.value,)))}: "
    lines = [Text.assemble((printable(head), theme.TITLE), printable(_example(_as_example(one)).partition(" ")[2]))]
    if one.nearest:
        lines.append(Text(f"nearest that work: {', '.join(map(str, one.nearest))}"))
    return lines


def _as_example(one: Asked) -> Example:
    return Example(one.value, one.outcome, one.where, one.why)
