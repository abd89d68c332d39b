"""Makes what the documentation shows: the output of its commands, the pictures, the pages of the reference.

    python docs/make.py                     everything, in place (some minutes)
    python docs/make.py reference           only the pages made from the program: options, docstrings, schemas (seconds)
    python docs/make.py docs/tutorial.md    only the commands of these pages

A block of a page that begins with ```console holds commands, each behind `$ `, and what they print. They run in order,
in a folder that holds only `configs` and `examples`, on a screen of 100 columns.
"""

from __future__ import annotations

import functools
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SITE = "https://github.com/vit-trace/vit-trace/blob/main/"
WIDTH = 100
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)

PICTURES = {
    "crash": "vit-trace examples/transposed.py:Net",
    "trace": "vit-trace configs/vit_b_16.yaml",
}
"""Name of a picture -> the command whose screen it is."""


def pages() -> list[Path]:
    """The pages that are written by hand."""
    made = {DOCS / "index.md", DOCS / "diagnostics.md"}
    return [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if page not in made)]


def folder() -> tempfile.TemporaryDirectory[str]:
    """A folder to run commands in, which holds what they name."""
    made = tempfile.TemporaryDirectory(prefix="docs")
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, Path(made.name) / name, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def run(command: str, place: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of a page with all that it prints, in the order in which a terminal shows it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "PYTHONPATH")}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    kept |= {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH), "TERM": "xterm-256color"} | variables
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=kept,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    printed = done.stdout.replace(f"{ROOT}/", "").strip("\n")  # as at the root of the repository
    done.stdout = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return done


