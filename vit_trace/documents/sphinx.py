"""A directive for Sphinx: `extensions = ["vit_trace.documents.sphinx"]`, then `.. vit-trace:: model.py:ViT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.errors import SphinxError

from vit_trace.documents.block import ShapesChanged, embedded_block
from vit_trace.version import __version__


class _Refused(SphinxError):
    category = "vit-trace"


class TraceDirective(Directive):  # type: ignore[misc, unused-ignore]
    """`.. vit-trace:: SPEC` with the options view, set, width and shapes of `embedded_block`."""

    required_arguments = 1
    option_spec = dict.fromkeys(  # type: ignore[assignment, unused-ignore]
        ("view", "set", "width", "shapes"), directives.unchanged
    )

    def run(self) -> list[nodes.Node]:
        page = Path(self.state.document.settings.env.doc2path(self.state.document.settings.env.docname))
        try:
            found = embedded_block(self.arguments[0], self.options, page.parent)
        except (ShapesChanged, ValueError) as error:
            raise _Refused(f"{page.name}:{self.lineno}: {error}") from None
        if found.html:
            return [nodes.raw("", found.html, format="html")]
        return [nodes.literal_block(found.text, found.text, language="text")]


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls."""
    app.add_directive("vit-trace", TraceDirective)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}
