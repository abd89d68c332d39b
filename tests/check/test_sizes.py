"""Rules of `vit-trace sizes`, held to real CPU builds at numbers inside and outside: do they run, is a pixel unused?"""

import json
from pathlib import Path

import jsonschema
import pytest
import timm
import torch
from helpers.commands import call
from helpers.real_sizes import sample
from torch import nn

import vit_trace
from vit_trace.check.sizes.report import sizes_schema

OWN = '''
import torch
from torch import nn

class Rounded(nn.Module):
    """Strides that round up, and a table built with // 8."""
    def __init__(self, image_size=48, width=12, heads=3):
        super().__init__()
        self.heads, self.n = heads, (image_size // 8) ** 2
        self.stem = nn.Sequential(*[nn.Conv2d(3 if i == 0 else width, width, 3, 2, 1) for i in range(3)])
        self.table = nn.Parameter(torch.zeros(1, self.n, width))
        self.qkv = nn.Linear(width, 3 * width)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2) + self.table
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.head(x.transpose(1, 2).reshape(b, n, c).mean(1))

class Endless(nn.Module):
    """Loops, in one line, at any width but its own."""
    def __init__(self, width=8):
        super().__init__()
        while width != 8: pass
        self.stem = nn.Conv2d(3, width, 16, 16)

    def forward(self, x):
        return self.stem(x)

class Clip(nn.Module):
    """Frames in pairs, at most as many as there are positions."""
    def __init__(self, num_frames=8, patch_size=4, width=12):
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch_size, patch_size)
        self.time = nn.Parameter(torch.zeros(1, num_frames // 2, width))

    def forward(self, x):
        b, c, h, w = x.shape
        x = self.embed(x).mean((2, 3)).reshape(b, 1, -1)
        return x + self.time
'''


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own_sizes.py"
    path.write_text(OWN)
    return path


def uses_all(model: nn.Module, image: torch.Tensor) -> bool:
    """Whether a real forward runs and every pixel of the image has a part in its output."""
    image.requires_grad_(True)
    try:
        out = model.double().eval()(image)
    except Exception:  # whatever it raises: it does not run
        return False
    (grad,) = torch.autograd.grad((out * torch.rand_like(out)).sum(), image)
    return bool((grad.abs().sum((0, 1)) > 0).all())


def image(height, width):
    return torch.rand(1, 3, height, width, dtype=torch.float64)


def timm_vit(**values):
    size = values.get("img_size", 224)
    height, width = size if isinstance(size, tuple) else (size, size)
    try:
        return uses_all(timm.create_model("vit_tiny_patch16_224", depth=1, **values), image(height, width))
    except Exception:
        return False


@pytest.mark.parametrize(
    ("name", "words", "works"),
    [
        ("img_size", "multiples of patch_size = 16", lambda n: timm_vit(img_size=(n, 224))),
        ("num_heads", "divides embed_dim = 192: 1 2 3 4 6 8 12", lambda n: timm_vit(num_heads=n)),
        ("embed_dim", "multiples of num_heads = 3", lambda n: timm_vit(embed_dim=n)),
    ],
)
def test_a_vit_of_timm(name, words, works):
    (rule,) = vit_trace.sizes("timm:vit_tiny_patch16_224", name).rules
    assert rule.rule.startswith(words)
    for number in sample(rule.allowed(), rule.value, 5):
        assert works(number) == rule.allowed().holds(number), number


def test_strides_that_round_up_against_a_table_that_rounds_down(own):
    made = {}
    exec(compile(OWN, str(own), "exec"), made)
    rules = {rule.names[0]: rule for rule in vit_trace.sizes(f"{own}:Rounded", "image_size", "heads").rules}
    sizes = rules["image_size[0]"]
    assert sizes.rule == "multiples of 8" and sizes.together
    for number in sample(sizes.allowed(), 48, 8):
        assert uses_all(made["Rounded"](number), image(number, number)) == sizes.allowed().holds(number), number
    assert rules["heads"].rule == "divides width = 12: 1 2 3 4 6 12"


def test_a_value_that_does_not_work_says_why_and_what_is_near():
    (asked,) = vit_trace.sizes("timm:vit_tiny_patch16_224", at=["img_size=500"]).asked
    assert asked.outcome == "drops pixels" and asked.nearest[:2] == (496, 512)
    assert "the last 4 rows" in asked.why


def test_a_constructor_without_end_is_not_known_to_refuse(own):
    (rule,) = vit_trace.sizes(f"{own}:Endless", "width").rules
    assert not rule.rule and rule.works == (8,)
    assert [(one.outcome, one.why) for one in rule.outside] == [
        ("unknown", "its constructor runs more than 300,000 lines at other sizes")
    ]


def test_sides_that_differ_are_both_named(own, capfd):
    found = call(capfd, "sizes", f"{own}:Rounded", "--at", "image_size=40x48")
    assert found.code == 1 and "image_size=40×48: is refused" in found.out


def test_on_the_command_line(own, capfd):
    found = call(capfd, "sizes", f"{own}:Rounded", "heads", "--format", "json")
    report = json.loads(found.out)
    jsonschema.validate(report, sizes_schema())
    assert found.code == 0 and report["rules"][0]["divides"] == 12


def test_a_name_that_is_no_number_is_one_diagnostic(own):
    with pytest.raises(ValueError, match="there is no such whole number"):
        vit_trace.sizes(f"{own}:Rounded", "head_count_of_nothing")


def test_the_schema_is_as_in_the_package():
    path = Path(vit_trace.__file__).with_name("sizes_schema.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(sizes_schema()))
