"""Traces of one model side by side: each column holds what a trace at those values has."""

import re

import pytest
from helpers.commands import call

SMALL = ("--dim", 24, "--depth", 2, "--heads", 2, "--mlp-dim", 32, "--num-classes", 5, "--batch-size", 2)


@pytest.fixture
def saved(capfd, tmp_path):
    file = tmp_path / "trace.json"
    call(capfd, *SMALL, "--image-size", 64, "--patch-size", 16, "-o", file)
    return file


def shapes_of(capfd, *arguments):
    """The shapes of a trace of its own, row by row."""
    out = call(capfd, *SMALL, *arguments, "--columns", "stage,shape", "--width", 100).out
    return re.findall(r"\d+(?:×\d+)+$", out.partition("\n\n")[2].partition("\n\n")[0], flags=re.M)


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (("--with", "patch_size=8", "--compare"), [("--patch-size", 16), ("--patch-size", 8)]),
        (("--with", "patch_size=8,32"), [("--patch-size", 8), ("--patch-size", 32)]),
        (
            ("--with", "patch_size=8", "--with", "dim=48", "--compare"),
            [("--patch-size", 16), ("--patch-size", 8, "--dim", 48)],
        ),
    ],
)
def test_each_column_is_the_trace_at_those_values(capfd, saved, words, others):
    code, out, _ = call(capfd, "show", saved, *words, "--width", 100)
    _, rows, differs = re.split(r"\n\n(?=stage|what)", out)
    columns = [re.findall(r"(?<![×\d])\d+(?:×\d+)+(?![×\d])", row) for row in rows.splitlines()[1:]]
    columns = [one for one in columns if one]
    assert code == 0 and {len(one) for one in columns} == {2}
    for place, other in enumerate(others):
        assert [one[place] for one in columns] == shapes_of(capfd, *other, "--image-size", 64)
    assert "parameters" in differs and "pos_embedding" in differs


def test_what_differs_is_counted(capfd, saved):
    differs = call(capfd, "show", saved, "--with", "image_size=128", "--compare", "--width", 100).out.partition(
        "what differs"
    )[2]
    assert re.search(r"^n +16 +64 +×4$", differs, flags=re.M)
    assert re.search(r"^pos_embedding +1×17×24 +1×65×24 +×3.82$", differs, flags=re.M)
    assert "dim" not in differs and "classes" not in differs


@pytest.mark.parametrize(
    "words",
    [
        ("--compare",),
        ("--with", "dim=48", "--compare", "--format", "json"),
        ("--with", "dim=24,48", "--view", "source"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(capfd, saved, words):
    code, out, err = call(capfd, "show", saved, *words)
    assert (code, out) == (2, "") and "error[" in err


MODELS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, dim=24, depth=3, wide=1):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, 8, 8)
        self.blocks = nn.ModuleList([nn.Linear(dim, dim) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x).mean(1)

class Classifier(Net):
    def __init__(self, dim=48, depth=3):
        super().__init__(dim, depth)
        self.head = nn.Linear(dim, 7)

    def forward(self, x):
        return self.head(super().forward(x))
"""


def test_two_models_are_told_apart(capfd, tmp_path):
    """Only what differs: hyperparameters that both have, totals, and the step that one of them lacks."""
    (tmp_path / "nets.py").write_text(MODELS)
    net = f"{tmp_path}/nets.py:Net"
    code, out, _ = call(
        capfd, net, "--compare", f"{tmp_path}/nets.py:Classifier", "--input", "2x3x32x32", "--width", 200
    )
    said = dict(re.findall(r"^(\S+) +(.+)$", out.partition("what differs")[2].partition("\n")[2], re.M))
    assert code == 0 and said["dim"].split() == ["24", "48", "×2"] and said["head"] == "Linear 2×7"
    assert not said.keys() & {"depth", "embed", "norm", "blocks.0"}  # as many layers, the same steps
    code, out, _ = call(capfd, net, "--compare", net, "--input", "2x3x32x32")
    assert code == 0 and "nothing differs: the same stages, shapes and hyperparameters\n" in out
    assert call(capfd, net, "--compare", net, "--view", "tree", "--input", "2x3x32x32").code == 2
