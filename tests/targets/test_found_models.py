"""Models in configs as people keep them: which model with which settings is found, or why none, and at which place.

A section of a page is a file; then a line for each model in it: its key (`.` is the whole file), its spec (`ViT` is the
built-in one), and settings with the line and column of each. `code line:column` where it is refused.
"""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.pages import Section, sections

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Source
from vit_trace.check.judge import judge_spec, specs_in
from vit_trace.check.many import InDirectory
from vit_trace.config.tree import value_of_node
from vit_trace.targets.found import models_in, named_by
from vit_trace.targets.model_found import ModelFound, setting_text
from vit_trace.targets.request import Request

CASES = sections(Path(__file__).parent / "pages")
SUFFIX = {"python": "py"}


def written(case: Section, folder: Path) -> Path:
    """The file of a case, with those that it names behind lines `#! NAME`."""
    file = folder / f"config.{SUFFIX.get(case.language, case.language)}"
    first, *others = case.text.split("#! ")
    for other in others:
        name, _, text = other.partition("\n")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    file.write_text(first)
    return file


def place(span: Source) -> str:
    name = Path(span.file).name
    return f"{'' if name.startswith('config.') else name + ':'}{span.line}:{span.column + 1}"


def said_of(one: ModelFound) -> str:
    if one.refused is not None:
        return f"{one.refused.code} {place(one.refused.span or one.at)}"
    if one.unknown:
        return f"{one.unknown[0].code} {place(one.unknown[0].span or one.at)}"
    nodes = dict(one.settings) or {key.text: value for key, value in one.entries}
    nodes |= {"image": one.image} if one.image is not None else {}
    settings = [f"{name}={setting_text(value_of_node(node))}@{place(node.span)}" for name, node in nodes.items()]
    return " ".join([one.key or ".", one.spec or "ViT", *sorted(settings)]).replace(", ", ",")


