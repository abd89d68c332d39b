"""A small real site, built by Sphinx and by MkDocs, shows a trace, and fails when the model's shapes change."""

import subprocess
import sys

import pytest
from helpers.commands import environment

MODEL = """import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, image_size=8, dim=8):
        super().__init__()
        self.up = nn.Conv2d(3, {} * dim, 4, 4)

    def forward(self, x):
        return self.up(x)
"""

RST = """Site
====

.. vit-trace:: tiny.py:Tiny
   :set: image_size=16 dim=12
   :shapes: shapes.json

.. vit-trace:: tiny.py:Tiny
   :view: {}
   :set: dim=4
"""

MARKDOWN = """# Site

```vit-trace tiny.py:Tiny shapes=shapes.json
image_size=16
dim=12
```

```vit-trace tiny.py:Tiny view={}
dim=4
```
"""


def sphinx(folder):
    (folder / "conf.py").write_text('extensions = ["vit_trace.documents.sphinx"]\n')
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", folder, folder / "out"]
    return subprocess.run(command, capture_output=True, text=True, env=environment()), folder / "out" / "index.html"


def mkdocs(folder):
    site = folder.parent / "mkdocs.yml"
    site.write_text("site_name: site\nplugins: [vit-trace]\ntheme: {name: null}\n".replace("{name: null}", "mkdocs"))
    site.write_text(f"{site.read_text()}docs_dir: {folder.name}\n")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-f", site, "-d", folder.parent / "out"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=folder.parent)
    return done, folder.parent / "out" / "index.html"


BUILDERS = {"sphinx": (sphinx, "index.rst", RST), "mkdocs": (mkdocs, "index.md", MARKDOWN)}


def site(name, tmp_path, view):
    """A folder with a model and a page that shows it; with how it is built, and the page's name and text."""
    pytest.importorskip(name)
    build, page, text = BUILDERS[name]
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "tiny.py").write_text(MODEL.format(4))
    (folder / page).write_text(text.format(view))
    return build, folder, page, text


@pytest.mark.parametrize("name", BUILDERS)
def test_a_site_shows_a_trace_until_its_shapes_change(name, tmp_path):
    build, folder, page, text = site(name, tmp_path, "drawing")
    done, made = build(folder)
    assert done.returncode == 0, done.stderr
    shown = made.read_text()
    assert "2×48×4×4" in shown and "4·dim" in shown and 'class="flow ' in shown
    assert '"up": "2×48×4×4"' in (folder / "shapes.json").read_text()
    (folder / "tiny.py").write_text(MODEL.format(5))
    (folder / page).write_text(text.format("page"))  # Sphinx reads again only what has changed
    done, _ = build(folder)
    assert done.returncode != 0
    assert "up: 2×48×4×4 before, 2×60×4×4 now" in done.stderr


@pytest.mark.parametrize("name", BUILDERS)
def test_a_mistake_in_a_page_is_said_with_its_line(name, tmp_path):
    build, folder, page, _ = site(name, tmp_path, "tabel")
    done, _ = build(folder)
    assert done.returncode != 0
    assert f"{page}:8: view tabel: one of table, tree, source, drawing, page" in done.stderr
