"""A plugin for MkDocs: `plugins: [vit-trace]`, then a fenced block that begins with ```vit-trace SPEC view=table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin

from vit_trace.documents.block import ShapesChanged, embedded_block

FENCE = re.compile(r"^```vit-trace[ \t]+(\S+)([^\n]*)\n((?:[^\n`][^\n]*\n)*)```[ \t]*$", re.MULTILINE)
"""A block: the spec and options as name=value on its first line; settings, one a line, inside."""


class TracePlugin(BasePlugin):  # type: ignore[type-arg, no-untyped-call, misc, unused-ignore]
    """Replaces blocks of pages; a changed shape ends the build."""

    def on_page_markdown(self, markdown: str, /, *, page: Any, **_: Any) -> str:
        folder = Path(page.file.abs_src_path).parent

        def shown(found: re.Match[str]) -> str:
            options = dict(one.split("=", 1) for one in found[2].split() if "=" in one)
            options["set"] = " ".join(line.strip() for line in found[3].splitlines())
            try:
                block = embedded_block(found[1], options, folder)
            except (ShapesChanged, ValueError) as error:
                line = markdown.count("\n", 0, found.start()) + 1
                raise PluginError(f"{page.file.src_path}:{line}: {error}") from None
            return block.html or f"```text\n{block.text}```"

        return FENCE.sub(shown, markdown)
