"""Shows what a checkpoint holds: one row per quantity, with where it is from or why it is unknown."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vit_trace.base.words import compact
from vit_trace.render import theme
from vit_trace.render.cells import borderless
from vit_trace.render.legible import printable
from vit_trace.weights.describe import Description
from vit_trace.weights.holding import Holding, heads_or_likely

UNKNOWN = "unknown"


def print_holding(held: Holding, console: Console) -> None:
    """Path and counts, the model's quantities, and how to build it."""
    taken = "".join(f"[{name!r}]" for name in held.taken)
    dtypes = ", ".join(f"{name} ×{count}" if len(held.dtypes) > 1 else name for name, count in held.dtypes.items())
    counts = f"{held.tensors} tensors · {compact(held.parameters)} parameters"
    head = f"{held.path}{taken} · {held.format} · {counts} · {dtypes}"
    console.print(Text(printable(head), theme.TITLE), soft_wrap=True)
    if held.published is not None:
        console.print(Text(printable(held.published)), soft_wrap=True)
    console.print()
    if held.model is None:
        console.print(Text("no Vision Transformer of a known layout: give a SPEC to compare it with"))
    else:
        rows = borderless()
        rows.add_column(no_wrap=True)
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(overflow="fold", style=theme.SAME)
        for name, value, note in _facts(held.model):
            style = theme.CHANGED if value != UNKNOWN else theme.SAME
            rows.add_row(Text(name), Text(value, style), Text(printable(note)))
        console.print(rows)
    for note in held.notes:
        console.print(Text.assemble(("note: ", "bold"), printable(note)))
    if held.spec is not None and held.model is not None:
        each = held.model.inner // heads_or_likely(held.model)
        sure = held.model.heads is not None or each >= 64
        how = "" if held.model.heads else f", with heads of {each} as in published models"
        console.print()
        console.print(Text(f"to build it{how if sure else ', with its number of heads for HEADS'}:", theme.SAME))
        words = held.spec if sure else _with_any_heads(held.spec, held.model.inner)
        console.print(_command(words, console.width))


def _with_any_heads(words: Sequence[str], inner: int) -> list[str]:
    """A command line with HEADS for the number of heads."""
    unknown = {"--heads": "HEADS", "--dim-head": f"{inner}/HEADS"}
    given = (unknown.get(before, word) for before, word in zip(("", *words), words, strict=False))
    return ["num_heads=HEADS" if word.startswith("num_heads=") else word for word in given]


def _command(words: Sequence[str], width: int) -> Text:
    """A command line for the shell, in lines of a width that end in a backslash; an option stays with its value."""
    lines, flag = ["vit-trace"], ""
    for word in map(printable, words):
        if word.startswith("--"):
            flag = f"{word} "
            continue
        if cell_len(f"{lines[-1]} {flag}{word} \\") > width:
            lines[-1:] = [f"{lines[-1]} \\", "   "]
        lines[-1] += f" {flag}{word}"
        flag = ""
    return Text("\n".join(lines))


def _facts(model: Description) -> list[tuple[str, str, str]]:
    """(quantity, value, where it is from or why it is unknown)."""
    how = model.how

    def size(pair: tuple[int, int] | None) -> str:
        return f"{pair[0]}×{pair[1]}" if pair else UNKNOWN

    grid = f"{size(model.grid)} patches" if model.grid else ""
    grid += f" and {model.extra} more" if model.extra else ""
    tokens = [word for word, has in (("class", model.cls), ("distillation", model.dist)) if has]
    tokens += [f"{model.registers} registers"] if model.registers else []
    return [
        ("named as in", model.library, f"after the prefix {model.prefix}" if model.prefix else ""),
        ("image", size(model.image), how.get("image", "the patch grid times the patch")),
        ("patch", size(model.patch), how.get("patch", "")),
        ("channels", str(model.channels or UNKNOWN), "assumed" if "channels" in model.assumed else ""),
        ("positions", str(model.positions or "none"), grid if model.positions else ""),
        ("tokens", ", ".join(tokens) or "patches only", ""),
        ("dim", str(model.dim), ""),
        ("depth", str(model.depth), ""),
        ("heads", str(model.heads or UNKNOWN), how.get("heads", "")),
        ("mlp_dim", str(model.mlp_dim or UNKNOWN), "two inner projections, one gates the other" if model.gated else ""),
        ("classes", str(model.classes or "none"), how.get("classes", "")),
    ]
