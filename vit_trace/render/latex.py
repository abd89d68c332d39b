"""Writes a trace as a LaTeX table, with the rules of booktabs. What the model named is escaped."""

import re

from vit_trace.base.trace import Trace
from vit_trace.render.columns import RIGHT
from vit_trace.render.legible import printable
from vit_trace.render.tabular import TableLine, document_table
from vit_trace.view.screen import Screen
from vit_trace.view.summary import legend, title, totals

CODE = ("stage", "operation", "source")
"""Columns in a typewriter's letters."""

SIGNS = {
    **{sign: f"\\{sign}" for sign in "{}$&#%_"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\char34{}",
    "'": r"\char39{}",
    "`": r"\char96{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "÷": r"$\div$",
    "→": r"$\rightarrow$",
    "…": r"\ldots{}",
    "✗": r"$\otimes$",
    "⌈": r"$\lceil$",
    "⌉": r"$\rceil$",
    "ᵀ": r"$^{\top}$",
    "—": r"\textemdash{}",
    **{raised: f"$^{{{power}}}$" for power, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}
"""Character -> what LaTeX prints it with, in every encoding of its fonts."""

SIGN = re.compile("|".join(map(re.escape, SIGNS)))


def latex_table(trace: Trace, screen: Screen) -> str:
    """A tabular; its model, symbols and totals stand before it as comments."""
    table = document_table(trace, screen)
    columns = "".join("r" if name.split()[0] in RIGHT else "l" for name in table.heads)
    said = (" · ".join(title(trace)), " · ".join(totals(table.outline)), ", ".join(legend(table.outline)))
    failure = [f"failed: {trace.failure.message}"] if trace.failure is not None else []
    about = [f"% {printable(text)}" for text in (*filter(None, said), *failure, r"needs \usepackage{booktabs}")]
    rows = [rf"{' & '.join(_cell(line, name) for name in table.heads)} \\" for line in table.lines]
    heads = rf"{' & '.join(map(latex_text, table.heads.values()))} \\"
    body = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        heads,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*about, *body, ""])


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return re.sub("-(?=-)", "-{}", SIGN.sub(lambda found: SIGNS[found[0]], printable(text)))  # two are not one dash


def _cell(line: TableLine, name: str) -> str:
    """A cell in braces, so that a row may begin with [ or *, which would belong to the end of the row before."""
    text = ", ".join(latex_text(one) for one in line.cells[name] if one)
    lead = rf"\hspace*{{{line.level}em}}" if name == "stage" and line.level else ""
    return (
        rf"{lead}\texttt{{{text}}}" if text and name in CODE else f"{{{text}}}" if text.startswith(("[", "*")) else text
    )
