"""What a block of a page shows, and whether the shapes are still those that the page was written for."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import vit_trace
from vit_trace.base.words import shape_text

VIEWS = ("table", "tree", "source", "drawing", "page")

MOST_SAID = 5
"""Changed stages that are named; of others only the number is said."""


class ShapesChanged(Exception):
    """The model makes other shapes than those on record; the message names the first stages."""


class Block(NamedTuple):
    """A block of a page: text as it stands on a screen, or HTML."""

    text: str = ""
    html: str = ""


def embedded_block(spec: str, options: Mapping[str, str], folder: Path) -> Block:
    """The block for a spec. Paths in it, and that of the recorded shapes, are relative to a folder.

    Args:
        spec: the model, as on the command line.
        options: `view`, one of VIEWS; `width` in columns; `set`, as `img_size=384 depth=2`; `shapes`, a JSON file that
            is written where there is none, and compared with where there is one.
        folder: where the page lies.

    Raises:
        ShapesChanged: the shapes are not those on record.
        ValueError: the model cannot be built, or an option is none; the message says what works.
    """
    view = options.get("view", "table")
    if view not in VIEWS:
        raise ValueError(f"view {view}: one of {', '.join(VIEWS)}")
    path, colon, name = spec.partition(".py:")
    if colon and (folder / f"{path}.py").exists():
        spec = f"{folder / path}.py:{name}"
    settings: dict[str, Any] = dict(one.split("=", 1) for one in options.get("set", "").split() if "=" in one)
    trace = vit_trace.trace(spec, source=view == "source", **settings)
    if "shapes" in options:
        require_shapes(trace, folder / options["shapes"])
    width = int(options.get("width", "100"))
    if view == "page":
        held = html.escape(trace.to_html(), quote=True)
        return Block(
            html=f'<iframe class="vit-trace" title="trace" width="100%" height="720" srcdoc="{held}"></iframe>'
        )
    if view == "drawing":
        return Block(html=f'<div class="vit-trace">{trace.to_svg()}</div>')
    return Block(text={"table": trace.table, "tree": trace.tree, "source": trace.source}[view]().to_text(width))


def require_shapes(trace: vit_trace.Trace, file: Path) -> None:
    """Raise ShapesChanged where a trace has other shapes than a file records; write the file where there is none."""
    made = {stage.name or "(root)": ", ".join(map(shape_text, stage.shapes)) for stage in trace}
    if not file.exists():
        file.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    changed = [
        f"{name}: {before.get(name, 'not there')} before, {made.get(name, 'not there')} now"
        for name in dict.fromkeys((*before, *made))
        if before.get(name) != made.get(name)
    ]
    if changed:
        more = f"; and {len(changed) - MOST_SAID} more" if len(changed) > MOST_SAID else ""
        told = "; ".join(changed[:MOST_SAID])
        raise ShapesChanged(f"{trace.target.spec}: {told}{more}. Where that is meant, remove {file.name}")
