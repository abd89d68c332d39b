"""The listing: what each line of a model's source made, against facts written down and against a real debugger."""
# ruff: noqa: RET504, F841

import bdb
import dataclasses
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.classic_vit import ViT as ClassicViT
from helpers.classic_vit import __file__ as CLASSIC
from helpers.commands import call, python_process
from torch import Tensor, nn
from torch.nn import functional as F

from vit_trace.base.trace import Trace
from vit_trace.base.words import module_ranges
from vit_trace.config import ViTConfig
from vit_trace.diagnose.diagnose import of_model
from vit_trace.probing.run import run_target
from vit_trace.record.build.anyhow import ON_META
from vit_trace.record.record import RecordOptions, record
from vit_trace.record.source.lines import Lines, listening
from vit_trace.record.source.listing import listed
from vit_trace.render.commented import python_file
from vit_trace.render.console import console_for
from vit_trace.render.markdown import listing_page
from vit_trace.render.notes import note_words, telling
from vit_trace.render.source import print_source
from vit_trace.targets.builtin import builtin
from vit_trace.targets.target import Target
from vit_trace.view.narrow import narrowed_listing

REFERENCE = ViTConfig(dropout=0.1, emb_dropout=0.1)


def classic() -> Target:
    """The classic file as a target, at the reference setting: the built-in's own symbols and settings."""
    base = builtin(REFERENCE)

    def of(target: Target) -> Target:
        values = {name: value for name, value in target.hyperparameters.items() if name != "batch_size"}
        sizes = {name: tuple(values[name]) for name in ("image_size", "patch_size")}
        build = lambda: ClassicViT(**(values | sizes))  # noqa: E731
        return dataclasses.replace(target, build=build, probes=lambda: [of(probe) for probe in target.probes()])

    return of(base)


@pytest.fixture(scope="module")
def builtin_trace() -> Trace:
    return listed(lambda: run_target(builtin(REFERENCE)))


@pytest.fixture(scope="module")
def classic_trace() -> Trace:
    return listed(lambda: run_target(classic()))


def listing_of(model, *inputs: Tensor) -> Trace:
    return listed(lambda: record(model, inputs))


def built(factory, *inputs: Tensor) -> Trace:
    def trace_it() -> Trace:
        built = ON_META.build(factory)
        return record(built.model, inputs, None, RecordOptions(construction=built.construction))

    return listed(trace_it)


def notes_of(trace: Trace, function: str, code: str) -> list[str]:
    """The notes of the one line of a function (`Class.name` or `name`) that begins with `code`."""
    owner, _, name = function.rpartition(".")
    found = [
        [str(note_words(note, listed.modules)) for note in line.notes]
        for listed in trace.listing
        if listed.class_.rpartition(".")[2] == owner and listed.function == name
        for line in listed.lines
        if line.text.strip().startswith(code)
    ]
    assert len(found) == 1, f"{len(found)} lines begin with {code!r} in {function}"
    return found[0]


# -- the reference listing -----------------------------------------------------------------------------------------