def shown(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output that the page shows."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def refreshed(page: str, place: str) -> str:
    """The page with what its commands print now."""

    def again(found: re.Match[str]) -> str:
        printed = [f"$ {command}\n{run(command, place).stdout}" for command, _ in shown(found[1])]
        return f"```console\n{''.join(printed)}```"

    return BLOCK.sub(again, page)


def picture(name: str, place: str) -> str:
    """The screen of a command as an SVG, in a font of the reader's machine."""
    import rich._export_format
    from rich.console import Console
    from rich.text import Text

    command = PICTURES[name]
    screen = Text.from_ansi(f"$ {command}\n{run(command, place, FORCE_COLOR='1').stdout}")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(screen)
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", rich._export_format.CONSOLE_SVG_FORMAT, flags=re.S)
    form = form.replace("Fira Code, monospace", "Menlo, Consolas, 'DejaVu Sans Mono', monospace")
    return console.export_svg(title="", code_format=form, unique_id=name)


# -- pages of the reference ----------------------------------------------------------------------------------------


def index_page() -> str:
    """The README as the first page of the site: its links lead to pages of the site or to files of the repository."""

    def target(found: re.Match[str]) -> str:
        link = found[2]
        here = link[5:] if link.startswith("docs/") else link if "://" in link or link[:1] == "#" else SITE + link
        return f"{found[1]}{here})"

    return re.sub(r"(\]\()([^)\s]+)\)", target, (ROOT / "README.md").read_text())


def commands_page(place: str) -> str:
    """What `--help` says of every verb."""
    from vit_trace.cli.verbs import verb_names

    parts = ["# Commands\n\nMade from the program: what `--help` says.\n"]
    for words in ("", *verb_names()):
        command = " ".join(filter(None, ("vit-trace", words, "--help")))
        parts.append(f"## {words or 'vit-trace'}\n\n```text\n{run(command, place).stdout}```\n")
    return "\n".join(parts)


def python_page() -> str:
    """The names of `vit_trace.__all__`, with their docstrings."""
    import vit_trace

    parts = ["# Python\n\nMade from the docstrings of `vit_trace`.\n"]
    for name in vit_trace.__all__:
        value = getattr(vit_trace, name)
        if name == "__version__":
            continue
        signature = (
            "" if inspect.isclass(value) else re.sub(r"'(?=[\w .\[\]|]+'?)|'", "", str(inspect.signature(value)))
        )
        parts.append(f"## `{name}{signature}`\n\n{_prose(inspect.getdoc(value) or '')}\n")
        if inspect.isclass(value):
            parts.append(f"Its fields are those of [the JSON](json.md#trace). Methods: {', '.join(_methods(value))}.\n")
            stage = value.__getitem__.__globals__["TracedStage"]
            parts.append(f"{inspect.getdoc(stage)} It has {', '.join(_methods(stage))}.\n")
    return "\n".join(parts)


def _methods(kind: type) -> Iterator[str]:
    own = (one for one in kind.__mro__ if one.__module__.startswith("vit_trace"))
    for name, value in {name: value for one in own for name, value in vars(one).items()}.items():
        if isinstance(value, (property, functools.cached_property)) or inspect.isfunction(value):
            about = (inspect.getdoc(value) or "").partition("\n")[0].rstrip(".")
            call = "()" if inspect.isfunction(value) else ""
            if not name.startswith("_"):
                yield f"`{name}{call}` ({about[:1].lower()}{about[1:]})" if about else f"`{name}{call}`"


def _prose(text: str) -> str:
    """A docstring as Markdown: what is listed under Args and Raises as a list."""
    text = re.sub(r"^(Args|Raises):$", lambda found: f"**{found[1]}**\n", text, flags=re.M)
    return re.sub(r"^    (\S[^:\n]*): ", r"- `\1`: ", text, flags=re.M).replace("\n        ", "\n  ")


def json_page() -> str:
    """The fields of every document that vit-trace writes, from their JSON Schemas."""
    parts = [
        "# JSON\n\nMade from the schemas that vit-trace carries. Lines count from 1, columns from 0. A formula is\n"
        "written as Python would (`3*heads*dim_head`); a size without a formula is its number as text. FLOPs are\n"
        "those of the whole batch, two for each multiply-add.\n"
    ]
    for file, about in (
        ("schema.json", "A trace: `vit-trace --format json`"),
        ("check_schema.json", "Verdicts: `vit-trace check --format json`"),
        ("sizes_schema.json", "Rules: `vit-trace sizes --format json`"),
    ):
        schema = json.loads((ROOT / "vit_trace" / file).read_text())
        parts.append(f"## {about}\n\n[{file}]({SITE}vit_trace/{file})\n")
        parts += [_fields(name, one) for name, one in schema["$defs"].items() if one.get("properties")]
    return "\n".join(parts)


def _fields(name: str, schema: dict[str, Any]) -> str:
    about = inspect.cleandoc(schema.get("description", ""))
    rows = [
        f"| `{field}` | {_kind(one)} | {'' if field in schema.get('required', ()) else _default(one)} |"
        for field, one in schema["properties"].items()
    ]
    return f"### {name}\n\n{about}\n\n| field | type | if absent |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _default(schema: dict[str, Any]) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def _kind(schema: dict[str, Any]) -> str:
    """A type in words: list of [Stage](#stage)."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "prefixItems" in schema:
        return f"[{', '.join(map(_kind, schema['prefixItems']))}]"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, dict) else "object"
    return str(schema.get("type", "any"))


def symbols_table() -> str:
    """The symbols that models have, from the built-in ViT and from the roles of other models."""
    from vit_trace.config import ViTConfig
    from vit_trace.targets.builtin import config_symbols
    from vit_trace.targets.knobs import SYMBOLS

    found = {name: (one.meaning, one.formula or "") for name, one in config_symbols(ViTConfig()).items()}
    for one in SYMBOLS.values():
        found.setdefault(one[0], (one[1], ""))
    rows = [
        f"| `{name}` | {meaning} | {f'`{formula}`' if formula else ''} |" for name, (meaning, formula) in found.items()
    ]
    return "\n".join(("| symbol | meaning | formula |", "| --- | --- | --- |", *rows))


def reference(place: str) -> dict[Path, str]:
    """The pages that no hand has written."""
    found = {
        DOCS / "index.md": index_page(),
        DOCS / "reference" / "commands.md": commands_page(place),
        DOCS / "reference" / "json.md": json_page(),
        DOCS / "reference" / "python.md": python_page(),
    }
    notation = DOCS / "notation.md"
    table = f"<!-- symbols -->\n{symbols_table()}\n<!-- end -->"
    found[notation] = re.sub(r"<!-- symbols -->.*?<!-- end -->", lambda _: table, notation.read_text(), flags=re.S)
    return found


def main(wanted: Sequence[str]) -> None:
    with folder() as place:
        for page in [Path(one) for one in wanted if one != "reference"] if wanted else pages():
            page.write_text(refreshed(page.read_text(), place))
        for path, text in reference(place).items() if not wanted or "reference" in wanted else ():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for name in () if wanted else PICTURES:
            (DOCS / "pictures" / f"{name}.svg").write_text(picture(name, place))


if __name__ == "__main__":
    main(sys.argv[1:])
