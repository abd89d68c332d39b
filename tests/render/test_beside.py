"""Traces of one model side by side: each column holds what a trace at those values has."""

import re

import pytest
import torch
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


def test_a_model_beside_itself_is_shown_as_it_is_and_with_the_flags(capfd, tmp_path):
    """Shapes of real forwards; the bytes are those that autograd packs away, but for parameters."""
    (tmp_path / "nets.py").write_text(MODELS)
    net, names = f"{tmp_path}/nets.py:Net", {}
    exec(MODELS, names)
    code, out, _ = call(capfd, net, "--compare", net, "--set", "dim=40", "--input", "2x3x32x32", "--width", 200)
    table, _, differs = out.partition("what differs")
    shapes = dict(re.findall(r"^(embed|norm) +(\S+ +\S+)", table, re.M))
    assert code == 0 and table.splitlines()[2].split() == ["stage", net, "dim=40", "formula"]
    for name in shapes:
        assert shapes[name].split() == [shape_of(names["Net"](dim), name) for dim in (24, 40)]
    kept = [f"{kept_by(names['Net'](dim)) / 2**10:.1f} KiB" for dim in (24, 40)]
    assert shapes.keys() == {"embed", "norm"} and f"saved activations {' '.join(kept)}" in " ".join(differs.split())


def test_flops_per_image_do_not_grow_with_the_batch(capfd):
    """Twice the layers take nearly twice as many, whatever the batch."""
    config = "configs/vit_ti_16.yaml"
    batch = call(capfd, config, "--compare", config, "--batch-size", 4).out
    depth = call(capfd, config, "--compare", config, "--batch-size", 4, "--depth", 24).out
    assert re.search(r"^b +1 +4 +×4$", batch, re.M) and "FLOPs per image" not in batch
    assert 1.9 < float(re.search(r"^FLOPs per image .*×([\d.]+)$", depth, re.M)[1]) < 2


def shape_of(model, name):
    found = []
    getattr(model, name).register_forward_hook(lambda _, __, out: found.append("×".join(map(str, out.shape))))
    model(torch.zeros(2, 3, 32, 32))
    return found[0]


def kept_by(model):
    x, kept = torch.zeros(2, 3, 32, 32), {}
    held = {one.data_ptr() for one in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda one: kept.setdefault(one.untyped_storage().data_ptr(), one) if one.data_ptr() not in held else one,
        lambda one: one,
    ):
        out = model(x)
    assert out.requires_grad
    return sum(one.untyped_storage().nbytes() for one in kept.values())


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_row_is_wider_than_the_screen_and_no_shape_is_broken(width, capfd, tmp_path):
    folder = tmp_path / "a_folder_whose_name_is_not_short"
    folder.mkdir()
    (folder / "nets.py").write_text(MODELS)
    net = f"{folder.relative_to(tmp_path)}/nets.py"
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        out = call(capfd, f"{net}:Net", "--compare", f"{net}:Classifier", "--input", "2x3x32x32", "--width", width).out
    out = out.partition("warning[")[0]
    assert max(map(len, out.splitlines())) <= width
    assert re.search(r"head +Linear 2×7$", out, re.M) and re.search(r"^dim +24 +48 +×2$", out, re.M)