# Line, by how it begins, and its notes: by hand, from the listing a person made at two breakpoints.
REFERENCE_FACTS = {
    "ViT.__init__": {
        "image_height, image_width": ["image_height, image_width 256, 256  H, W"],
        "patch_height, patch_width": ["patch_height, patch_width 32, 32  p1, p2"],
        "num_patches =": ["num_patches 64  n"],
        "patch_dim =": ["patch_dim 3072  c·p1·p2"],
        "nn.Linear(patch_dim": ["weight 1024×3072  dim × c·p1·p2"],
        "self.pos_embedding": ["pos_embedding 1×65×1024  1 × n+1 × dim"],
        "self.cls_token": ["cls_token 1×1×1024  1 × 1 × dim"],
    },
    "Attention.__init__": {
        "inner_dim": ["inner_dim 1024  heads·dim_head"],
        "self.scale": ["scale 0.125"],
        "self.to_qkv": ["weight 3072×1024  3·heads·dim_head × dim"],
    },
    "ViT.forward": {
        "def forward": ["img 5×3×256×256  b × c × H × W"],
        "x = self.to_patch_embedding": [
            "b c (h p1) (w p2) → b (h w) (p1 p2 c) 5×64×3072  b × n × c·p1·p2",
            "→ x 5×64×1024  b × n × dim",
        ],
        "b, n": ["b, n 5, 64"],
        "cls_tokens": ["cls_tokens 5×1×1024  b × 1 × dim"],
        "x = torch.cat": ["x 5×65×1024  b × n+1 × dim"],
        "x = self.dropout": ["x 5×65×1024  b × n+1 × dim"],
        "x = self.transformer": ["x 5×65×1024  b × n+1 × dim"],
        "x = x.mean": ["took x[:, 0]", "x 5×1024  b × dim"],
        "x = self.to_latent": ["x 5×1024  b × dim"],
        "return": ["LayerNorm 5×1024  b × dim", "→ returns 5×20  b × classes"],
    },
    "Transformer.forward": {
        "return": ["returns 5×65×1024  b × n+1 × dim"],
    },
    "PreNorm.forward": {"return": ["returns 5×65×1024  b × n+1 × dim"]},
    "Attention.forward": {
        "qkv =": [
            "to_qkv(x) 5×65×3072  b × n+1 × 3·heads·dim_head",
            "→ qkv 3 of 5×65×1024  b × n+1 × heads·dim_head",
        ],
        "q, k, v =": ["q, k, v 5×16×65×64  b × heads × n+1 × dim_head"],
        "dots =": [
            "k.transpose(-1, -2) 5×16×64×65  b × heads × dim_head × n+1",
            "→ dots 5×16×65×65  b × heads × n+1 × n+1",
        ],
        "attn =": ["attn 5×16×65×65  b × heads × n+1 × n+1"],
        "out = torch": ["out 5×16×65×64  b × heads × n+1 × dim_head"],
        "out = rearrange": ["out 5×65×1024  b × n+1 × heads·dim_head"],
        "return": ["returns 5×65×1024  b × n+1 × dim"],
    },
    "FeedForward.forward": {
        "return": ["Linear, GELU, Dropout 5×65×2048  b × n+1 × mlp_dim", "→ returns 5×65×1024  b × n+1 × dim"],
    },
}
IN_PLACE = {
    "builtin_trace": ("pos_embedding[:, : n + 1] 1×65×1024  1 × n+1 × dim", "x = attention(x)", "x = feed_forward(x)"),
    "classic_trace": ("pos_embedding[:, :(n + 1)] 1×65×1024  1 × n+1 × dim", "x = attn(x)", "x = ff(x)"),
}


@pytest.mark.parametrize("which", IN_PLACE)
def test_every_shape_of_the_reference_listing_stands_beside_its_line(which, request):
    trace = request.getfixturevalue(which)
    for function, lines in REFERENCE_FACTS.items():
        for code, notes in lines.items():
            assert notes_of(trace, function, code) == notes, (function, code)
    operand, attention, feed_forward = IN_PLACE[which]
    assert notes_of(trace, "ViT.forward", "x += ") == [operand, "x 5×65×1024  b × n+1 × dim"]
    for code in (attention, feed_forward):
        assert notes_of(trace, "Transformer.forward", code) == ["x 5×65×1024  b × n+1 × dim  ×6"]


@pytest.mark.parametrize("which", IN_PLACE)
def test_classes_come_as_the_data_meets_them_with_their_source_as_it_is(which, request):
    trace = request.getfixturevalue(which)
    order = [each.class_ or each.function for each in trace.listing]
    assert list(dict.fromkeys(order)) == ["ViT", "pair", "Transformer", "PreNorm", "Attention", "FeedForward"]
    for each in trace.listing:
        source = Path(each.file).read_text().splitlines()
        assert all(source[line.line - 1] == line.text for line in each.lines)
    assert all(Path(each.file).name in ("vit.py", "classic_vit.py") for each in trace.listing)


def test_code_that_did_not_run_is_known(classic_trace):
    idle = {
        line.text.strip() for each in classic_trace.listing for line in each.lines if not line.ran and line.text.strip()
    }
    assert idle == set()
    no_projection = listed(lambda: run_target(builtin(ViTConfig(heads=1, dim=64, depth=1))))
    code = {line.text.strip() for each in no_projection.listing for line in each.lines if not line.ran}
    assert "self.to_out = nn.Sequential(nn.Linear(inner_dim, dim), nn.Dropout(dropout))" in code
    assert "self.to_out: nn.Module = nn.Identity()" not in code