def found_in(spec: str, request: Request = Request()) -> list[str]:
    try:
        return [said_of(one) for one in models_in(spec, request)]
    except Refused as refused:
        return [f"{one.code} {place(one.span)}" for one in refused.diagnostics if one.span is not None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_models_of_a_file(case: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDE", "96")
    assert found_in(str(written(case, tmp_path))) == case.expected


HYDRA = "model:\n  name: vit_tiny_patch16_224\nnet:\n  _target_: timm.create_model\n  model_name: ${model.name}\n"
OVERRIDES = [
    ((), ("timm:vit_tiny_patch16_224", ())),
    (("net.img_size=384",), ("timm:vit_tiny_patch16_224", ("img_size=384",))),
    (("img_size=384",), ("timm:vit_tiny_patch16_224", ("img_size=384",))),
    (("model.name=vit_small_patch16_224",), ("timm:vit_small_patch16_224", ())),
]


@pytest.mark.parametrize(("assignments", "expected"), OVERRIDES)
def test_set_replaces_values_of_the_file_before_they_are_referred_to(assignments, expected, tmp_path: Path):
    (tmp_path / "c.yaml").write_text(HYDRA)
    found = named_by(f"{tmp_path / 'c.yaml'}:net", Request(assignments=assignments))
    assert (found.spec, found.request.assignments) == expected


TWO = (
    "net:\n  _target_: timm.create_model\n  model_name: vit_tiny_patch16_224\nvit:\n  dim: 96\n  depth: 2\n  heads: 3\n"
)


def test_one_of_several_models_has_to_be_named(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(TWO)
    with pytest.raises(Refused) as raised:
        named_by(str(tmp_path / "c.yaml"), Request())
    assert raised.value.diagnostics[0].help == ("--model-key net", "--model-key vit")
    assert named_by(str(tmp_path / "c.yaml"), Request(model_key="vit")).spec is None
    assert named_by(f"{tmp_path / 'c.yaml'}:net", Request()).spec == "timm:vit_tiny_patch16_224"


def test_own_code_is_not_imported_to_find_it_and_not_at_all_where_that_is_forbidden(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text("import torch\nraise SystemExit\nclass Net(torch.nn.Module):\n    pass\n")
    (tmp_path / "c.yaml").write_text("model:\n  _target_: nets.Net\n  dim: 4\n")
    assert named_by("c.yaml", Request()).spec == "nets:Net"
    with pytest.raises(Refused, match="--no-import forbids"):
        named_by("c.yaml", Request(no_import=True))


NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.layer = nn.Conv2d(3, width, 4)
    def forward(self, x):
        return self.layer(x)
"""


def test_own_code_that_was_imported_is_said(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nets.py").write_text(NET)
    (tmp_path / "c.yaml").write_text("model:\n  _target_: own_nets.Net\n  width: 4\n")
    said = [one for one in judge_spec("c.yaml", Request()).diagnostics if one.code == "own-code-imported"]
    assert [(one.severity, one.span and one.span.line, one.message) for one in said] == [
        ("note", 2, "own_nets:Net was imported, which is your own code")
    ]


PARTS = """
from torch import nn
class Embed(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 8, 8)
    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)
class Net(nn.Module):
    def __init__(self, embed, norm, dim=24, heads=3):
        super().__init__()
        self.embed, self.norm = embed, norm(dim)
        self.block = nn.TransformerEncoderLayer(dim, heads, 2 * dim, batch_first=True)
    def forward(self, x):
        return self.norm(self.block(self.embed(x))).mean(1)
"""
WITH_PARTS = """
model:
  class_path: own_parts.Net
  init_args:
    embed: {_target_: own_parts.Embed, dim: WIDTH}
    norm: {_target_: torch.nn.LayerNorm, _partial_: true, eps: 1.0e-6}
    heads: HEADS
    dim: 24
"""


@pytest.mark.parametrize(
    ("width", "heads", "code", "line"), [(24, 3, "", 0), (32, 3, "attention-width", 8), (24, 5, "build-failed", 7)]
)
def test_objects_given_to_own_code_are_made_as_hydra_makes_them(width, heads, code, line, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_parts.py").write_text(PARTS)
    (tmp_path / "c.yaml").write_text(WITH_PARTS.replace("WIDTH", str(width)).replace("HEADS", str(heads)))
    verdict = judge_spec("c.yaml", Request())
    errors = [(one.code, one.span and one.span.line) for one in verdict.diagnostics if one.severity == "error"]
    assert errors == ([(code, line)] if code else [])
    parameters = 24 * 192 + 24 + 2 * 24 + 4 * (24 * 24 + 24) + 2 * 24 * 48 + 48 + 24 + 4 * 24
    assert code or verdict.parameters == parameters


@pytest.mark.parametrize("name", ["os.system", "pip._internal.main", "antigravity.geohash", "nothing_here.Norm"])
def test_what_a_config_names_outside_of_the_user_s_code_is_not_imported(name, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_parts.py").write_text(PARTS)
    (tmp_path / "c.yaml").write_text(WITH_PARTS.replace("torch.nn.LayerNorm", name))
    with pytest.raises(Refused, match=f"{name} is not in this directory") as raised:
        named_by("c.yaml", Request())
    assert raised.value.diagnostics[0].span.line == 6
    assert "antigravity" not in sys.modules


def test_a_directory_of_hydra_s_groups_is_checked_where_a_config_is_whole(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "data").mkdir()
    net = "net:\n  image_size: ${data.size}\n  patch_size: 4\n  dim: 16\n  depth: 1\n  heads: 2\n  mlp_dim: 8\n"
    (tmp_path / "model" / "vit.yaml").write_text(net)
    (tmp_path / "data" / "images.yaml").write_text("_target_: src.data.Images\nsize: 32\n")
    (tmp_path / "train.yaml").write_text("defaults: [_self_, model: vit, data: images]\n")
    judged = [specs_in(InDirectory(tmp_path / one), Request(), True) for one in ("model/vit.yaml", "data/images.yaml")]
    assert judged == [[], []]
    assert specs_in(InDirectory(tmp_path / "train.yaml"), Request(), True)
    [said] = judge_spec(str(tmp_path / "model" / "vit.yaml"), Request()).diagnostics
    assert said.help == ("write the value itself, or give it: --set net.image_size=VALUE",)
    given = Request(assignments=("net.image_size=32",))
    assert judge_spec(str(tmp_path / "model" / "vit.yaml"), given).parameters is not None


LETTERS = "abcdefghijklmnopqrstuvwxyz"
HOSTILE = [
    ("x.yaml", "".join(f"{b}: ${{{a}}}${{{a}}}\n" for a, b in pairwise(LETTERS)) + "a: x\n"),
    (
        "x.yaml",
        "a: {x: 1}\n" + "".join(f"a{n + 1}: {{x: ${{a{n}}}, y: ${{a{n}}}}}\n" for n in range(40)) + "a0: ${a}\n",
    ),
    ("x.yaml", "model: {dim: ${model}, depth: 2, heads: 3}\n"),
    ("x.yaml", f"model: {{dim: {'${' * 20000}, depth: 2}}\n"),
    ("x.yaml", "defaults: [model: ../../../../../../etc/passwd, x]\n"),
    ("x.json", '{"a": ' * 100_000),
    ("x.json", "[" * 100_000 + "]" * 100_000),
    ("x.toml", "a = " + "[" * 100_000),
    ("x.toml", "a = 1\na = 2\n"),
    ("x.toml", "a = " + "9" * 10_000 + "\n"),
    (
        "x.py",
        "a = [1]\n" + "".join(f"a = [{'a, ' * 9}]\n" for _ in range(30)) + "model = dict(dim=a, depth=2, heads=3)\n",
    ),
    ("x.py", "a = " + "-" * 100_000 + "1"),
    ("x.py", "a = dict()\n" + "".join(f"a.b{n} = {n}\n" for n in range(20_000))),
    ("x.py", "a = 1\n" + "a = [a, a, a, a]\n" * 20 + "a.b.c = a\n" * 30),
    ("x.py", "x = {'a': 1}\n" + "x = {**x, 'b': x}\n" * 5_000),
    ("x.yaml", "BASE: ['x.yaml', './x.yaml', '../x.yaml']\nMODEL: {TYPE: swin}\n"),
    ("x.toml", "a" + ".a" * 4_000_000 + " = 1\n"),
    ("x.toml", "\n".join(f"k{n} = {n}" for n in range(500_000))),
    ("x.json", "{" + ", ".join(f'"k{n}": {n}' for n in range(400_000)) + "}"),
    ("x.json", '{"model": [' + '{"dim": 1},' * 600_000 + "{}]}"),
]


@pytest.mark.parametrize(("name", "text"), HOSTILE)
def test_hostile_files_are_refused_or_read_at_once(name: str, text: str, tmp_path: Path):
    (tmp_path / name).write_text(text)
    try:
        found = models_in(f"{tmp_path / name}", Request())
    except Refused as refused:
        assert len(refused.diagnostics) == 1
    else:
        assert len(found) <= 1
