"""Tables for documents: Markdown as markdown-it renders it, LaTeX as pylatexenc reads it, CSV as csv and pandas do."""

import csv
import html
import io
import re

import pytest
import torch
from helpers.commands import call
from markdown_it import MarkdownIt
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from torch import nn

import vit_trace

HOSTILE = (
    *("a|b", "a\\|b", "`x`", "\\", "<script>alert(1)</script>", "[a](javascript:alert(1))", "![a](x)", "&copy;", "$x$"),
    *("=cmd()", "+1", "-1", "@user", "\t=1", "*a*", "_a_", "__a__", "~~a~~", "a\nb", "\x1b[31m", "a b  ", "`` `"),
    *(
        "\\input{x}",
        "\\write18{x}",
        "%",
        "^^M",
        "{",
        "}",
        "\\end{tabular}",
        "&",
        "[x]",
        '"',
        "''",
        "https://a",
        "www-a",
    ),
    *("é", "注意", "⌈n⌉", "--", "\u202e", "\\\\[1em]", ":a:", "\\|`", "x\\"),
)
"""Names of stages: a module may be called anything that has no dot."""


@pytest.fixture(scope="module")
def hostile():
    model = nn.ModuleDict({name: nn.Linear(4, 4) for name in HOSTILE})
    model.forward = lambda x: [layer(x) for layer in model.values()]
    return vit_trace.trace(model, torch.zeros(2, 4), formulas=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "trace.json"
    path.write_text(vit_trace.trace("configs/vit_b_16.yaml", depth=2).to_json())
    return path


def page_of(text):
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def cells_of(page):
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)]
    return [[html.unescape(re.sub(r"</?code>", "", cell)) for cell in row] for row in rows[1:]]


def seen(name):
    """A name as screens write it: what is not printable as an escape."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in name)


def test_markdown_shows_every_name_as_it_is(hostile):
    page = page_of(hostile.to_markdown(fold=False))
    assert set(re.findall(r"</?(\w+)", page)) == {"h1", "p", "table", "thead", "tbody", "tr", "th", "td", "code"}
    names = [row[0].strip() for row in cells_of(page)]
    assert [name for name in names if name not in ("x", "output")] == [seen(name).strip() for name in HOSTILE]


def test_latex_prints_every_name_and_calls_nothing(hostile):
    text = hostile.to_tex(fold=False)
    nodes, _, _ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    assert [node.environmentname for node in nodes if isinstance(node, LatexEnvironmentNode)] == ["tabular"]
    body = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    words = "texttt textbackslash textasciicircum textasciitilde textbar textless textgreater char times lceil rceil"
    assert set(re.findall(r"\\([a-z]+)", body)) <= {*words.split(), "hspace", "ldots"}
    plain = re.sub(r"\\char(\d+)\{\}", lambda found: f"{{{PRINTED[found[1]]}}}", body)
    rows = [row.partition(" & ")[0] for row in plain.replace(r"\&", "AND").split(" \\\\\n")]
    signs = {"texttt": "%s", "textbar": "|", "textless": "<", "textgreater": ">", "textasciicircum": "^"}
    known = get_default_latex_context_db()
    known.add_context_category("signs", prepend=True, macros=[MacroTextSpec(*sign) for sign in signs.items()])
    printed = [LatexNodes2Text(latex_context=known).latex_to_text(row) for row in rows]
    for word, sign in {"AND": "&", "QUOTE": '"', "APOSTROPHE": "'", "GRAVE": "`"}.items():
        printed = [name.replace(word, sign) for name in printed]
    assert printed[1:-2] == [seen(name).strip() for name in HOSTILE]


PRINTED = {"34": "QUOTE", "39": "APOSTROPHE", "96": "GRAVE"}


def test_csv_reads_back_and_computes_nothing(hostile):
    pandas = pytest.importorskip("pandas")
    text = hostile.to_csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [re.sub("^'(?=[=+@\\-])", "", row["stage"]) for row in rows[2:-1]] == list(map(seen, HOSTILE))
    assert not [value for row in rows for value in row.values() if value.startswith(("=", "+", "-", "@", "\t", "\r"))]
    frame = pandas.read_csv(io.StringIO(text), keep_default_na=False)
    assert frame.params.sum() == sum(
        parameter.numel() for parameter in nn.ModuleList(nn.Linear(4, 4) for _ in HOSTILE).parameters()
    )


def test_columns_add_up_to_the_totals_and_are_those_of_the_frame(saved):
    pandas = pytest.importorskip("pandas")
    trace = vit_trace.Trace.from_json(saved.read_bytes())
    frame = pandas.read_csv(io.StringIO(trace.to_csv()), keep_default_na=False)
    assert (frame.params.sum(), frame.flops.sum()) == (trace.totals.parameters, trace.totals.flops)
    own = trace.to_frame()
    assert own.params.sum() == trace.totals.parameters and len(own) == len(frame) == len(trace)
    shapes = {stage.name: "; ".join("×".join(map(str, shape)) for shape in stage.shapes) for stage in trace}
    assert dict(zip(own.stage, own["shape"], strict=True)) == {
        name or "(root)": shape for name, shape in shapes.items()
    }


@pytest.mark.parametrize("screen", [(), ("--stage", "*norm*"), ("--levels", "1"), ("--sort", "params", "--top", "3")])
def test_the_page_has_the_rows_of_the_screen(saved, screen, capfd, tmp_path):
    """Stages and shapes, row by row; and the file is what stdout is."""
    words = ("show", str(saved), *screen)
    shown = call(capfd, *words, "--width", "100", "--columns", "stage,shape").out
    page = call(capfd, *words, "--columns", "stage,shape", "--format", "markdown", "-o", str(tmp_path / "a.md")).out
    assert page == (tmp_path / "a.md").read_text()
    rows = [" ".join(" ".join(row).split()) for row in cells_of(page_of(page))]
    table = shown.partition("\n\n")[2].partition("\n\n")[0].split("\n")[1:]
    assert rows == [" ".join(line.split()) for line in table] and len(rows) > 1


def test_views_and_failures_of_a_page(saved, capfd):
    tree = page_of(call(capfd, "show", str(saved), "--view", "tree", "--format", "markdown").out)
    assert '<pre><code class="language-text">' in tree and "├── " in tree and "<table>" not in tree
    failed = call(capfd, "trace", "--depth", "1", "--input", "2x3x288x288", "--format", "markdown")
    page = page_of(failed.out)
    assert failed.code == 1 and "error[broadcast]" in page.partition("<pre>")[2] and "<td><code>x ✗</code></td>" in page
    refused = call(capfd, "show", str(saved), "--view", "tree", "--format", "tex")
    assert refused.code == 2 and "--view table --format tex" in refused.err
