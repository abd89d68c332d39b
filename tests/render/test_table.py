"""The table of a trace: which columns a width has, what is sorted first, what the closing lines count."""

import re
from pathlib import Path

import pytest
from helpers.commands import call
from rich.text import Text

from vit_trace.base.words import flops_text
from vit_trace.cli.app import run
from vit_trace.dims.formula import on_screen
from vit_trace.render.columns import Cell, broken, fitted
from vit_trace.view.summary import share_text


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("table") / "reference.json"
    assert run(["-o", str(file)]) == 0
    return file


HEADS = {
    80: "stage operation shape params",
    100: "stage operation shape formula params",
    120: "stage operation shape formula params FLOPs/image",
    160: "stage operation shape formula params FLOPs/image mixes source",
}


@pytest.mark.parametrize("width", HEADS)
def test_the_width_alone_decides_which_columns_there_are(saved, capfd, width):
    _, out, _ = call(capfd, "show", saved, "--width", width)
    lines = out.splitlines()
    assert HEADS[width].split() in [line.split() for line in lines]
    assert max(map(len, lines)) <= width


def test_columns_are_shown_at_any_width_in_the_order_asked_for(saved, capfd):
    _, out, _ = call(capfd, "show", saved, "--columns", "stage,flops,shape", "--width", 80)
    assert ["stage", "FLOPs/image", "shape"] in [line.split() for line in out.splitlines()]
    code, _, err = call(capfd, "show", saved, "--columns", "stage,flop")
    assert code == 2 and "did you mean flops?" in err


DOTS = 6 * 2 * 5 * 16 * 65 * 65 * 64
"""FLOPs of q·kᵀ: two for each of 65·65·64 multiply-adds, in 16 heads, 6 layers, 5 images; of 35.2 G."""


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("params", ["to_qkv 6× 3.15 M 35 %", "fn.net.0 6× 2.10 M 23 %", "fn.net.3 6× 2.10 M 23 %"]),
        ("flops", ["to_qkv 6× 409 M 35 %", "fn.net.0 6× 273 M 23 %", "fn.net.3 6× 273 M 23 %"]),
    ],
)
def test_what_has_most_stands_first_with_its_share(saved, capfd, by, rows):
    """6·3·1024² of 53.6 M parameters are 35 %; so are their multiply-adds for 65 tokens of an image."""
    _, out, _ = call(capfd, "show", saved, "--sort", by, "--top", 3, "--columns", f"stage,{by}", "--width", 200)
    found = [" ".join(line.split()) for line in out.splitlines() if line.startswith("transformer.layers.0…5")]
    assert [re.sub(r"^transformer\.layers\.0…5\.(0\.fn\.|1\.)", "", line) for line in found] == rows


SMALL = (
    "--depth",
    2,
    "--dim",
    24,
    "--heads",
    2,
    "--mlp-dim",
    32,
    "--image-size",
    64,
    "--patch-size",
    16,
    "--batch-size",
    3,
)


def test_what_is_saved_for_backward_is_measured_and_sorted(capfd, tmp_path):
    """Softmax keeps its result: 3 images, 2 heads, 17·17 floats; GELU and the linear layer behind it 3·17·32 each."""
    file = tmp_path / "trace.json"
    code, _, _ = call(capfd, *SMALL, "-o", file)
    assert code == 0 and call(capfd, "show", file, "--sort", "saved").code == 2
    call(capfd, *SMALL, "--sort", "saved", "-o", file)
    _, out, _ = call(capfd, "show", file, "--sort", "saved", "--width", 120)
    found = {line.split()[0]: re.search(r"2× ([\d.]+ KiB)", line) for line in out.splitlines() if "2×" in line}
    kept = {name.partition(".0…1.")[2]: match[1] for name, match in found.items() if match}
    assert kept["0.fn.attend"] == f"{3 * 2 * 17 * 17 * 4 / 1024:.1f} KiB"
    assert kept["1.fn.net.1"] == kept["1.fn.net.3"] == f"{3 * 17 * 32 * 4 / 1024:.1f} KiB"
    shares = [float(share) for share in re.findall(r"([\d.]+) %$", out, flags=re.M)]
    assert shares == sorted(shares, reverse=True) and 97 < sum(shares) < 103
    assert "of saved activations" in out


def test_parameters_of_the_model_itself_have_a_row(capfd):
    out = call(capfd, *SMALL, "--sort", "params", "--width", 120).out
    assert re.search(rf"^the root .* {17 * 24 + 24} ", out, flags=re.M)


def test_a_part_has_its_own_totals(saved, capfd):
    _, out, _ = call(capfd, "show", saved, "--stage", "dots", "--width", 200)
    assert f"{flops_text(DOTS, 5)} (0.7 %)" in out and "0 parameters" in out and "mix features" not in out


@pytest.mark.parametrize(
    ("flops", "batch", "text"),
    [
        (70_255_312_896, 2, "17.6 GMACs (35.1 GFLOPs) per image, batch 2"),  # timm's table says 17.58 for ViT-B/16
        (500, None, "250 MACs (500 FLOPs) forward"),
    ],
)
def test_flops_are_said_as_papers_say_them(flops, batch, text):
    assert flops_text(flops, batch) == text


@pytest.mark.parametrize(
    ("formula", "screen"),
    [
        ("(h + 7)//8", "⌈h/8⌉"),
        ("(h + window - 1)//window", "⌈h/window⌉"),
        ("winh1*((H//p + winh1 - 1)//winh1)", "winh1·⌈H÷p/winh1⌉"),
        ("(h + 7)//9", "(h+7)÷9"),
        ("(H - p)//s + 1", "(H-p)÷s+1"),
        ("3*heads*dim_head", "3·heads·dim_head"),
    ],
)
def test_a_quotient_that_rounds_up_is_written_so(formula, screen):
    assert on_screen(formula) == screen


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("embeddings.patch_embeddings", 20, ["embeddings.", "patch_embeddings"]),
        ("b × n+1 × 3·heads·dim_head", 12, ["b × n+1 × 3", "·heads", "·dim_head"]),
        ("attn * 0.125", 8, ["attn", "* 0.125"]),
        ("relative_position_bias", 12, ["relative_", "position_", "bias"]),
        ("SwinTransformerBlock", 12, ["Swin", "Transformer", "Block"]),
    ],
)
def test_a_text_is_broken_between_names(text, width, lines):
    assert [line.plain for line in broken(Text(text), width)] == lines


def test_a_long_name_is_broken_only_where_nothing_else_helps():
    cells = {"stage": [Cell(Text("relative_position"))], "operation": [Cell(Text("view of it"))]}
    assert fitted(["stage", "operation"], cells, 24).widths == (17, 5)
    assert fitted(["stage", "operation"], cells, 18).widths[0] < 17


@pytest.mark.parametrize(("part", "text"), [(1, "33 %"), (0, ""), (0.09, "3.0 %"), (0.0001, "< 0.1 %"), (-1, "")])
def test_shares(part, text):
    assert share_text(part, 3) == text


def test_a_formula_below_stands_beside_what_is_left_of_a_broken_operation(capfd):
    """No line holds the rest of the operation alone."""
    lines = call(capfd, "--width", 80).out.splitlines()
    place = next(at for at, line in enumerate(lines) if "b c (h p1) (w p2) → b (h" in line)
    assert lines[place + 1].split() == "w) (p1 p2 c) b × n × c·p1·p2".split()
    assert lines[place + 1].index("c·p1·p2") + len("c·p1·p2") == lines[place].index("5×64×3072") + len("5×64×3072")