def test_the_other_side_of_a_conditional_expression_over_several_lines():
    setting = dict(image_size=32, patch_size=16, num_classes=3, dim=8, depth=1, mlp_dim=8)
    trace = built(
        lambda: ClassicViT(**setting, heads=1, dim_head=8, pool="mean"), torch.empty(1, 3, 32, 32, device="meta")
    )
    idle = {line.text.strip() for each in trace.listing for line in each.lines if not line.ran and line.text.strip()}
    assert idle == {"nn.Linear(inner_dim, dim),", "nn.Dropout(dropout),"}
    assert notes_of(trace, "ViT.forward", "x = x.mean") == ["took x.mean(dim=1)", "x 1×8"]


# -- kinds of lines ------------------------------------------------------------------------------------------------


def helper(x: Tensor) -> Tensor:
    return x.reshape(2, -1)


class Kinds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = (4, 6)
        self.register_buffer("grid", torch.zeros(sizes))
        self.layer = nn.Linear(
            4,
            6,
        )

    def forward(self, x: Tensor, early: bool = False) -> Tensor:
        a = F.pad(
            x,
            (0, 2),
        )
        x[:, 0] = 1
        a.add_(1)
        parts = [part.unsqueeze(0) for part in x.split(1)]
        total = sum(part.sum() for part in parts)
        with torch.no_grad() as nothing, torch.autocast("cpu", enabled=False):
            c = a * 2
        for index in range(3):
            d = c[: index + 1]
        if (e := c.flatten()).shape[0] > 100:
            d = e
        else:
            f = a[:1] if early else a[:, :2]
        named = {"one": a, "two": f}
        g = helper(f); h = g + 1  # fmt: skip # noqa: E702
        swap = lambda t: t.transpose(0, 1)  # noqa: E731
        y = swap(h)
        try:
            y @ torch.zeros(99, 99, device=y.device)
        except RuntimeError:
            z = y + 1

        def inner(value: Tensor) -> Tensor:
            twice = value + value
            return twice

        i = inner(z)
        while i.shape[0] > 1:
            i = i[: i.shape[0] // 2]
        if not early:
            return i[0]
        return i


KINDS = {
    "def forward": ["x 2×4"],
    "a = F.pad": [],
    ")": ["a 2×6"],
    "x[:, 0]": ["x 2×4"],
    "a.add_": ["a 2×6"],
    "parts =": ["x.split(1) 2 of 1×4", "→ parts 2 of 1×1×4"],
    "total =": ["total scalar"],
    "with": [],
    "c =": ["c 2×6"],
    "for index": ["index 0", "index 1", "index 2"],
    "d = c[": ["d 1×6", "d 2×6  ×2"],
    "if (e": ["e 12"],
    "d = e": [],
    "f =": ["took a[:, :2]", "f 2×2"],
    "named =": ["named ['one'] 2×6, ['two'] 2×2"],
    "g =": ["g, h 2×2"],
    "y =": ["y 2×2"],
    "z =": ["z 2×2"],
    "def inner": [],
    "twice =": ["twice 2×2"],
    "i = inner": ["i 2×2"],
    "i = i[": ["i 1×2"],
    "return i[0]": ["returns 2"],
    "return i": None,
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_kinds_of_lines(device):
    trace = listing_of(Kinds().to(device), torch.zeros(2, 4, device=device))
    assert trace.failure is None
    lines = next(each for each in trace.listing if each.function == "forward").lines
    for code, notes in KINDS.items():
        found = [line for line in lines if line.text.strip() == code or line.text.strip().startswith(code)]
        made = [str(note_words(note)) for line in found for note in line.notes]
        if notes is not None:
            assert made == notes, code
    assert [line.text.strip() for line in lines if not line.ran] == ["d = e", "return i"]
    assert notes_of(trace, "helper", "return") == ["returns 2×2"]


def test_constructor_lines():
    trace = built(Kinds, torch.zeros(2, 4, device="meta"))
    assert notes_of(trace, "Kinds.__init__", "sizes =") == ["sizes (4, 6)"]
    assert notes_of(trace, "Kinds.__init__", "self.register_buffer") == ["grid 4×6"]
    assert notes_of(trace, "Kinds.__init__", "self.layer") == ["weight 6×4"]


class Stage(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.ModuleList([Stage(8)] * 1), nn.ModuleList([Stage(16)])])

    def forward(self, x: Tensor) -> Tensor:
        for (stage,) in self.stages:
            x = stage(x)
        return x


def test_a_class_of_several_widths_is_shown_once_and_says_where():
    trace = built(Stages, torch.empty(3, 8, device="meta"))
    assert [(each.class_, each.function) for each in trace.listing].count(("Stage", "forward")) == 1
    assert notes_of(trace, "Stage.__init__", "self.proj") == ["weight 16×8  in stages.0", "weight 32×16  in stages.1"]
    assert notes_of(trace, "Stage.forward", "return") == ["returns 3×16  in stages.0", "returns 3×32  in stages.1"]
    assert notes_of(trace, "Stages.forward", "x = stage") == ["x 3×16", "x 3×32"]


def test_a_stage_narrows_to_its_modules_code():
    trace = built(Stages, torch.empty(3, 8, device="meta"))
    one = narrowed_listing(trace, "stages.1.0")
    assert [(each.class_, each.function) for each in one] == [
        ("Stage", ""),
        ("Stage", "__init__"),
        ("Stage", "forward"),
    ]
    assert [str(note_words(note)) for each in one for line in each.lines for note in line.notes][-1] == "returns 3×32"
    assert narrowed_listing(trace, "stages.1.0.proj") == one, "a library's layer is shown in the code that calls it"
    assert narrowed_listing(trace, "nowhere") == ()


PLACES = {
    ("a.0", "a.1", "a.2"): "a.0…2",
    ("a.0", "a.2"): "a.0,2",
    ("l.0.b.0", "l.0.b.1", "l.1.b.0", "l.1.b.1"): "l.0…1.b.0…1",
    ("l.0.b.0", "l.0.b.1", "l.1.b.0"): "l.0.b.0…1, l.1.b.0",
    ("head",): "head",
    ("",): "the root",
}


@pytest.mark.parametrize("modules", PLACES)
def test_places(modules):
    assert module_ranges(modules) == PLACES[modules]


def test_telling():
    everywhere = ["l.0.b.0.attn", "l.0.b.1.attn", "l.1.b.0.attn"]
    assert telling(everywhere[:2], everywhere) == ["l.0"]
    assert telling(everywhere[:1], everywhere) == ["l.0.b.0"]
    assert telling(everywhere, everywhere) == everywhere


# -- against a debugger --------------------------------------------------------------------------------------------


class Session(bdb.Bdb):
    """Steps through a forward as pdb does, and at each stop writes down the shapes of the locals."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = self.canonic(file)
        self.seen: dict[tuple[int, str], list[tuple[int, ...]]] = {}
        self.before: dict[int, int] = {}

    def note(self, frame) -> None:
        if self.canonic(frame.f_code.co_filename) != self.file or frame.f_code.co_name.startswith("<"):
            return
        line = self.before.get(id(frame), 0)
        for name, value in frame.f_locals.items():
            if isinstance(value, Tensor):
                self.seen.setdefault((line, name), []).append(tuple(value.shape))

    def user_line(self, frame) -> None:
        self.note(frame)
        self.before[id(frame)] = frame.f_lineno
        self.set_step()

    def user_return(self, frame, value) -> None:
        self.note(frame)
        self.before.pop(id(frame), None)
        self.set_step()

    def user_exception(self, frame, info) -> None:
        self.set_step()


def test_shapes_are_those_of_a_debugger_on_a_real_forward():
    model = ClassicViT(image_size=32, patch_size=8, num_classes=3, dim=24, depth=2, heads=2, mlp_dim=40, dim_head=10)
    image = torch.randn(2, 3, 32, 32)
    session = Session(CLASSIC)
    model.eval()
    with torch.no_grad():
        session.runcall(model.forward, image)
    trace = listing_of(model, image)
    compared = set()
    for each in trace.listing:
        if each.function == "__init__":
            continue
        for line in each.lines:
            for note in line.notes:
                for name in note.name.split(", "):
                    if note.kind != "value" or len(note.tensors) != 1 or (line.line, name) not in session.seen:
                        continue
                    assert set(session.seen[line.line, name]) == {note.tensors[0].shape}, (line.text, name)
                    compared.add((line.line, name))
    assigned = {name for _, name in compared}
    assert assigned == {"x", "cls_tokens", "q", "k", "v", "dots", "attn", "out"}
    assert len(compared) == 17, "every line that assigns a tensor was stopped at"


# -- nothing is left behind ----------------------------------------------------------------------------------------


def tracer(frame, event, argument):
    return tracer


@pytest.mark.parametrize("how", ["well", "crash", "build"])
@pytest.mark.parametrize("before", [None, tracer])
def test_the_users_trace_function_is_put_back(how, before):
    class Crashes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if how == "build":
                raise ValueError("no")

        def forward(self, x: Tensor) -> Tensor:
            y = x + 1
            return y @ torch.zeros(9, 9, device=x.device) if how == "crash" else y

    held = sys.gettrace()
    sys.settrace(before)
    try:
        if how == "build":
            with pytest.raises(ValueError):
                built(Crashes, torch.zeros(2, 4, device="meta"))
        else:
            trace = built(Crashes, torch.zeros(2, 4, device="meta"))
            assert (trace.failure is not None) == (how == "crash")
        assert sys.gettrace() is before
    finally:
        sys.settrace(held)


def test_a_crash_is_listed_up_to_its_line():
    class Crashes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x.flatten()
            z = y @ torch.zeros(9, 9)
            return z

    trace = listing_of(Crashes(), torch.zeros(2, 4))
    assert notes_of(trace, "Crashes.forward", "y =") == ["y 8"]
    made, raised = notes_of(trace, "Crashes.forward", "z =")
    assert made == "torch.zeros(9, 9) 9×9"
    assert raised.startswith("✗ raises RuntimeError: ") and "8" in raised and "9" in raised
    assert [line.text.strip() for each in trace.listing for line in each.lines if not line.ran] == ["return z"]


def test_a_crash_is_told_where_it_happened_and_where_it_led():
    class Inner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    model, x = Outer(), torch.zeros(2, 4)
    trace = listed(lambda: of_model(model, (x,), {}))
    with pytest.raises(RuntimeError) as raised:
        model(x)
    assert notes_of(trace, "Inner.forward", "return") == [f"✗ raises RuntimeError: {raised.value}"]
    assert notes_of(trace, "Outer.forward", "return") == ["✗ raises RuntimeError in inner.matmul"]


def test_what_was_heard_keeps_no_tensor_and_no_module():
    import gc
    import weakref

    lines = Lines()
    model = Kinds()
    with listening(lines):
        image = torch.zeros(2, 4)
        record(model, (image,))
    held = weakref.ref(image), weakref.ref(model)
    del image, model
    gc.collect()
    assert [ref() for ref in held] == [None, None]


def test_the_default_trace_hears_no_line(monkeypatch):
    monkeypatch.setattr(Lines, "on_call", lambda *_: pytest.fail("heard"))
    assert run_target(builtin(ViTConfig(depth=1))).listing == ()
    with pytest.raises(pytest.fail.Exception):
        listed(lambda: run_target(builtin(ViTConfig(depth=1))))


def test_the_probes_for_formulas_are_not_heard():
    lines = Lines()
    with listening(lines):
        trace = run_target(builtin(ViTConfig(depth=1)))
    assert len(lines.heard) == 1 and lines.of(trace) is lines.heard[0]


# -- without source ------------------------------------------------------------------------------------------------

SOURCE = """
import torch
from torch import nn
class Typed(nn.Module):
    def forward(self, x):
        y = x.flatten()
        return y
"""


def test_code_typed_in_has_lines_but_no_text():
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(SOURCE, "<stdin>", "exec"), scope | {"__name__": "typed"}, scope)
    trace = listing_of(scope["Typed"](), torch.zeros(2, 3))
    (forward,) = trace.listing
    assert forward.problem == "its source is not available"
    assert [(line.line, str(note_words(note))) for line in forward.lines for note in line.notes] == [
        (5, "x 2×3"),
        (6, "y 6"),
        (7, "returns 6"),
    ]
    assert "its source is not available" in shown(trace, 80)
    compile(python_block(listing_page(trace, trace.listing)), "page", "exec")


def test_code_in_a_zip_file_is_read(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        archive.writestr("zipped_model.py", SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "models.zip"))
    import zipped_model

    trace = listing_of(zipped_model.Typed(), torch.zeros(2, 3))
    assert notes_of(trace, "Typed.forward", "y =") == ["y 6"]


def test_a_file_that_changed_since_it_was_imported_is_not_trusted(tmp_path, monkeypatch):
    file = tmp_path / "changing_model.py"
    file.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import changing_model

    model = changing_model.Typed()
    file.write_text("# one\n# more\n" + SOURCE + "\n" * 9)
    trace = listing_of(model, torch.zeros(2, 3))
    assert trace.listing[-1].problem == "its file has changed since it was imported"


# -- formats -------------------------------------------------------------------------------------------------------


def shown(trace: Trace, width: int, ran_only: bool = False) -> str:
    stream = io.StringIO()
    print_source(trace.listing, console_for(stream, width), ran_only)
    return stream.getvalue()


def python_block(page: str) -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)
    return block


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("which", IN_PLACE)
def test_code_is_never_cut_and_no_line_is_too_long(which, width, request):
    trace = request.getfixturevalue(which)
    text = shown(trace, width)
    assert max(map(len, text.splitlines())) <= width
    left = [re.sub(r" *│.*", "", line)[6:] for line in text.splitlines() if re.match(r" {0,2}[ \d]{3} [ ╎] ", line)]
    squeezed = re.sub(r"\s", "", "".join(left))
    for each in trace.listing:
        for line in each.lines:
            assert re.sub(r"\s", "", line.text) in squeezed, line.text


def test_notes_stand_beside_the_code_at_120_and_under_it_at_80(classic_trace):
    wide, narrow = shown(classic_trace, 120), shown(classic_trace, 80)
    assert re.search(r"^ *\d+ .*attn = self.attend\(dots\) +│ attn 5×16×65×65", wide, re.M)
    assert re.search(r"attn = self.attend\(dots\)\n +│ attn 5×16×65×65  b × heads × n\+1 × n\+1$", narrow, re.M)


def test_only_what_ran(builtin_trace):
    text = shown(builtin_trace, 120, ran_only=True)
    assert "raise ValueError" not in text and "raise ValueError" in shown(builtin_trace, 120)
    assert "╎" not in text
    compile(python_block(listing_page(builtin_trace, builtin_trace.listing, True)), "page", "exec")


@pytest.mark.parametrize("which", IN_PLACE)
def test_the_markdown_page_holds_one_block_of_valid_python(which, request):
    trace = request.getfixturevalue(which)
    block = python_block(listing_page(trace, trace.listing))
    compile(block, "page", "exec")
    assert "# → dots 5×16×65×65  b × heads × n+1 × n+1" in block
    assert block.count("class ") == 5


TRICKY = '''
import torch
from torch import nn
class Tricky(nn.Module):
    def __init__(self, wide=True):
        super().__init__()
        self.linear = nn.Linear(3, 5) \\
            if wide else None
        self.text = (nn.Linear(7, 9), """not
            a comment"""
            )
    def forward(self, x):
        text = """a string
    over lines { """ ; y = x.flatten()
        z = y \\
            .unsqueeze(0)
        if True: w = z + 1
        f = f"{y.shape[0]} # not a comment"
        class Local: size = 3
        return (
            w  # kept
        )
'''


def test_comments_never_break_the_code(tmp_path, monkeypatch):
    (tmp_path / "tricky_model.py").write_text(TRICKY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import tricky_model

    trace = built(tricky_model.Tricky, torch.zeros(2, 3, device="meta"))
    scope: dict[str, type[nn.Module]] = {}
    exec(compile(python_file(trace), "listing.py", "exec"), scope)
    assert torch.equal(scope["Tricky"]()(torch.ones(2, 3)), torch.full((1, 6), 2.0))
    block = python_block(listing_page(trace, trace.listing))
    compile(block, "page", "exec")
    assert "# y 6" in block and "# → z" not in block and "# z 1×6" in block
    assert scope["Tricky"]().text[1] == "not\n            a comment" and "# weight 5×3" in block


@pytest.mark.parametrize("which", IN_PLACE)
def test_the_python_file_gives_the_same_scores(which, request):
    trace = request.getfixturevalue(which)
    setting = dict(image_size=32, patch_size=16, num_classes=3, dim=8, depth=2, heads=2, mlp_dim=16)
    scope: dict[str, object] = {"__name__": "listing"}
    text = python_file(trace)
    exec(compile(text, "listing.py", "exec"), scope)
    source = Path(trace.listing[0].file).read_text()
    original: dict[str, object] = {"__name__": "original"}
    exec(compile(source, "original.py", "exec"), original)
    models = []
    for each in (scope, original):
        torch.manual_seed(0)
        models.append(each["ViT"](**setting).eval())
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(models[0](image), models[1](image))
    assert text.count("  # ") > 20
    assert [line.partition("  # ")[0] for line in text.splitlines() if not line.strip().startswith("# ")] == [
        line.partition("  # ")[0] for line in source.splitlines() if not line.strip().startswith("# ")
    ]


def test_json_holds_the_listing_and_show_needs_no_torch(tmp_path, capfd):
    saved = tmp_path / "trace.json"
    code, out, _ = call(capfd, "--depth", "1", "--view", "source", "--format", "json", "-o", saved)
    assert code == 0
    document = json.loads(out)
    forward = next(one for one in document["listing"] if (one["class"], one["function"]) == ("Attention", "forward"))
    dots = next(line for line in forward["lines"] if line["text"].strip().startswith("dots"))
    assert dots["notes"][-1]["name"] == "dots" and dots["notes"][-1]["tensors"][0]["shape"] == [5, 16, 65, 65]
    assert {"file", "class", "function", "lines"} <= set(forward)
    arguments = ["show", str(saved), "--view", "source"]
    script = f"import sys; sys.modules['torch'] = None; from vit_trace.cli.app import run; sys.exit(run({arguments!r}))"
    done = python_process("-c", script)
    assert done.returncode == 0, done.stderr
    assert "→ dots 5×16×65×65  b × heads × n+1 × n+1" in done.stdout


def test_the_saved_listing_at_other_values(tmp_path, capfd):
    saved = tmp_path / "trace.json"
    call(capfd, "--depth", "1", "--view", "source", "-o", saved)
    code, out, _ = call(capfd, "show", saved, "--view", "source", "--with", "b=2", "--with", "image_size=512")
    assert code == 0
    assert "→ dots 2×16×257×257  b × heads × n+1 × n+1" in out and "5×16×65×65" not in out
    assert "num_patches 256  n" in out


REFUSED = {
    "csv of a listing": (["--view", "source", "--format", "csv"], "--view table --format csv"),
    "no such view": (["--view", "sauce"], "did you mean source?"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, capfd):
    arguments, help = REFUSED[case]
    code, _, err = call(capfd, *arguments)
    assert code == 2 and help in err


def test_a_trace_saved_without_its_listing_says_how_to_save_it(tmp_path, capfd):
    saved = tmp_path / "trace.json"
    call(capfd, "--depth", "1", "--no-formulas", "-o", saved)
    code, _, err = call(capfd, "show", saved, "--view", "source")
    assert code == 2 and "vit-trace --view source -o trace.json" in err


# -- other people's models -----------------------------------------------------------------------------------------


def timm_vit() -> nn.Module:
    return pytest.importorskip("timm").create_model("vit_base_patch16_224")


def huggingface_vit() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    return transformers.ViTForImageClassification(transformers.ViTConfig(num_hidden_layers=2))


def torchvision_vit() -> nn.Module:
    return pytest.importorskip("torchvision").models.vit_b_16()


OTHERS = {
    timm_vit: ("timm", ["VisionTransformer", "PatchEmbed", "Block", "LayerNorm", "Attention", "Mlp"]),
    huggingface_vit: (
        "transformers",
        ["ViTForImageClassification", "ViTModel", "ViTEmbeddings", "ViTPatchEmbeddings", "ViTLayer", "ViTAttention"],
    ),
    torchvision_vit: ("torchvision", ["VisionTransformer", "Encoder", "EncoderBlock"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("factory", OTHERS)
def test_other_peoples_models_list_their_own_files_each_method_once(factory):
    package, classes = OTHERS[factory]
    trace = built(factory, torch.empty(2, 3, 224, 224, device="meta"))
    methods = [(each.file, each.class_, each.function) for each in trace.listing if each.function]
    assert len(methods) == len(set(methods))
    assert {each.file.partition("site-packages/")[2].split("/")[0] for each in trace.listing} == {package}
    met = list(dict.fromkeys(each.class_ for each in trace.listing if each.function == "forward"))
    assert met[: len(classes)] == classes
    for each in trace.listing:
        if each.function == "forward":
            assert any(note.kind == "return" and note.tensors for line in each.lines for note in line.notes), (
                each.class_
            )
    compile(python_block(listing_page(trace, trace.listing)), "page", "exec")
    assert max(map(len, shown(trace, 80).splitlines())) <= 80
