"""A notebook shows a trace as a table that folds without any script, and its failure in place."""

import pytest
from helpers.browser import chromium, watched_page

import vit_trace

CELL = """
import torch, vit_trace
from torch import nn
class Model(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear({}, dim)
    def forward(self, x):
        return self.down(self.up(x))
vit_trace.trace(Model(), torch.zeros(2, 3, 8))
"""


@pytest.fixture(scope="module")
def outputs():
    """What the cells of a notebook gave: a trace that ran, one that failed."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(CELL.format(width)) for width in (16, 12)]
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [cell.outputs[-1].data for cell in notebook.cells]


def test_both_are_given_as_text_and_as_html(outputs):
    ran, failed = outputs
    assert ran["text/plain"].startswith("Model") and "2×3×16" in ran["text/plain"]
    assert "✗" in failed["text/plain"] and "fails here" in failed["text/html"]


def test_rows_fold_without_a_script(tmp_path):
    html = vit_trace.trace("timm:vit_tiny_patch16_224", depth=2)._repr_html_()
    assert "<script" not in html and len(html) < 60_000
    with chromium() as browser:
        page, said = watched_page(browser)
        (tmp_path / "cell.html").write_text(f"<meta charset=utf-8>{html}", encoding="utf-8")
        page.goto(f"file://{tmp_path}/cell.html")
        rows = page.locator(".row:visible").count()
        page.locator("summary", has_text="attn").first.click()
        assert 3 < page.locator(".row:visible").count() < rows
        assert "blocks.0…1 ×2" in page.inner_text(".vit-trace")
    assert said == []


def test_the_failure_stands_in_the_cell(outputs, tmp_path):
    with chromium() as browser:
        page, said = watched_page(browser)
        (tmp_path / "cell.html").write_text(f"<meta charset=utf-8>{outputs[1]['text/html']}", encoding="utf-8")
        page.goto(f"file://{tmp_path}/cell.html")
        assert page.inner_text("pre").startswith("error[linear]: down takes 12 features, its input 2×3×16 has 16")
        assert page.locator(".failed").count() == 1
    assert said == []
