"""The listing of source that is laid out, stored or changed in ways a model's file may be: each was once got wrong."""

from pathlib import Path

import pytest
import torch
from helpers.commands import call, python_process
from rich.cells import cell_len
from test_listing import built, notes_of, python_block, shown
from torch import nn

from vit_trace.base.trace import Trace
from vit_trace.render.commented import python_file
from vit_trace.render.markdown import listing_page

HEAD = "import torch\nfrom torch import nn\n"


@pytest.fixture
def traced(tmp_path, monkeypatch, request):
    """The trace of `Net` in a file of the given text, on a meta input of 2×4, as a module of a name of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def trace(text: str | bytes, change: str = "") -> Trace:
        name = f"source_{abs(hash(request.node.name))}"
        file = tmp_path / f"{name}.py"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        module = __import__(name)
        if change:
            file.write_text(change)
        return built(module.Net, torch.zeros(2, 4, device="meta"))

    return trace


def forward(*lines: str) -> str:
    body = "".join(f"        {line}\n" for line in lines)
    return f"{HEAD}class Net(nn.Module):\n    wide = True\n    def forward(self, x):\n{body}"


LAID_OUT = {
    "a generator is one call, however often it goes on": (
        f"{HEAD}class Net(nn.Module):\n    def steps(self, x):\n        for i in range(3):\n            x = x + 1\n"
        "            yield x\n    def forward(self, x):\n        *_, x = self.steps(x)\n        return x\n",
        {"Net.steps": {"x =": ["x 2×4  ×3"], "yield": ["yields 2×4  ×3"], "def steps": ["x 2×4"]}},
    ),
    "the side of a conditional expression over lines": (
        forward("x = (x.mean(dim=0)", "     if not self.wide", "     else x[", "         :, 0])", "return x"),
        {"Net.forward": {":, 0])": ["took x[:, 0]", "x 2"]}},
    ),
    "an operand over lines": (
        forward("b = x.new_ones(1, 9)", "x = x + b[", "    :,", "    :4,", "]", "return x"),
        {"Net.forward": {"]": ["b[:, :4] 1×4", "→ x 2×4"]}},
    ),
    "a name bound twice is told once": (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.n = n = 3 * 4\n    def forward(self, x):\n        return x + 1\n",
        {"Net.__init__": {"self.n": ["n 12"]}},
    ),
    "what did not run on its line binds nothing": (
        forward("y = x[0]", "if not self.wide: y = None", "if self.wide: y = y[:2]", "return x"),
        {"Net.forward": {"if not": [], "if self.wide: y": ["y 2"]}},
    ),
    "a loop on one line": (
        forward("for _ in range(2): x = torch.cat((x, x))", "return x"),
        {"Net.forward": {"for": ["x 4×4", "x 8×4"]}},
    ),
    "elements made one after the other are no steps on the way": (
        forward("a, b = map(lambda t: t[:, 0], (x, torch.cat((x, x))))", "return a"),
        {"Net.forward": {"a, b": ["cat 4×4", "→ a 2", "→ b 4"]}},
    ),
    "a tuple of one": (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.n = (3,)\n    def forward(self, x):\n        return x + 1\n",
        {"Net.__init__": {"self.n": ["n (3,)"]}},
    ),
}


@pytest.mark.parametrize("case", LAID_OUT)
def test_notes(case, traced):
    text, facts = LAID_OUT[case]
    trace = traced(text)
    for name, lines in facts.items():
        assert {line: notes_of(trace, name, line) for line in lines} == lines
        (calls,) = {each.calls for each in trace.listing if f"{each.class_}.{each.function}" == name}
        assert calls == 1


UNRUN_END = {
    "a bracket after the last expression": "        y = (\n            x if self.wide else None\n        )\n",
    "code that never runs": "        return x\n        y = 3\n",
    "a branch that Python leaves out": "        if True:\n            return x\n        else:\n            return 1\n",
}


@pytest.mark.parametrize("case", UNRUN_END)
def test_a_function_is_listed_to_its_end(case, traced):
    text = forward() + UNRUN_END[case]
    (one,) = [each for each in traced(text).listing if each.function]
    assert one.problem == ""
    assert [line.text for line in one.lines] == text.splitlines()[4:]


def test_declarations_run_with_what_follows(traced):
    trace = traced("COUNT = 0\n" + forward("global COUNT", "y: int", "COUNT += 1", "return x"))
    assert all(line.ran for each in trace.listing for line in each.lines)


STORED = {
    "latin-1": ("# -*- coding: latin-1 -*-\n" + forward('self.name = "größe"  # für', "return x + 1")).encode(
        "latin-1"
    ),
    "byte order mark": b"\xef\xbb\xbf" + forward('self.name = "größe"', "return x + 1").encode(),
    "CRLF": forward('self.name = "größe"', "return x + 1").replace("\n", "\r\n").encode(),
    "form feed and line separators": forward('self.name = "größe"  # a\u2028b\x0bc', "\f", "return x + 1").encode(),
    "tabs": forward('self.name = "größe"', "return x + 1").replace("    ", "\t").encode(),
}


@pytest.mark.parametrize("case", STORED)
def test_the_python_file_runs(case, traced, tmp_path):
    trace = traced(STORED[case])
    assert notes_of(trace, "Net.forward", "return") == ["returns 2×4"]
    listing = tmp_path / "listing.py"
    listing.write_text(python_file(trace), encoding="utf-8")
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(listing.read_bytes(), str(listing), "exec"), scope)
    net = scope["Net"]()
    assert net(torch.ones(2)).tolist() == [2, 2] and net.name == "größe"
    compile(python_block(listing_page(trace, trace.listing)), "page", "exec")


CHANGES = {
    "a number": ("x * 2", "x * 3"),
    "a name": ("x * 2", "x * y"),
    "a line more": ("        return", "\n        return"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_function_changed_in_place_is_not_trusted(case, traced):
    text = forward("y = 1", "return x * 2")
    trace = traced(text, text.replace(*CHANGES[case]))
    (one,) = [each for each in trace.listing if each.function]
    assert one.problem == "its file has changed since it was imported"
    assert [str(note.kind) for line in one.lines for note in line.notes] == ["argument", "value", "return"]
    assert "│ returns 2×4" in shown(trace, 60)


def test_wide_characters_fit_the_width(traced):
    names = ", ".join(["画像"] * 30)
    trace = traced(forward("画像 = x + 1  # 注意 😀", f"y = torch.cat([{names}])", "return y"))
    for width in (60, 80, 100, 120):
        assert max(map(cell_len, shown(trace, width).splitlines())) <= width


def test_without_source_attributes_are_told_and_idle_numbers_are_not(capsys):
    scope: dict[str, type[nn.Module]] = {}
    text = (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.n = 12\n    def forward(self, x):\n        if x is None: x = 3\n        return x + 1\n"
    )
    exec(compile(text, "<stdin>", "exec"), scope | {"__name__": "typed"}, scope)
    trace = built(scope["Net"], torch.zeros(2, 4, device="meta"))
    lines = [line.strip() for line in shown(trace, 60).splitlines() if "│" in line]
    assert [line.replace(" ", "") for line in lines] == ["6│n12", "7│x2×4", "9│returns2×4"]


PACKAGE = {
    "__init__.py": "from .net import Net\n",
    "registry.py": (
        "NAMES = set()\ndef register(f):\n    assert f.__name__ not in NAMES\n    NAMES.add(f.__name__)\n    return f\n"
    ),
    "scale.py": "TWO = 2\n",
    "net.py": (
        f"{HEAD}from . import scale as s; from .scale import TWO\nfrom ..packaged import registry\n"
        "from .registry import register\n@register\nclass Net(nn.Module):\n    def forward(self, x):\n"
        "        return x * s.TWO * TWO\n"
    ),
}


def test_the_file_of_a_package_runs_beside_it(tmp_path, monkeypatch):
    top = tmp_path / "around"
    (top / "packaged").mkdir(parents=True)
    (top / "__init__.py").write_text("")
    for name, text in PACKAGE.items():
        (top / "packaged" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    from around.packaged import Net  # type: ignore[import-not-found]

    text = python_file(built(Net, torch.zeros(2, 4, device="meta")))
    assert "# @register\n" in text
    listing = tmp_path / "listing.py"
    listing.write_text(text + "assert Net()(torch.ones(1)).item() == 4\n", encoding="utf-8")
    done = python_process(listing)
    assert done.returncode == 0, done.stderr


def test_a_stage_that_is_not_there_is_refused_and_an_operation_is_found(tmp_path, capfd):
    saved = tmp_path / "trace.json"
    assert call(capfd, "--depth", "1", "--view", "source", "-o", saved).code == 0
    for format in ("rich", "markdown"):
        code, _, err = call(capfd, "show", saved, "--view", "source", "--format", format, "--stage", "zzz")
        assert code == 2 and "--stage zzz: no stage has such a name" in err
    for glob in ("dots", "Softmax", "*.dots"):
        code, out, _ = call(capfd, "show", saved, "--view", "source", "--stage", glob)
        assert code == 0
        assert "class Attention" in out and "class FeedForward" not in out


OTHERS = ["torchvision:vit_b_16", "hf:BeitConfig", "timm:vit_tiny_patch16_224"]


@pytest.mark.slow
@pytest.mark.parametrize("spec", OTHERS)
def test_the_file_of_a_library_runs(spec, tmp_path, capfd):
    pytest.importorskip({"hf": "transformers"}.get(spec.partition(":")[0], spec.partition(":")[0]))
    listing = tmp_path / "listing.py"
    assert call(capfd, spec, "--no-formulas", "--view", "source", "-o", listing).code == 0
    assert Path(listing).read_text().count("  # ") > 40
    done = python_process(listing)
    assert done.returncode == 0, done.stderr
