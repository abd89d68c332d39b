"""A trace in a program's hands: what its methods give, against torch and the command line."""

import io
import json
import pickle
import subprocess
import sys

import pytest
import torch
from helpers.commands import call
from helpers.places import ROOT
from rich.console import Console
from torch import nn

import vit_trace

SPEC = ("--depth", "2", "--dim", "64", "--heads", "4", "--dim-head", "16", "--mlp-dim", "96")
SETTINGS = {"depth": 2, "dim": 64, "heads": 4, "dim_head": 16, "mlp_dim": 96}


class Net(nn.Module):
    """Patches, a class token and a layer, for images of any size."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 24, 8, 8)
        self.cls = nn.Parameter(torch.zeros(1, 1, 24))
        self.layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
        self.head = nn.Linear(24, 5)

    def features(self, x):
        x = self.cut(x).flatten(2).transpose(1, 2)
        return self.layer(torch.cat([self.cls.expand(len(x), -1, -1), x], 1))

    def forward(self, x):
        return self.head(self.features(x)[:, 0])


@pytest.fixture(scope="module")
def trace():
    return vit_trace.trace(Net(), torch.zeros(2, 3, 64, 96))


def test_stages_by_name(trace):
    assert trace["layer"].shape == (2, 97, 24) and trace["layer"].formula == "b × n+1 × 24"
    assert trace["layer.linear1"].parent == trace["layer"] and trace["layer.linear1"] in trace["layer"].children
    assert [one.name for one in trace.find("layer.norm*")] == ["layer.norm1", "layer.norm2"]
    assert trace.find("Conv2d") == [trace["cut"]] and trace["cut"].input_shapes == [(2, 3, 64, 96)]
    assert len(trace) == len(list(trace)) == len(trace.stages)
    assert repr(trace["head"]) == "<head  Linear  2×5  b × 5>"
    with pytest.raises(KeyError, match="no stage is named hed; near it: head"):
        trace["hed"]


@pytest.mark.parametrize("image", [(5, 3, 64, 96), (4, 3, 128, 64), (3, 3, 200, 104)])
def test_sizes_at_other_images_are_those_of_a_real_forward(trace, image):
    there = trace.at(b=image[0], H=image[2], W=image[3])
    real = vit_trace.trace(Net(), torch.zeros(image), formulas=False)
    compared = 0
    for stage, other in zip(there, real, strict=True):
        for spec, shape in zip(stage.record.outputs, other.shapes, strict=True):
            compared += sum(dim == size for dim, size in zip(spec.shape, shape, strict=True))
            assert all(size in (None, -1, real) for size, real in zip(spec.shape, shape, strict=True))
    assert compared > 60


def test_without_formulas_nothing_runs_twice():
    ran = []

    class Counts(nn.Module):
        def forward(self, x):
            ran.append(x.device.type)
            return x.mean((2, 3))

    vit_trace.trace(Counts(), torch.zeros(2, 3, 32, 32), formulas=False)
    assert ran.count("cpu") == 1


@pytest.mark.parametrize("channels", [3, 4])
def test_what_a_forward_prints_is_seen_once_and_the_network_stays_open(channels, capfd):
    class Prints(Net):
        def forward(self, x):
            print("here")
            return super().forward(x)

    vit_trace.trace(Prints(), torch.zeros(2, channels, 64, 64))
    assert capfd.readouterr().out == "here\n"
    refused = subprocess.run(
        [sys.executable, "-c", OPEN.format(channels)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert refused.stdout == "0\n"


OPEN = """
import socket, torch, vit_trace
from vit_trace.base.network import NoNetwork
vit_trace.trace(torch.nn.Conv2d(3, 8, 4), torch.zeros(1, {}, 9, 9))
vit_trace.trace("configs/vit_b_16.yaml", depth=1)
count = 0
try:
    socket.create_connection(("192.0.2.1", 9), timeout=0.1)
except NoNetwork:
    count += 1
except OSError:
    pass
print(count)
"""


def test_a_bound_method_is_traced_and_its_model_left_as_it_was():
    model = Net()
    found = vit_trace.trace(model.features, torch.zeros(2, 3, 32, 32))
    assert type(model) is Net and found.outputs[0].shape == (2, 17, 24)
    assert found.outputs[0].shape == tuple(model.features(torch.zeros(2, 3, 32, 32)).shape)
    with pytest.raises(TypeError, match="got dict"):
        vit_trace.trace({})


def test_a_spec_is_traced_as_on_the_command_line(capfd):
    found = vit_trace.trace("hf:ViTModel", image_size=(64, 96), num_hidden_layers=1)
    wanted = "--format json trace hf:ViTModel --image-size 64x96 --set num_hidden_layers=1".split()
    printed = json.loads(call(capfd, *wanted[2:], *wanted[:2]).out)
    assert [stage["outputs"] for stage in printed["stages"]] == [
        stage["outputs"] for stage in json.loads(found.to_json())["stages"]
    ]
    with pytest.raises(ValueError, match="no_such"):
        vit_trace.trace("hf:ViTModel", no_such=3)


def test_screens_are_those_of_the_command_line(trace, capfd, tmp_path):
    (tmp_path / "a.json").write_text(trace.to_json())
    for screen, flags in ((trace.table(levels=1), ["--levels", "1"]), (trace.tree(), ["--view", "tree"])):
        printed = call(capfd, "show", str(tmp_path / "a.json"), *flags, "--width", "100").out
        assert screen.to_text(100) == printed
    with pytest.raises(TypeError, match="no option colums; did you mean columns"):
        trace.to_csv(colums=("stage",))
    with pytest.raises(ValueError, match="no stage has such a name"):
        trace.to_markdown(stage="zzz")
    assert str(trace) == trace.table().to_text() and "b × n+1 × 24" in str(trace)


def test_a_screen_is_a_renderable_of_rich(trace):
    plain, coloured = io.StringIO(), io.StringIO()
    Console(file=plain, width=80, color_system=None).print(trace.table())
    Console(file=coloured, width=80, force_terminal=True, color_system="standard").print(trace.table())
    assert plain.getvalue().split() == trace.to_text(80).split()
    assert "\x1b[" in coloured.getvalue() and "\x1b[" not in plain.getvalue()


def test_explain(trace):
    assert str(trace.explain(97)).startswith("97 = n+1")
    assert "head" in str(trace.explain((2, 5)))
    with pytest.raises(ValueError, match="no size is 96001"):
        trace.explain(96001)


def test_traces_are_equal_and_pickled(trace):
    again = pickle.loads(pickle.dumps(trace))
    assert again == trace == vit_trace.Trace.from_json(trace.to_json()) and type(again) is vit_trace.Trace
    assert again != trace.at(b=3)
    assert repr(trace) == f"<Trace of Net: {len(trace)} stages, 2×3×64×96 → 2×5>"


def test_repr_of_a_failure_says_where():
    assert "at cut>" in repr(vit_trace.trace(Net(), torch.zeros(2, 4, 64, 64)))


class Block(nn.Module):
    """A model that keeps what its constructor was given, but for its depth."""

    def __init__(self, dim=24, heads=4, patch=8, depth=1, classes=5):
        super().__init__()
        self.dim, self.heads, self.classes = dim, heads, classes
        self.cut = nn.Conv2d(3, dim, patch, patch)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(dim, heads, 2 * dim) for _ in range(depth))
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.cut(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


@pytest.fixture(scope="module")
def kept():
    return vit_trace.trace(Block(classes=7, depth=2), torch.zeros(2, 3, 32, 48))


@pytest.mark.parametrize("values", [{"dim": 48}, {"dim": 60, "heads": 5}, {"classes": 9}])
def test_formulas_over_what_a_model_keeps_are_those_of_a_real_model(kept, values):
    there = kept.at(**values)
    real = vit_trace.trace(Block(**{"classes": 7, "depth": 2} | values), torch.zeros(2, 3, 32, 48), formulas=False)
    for stage, other in zip(there, real, strict=True):
        assert [
            size in (None, -1, own)
            for shape, real in zip(stage.shapes, other.shapes, strict=True)
            for size, own in zip(shape, real, strict=True)
        ].count(False) == 0
    assert there["head"].shape == real["head"].shape and there["cut"].shape == real["cut"].shape
    assert kept["layers.1.linear1"].formula == "b × n × 2·dim"


def test_what_is_not_kept_gets_no_formula():
    class Hidden(Block):
        def __init__(self, width, extra):
            super().__init__(dim=width)
            self.more = nn.Linear(5, extra)

        def forward(self, x):
            return self.more(super().forward(x))

    found = vit_trace.trace(Hidden(24, 3), torch.zeros(2, 3, 32, 48))
    assert found["more"].formula == "b × 3" and set(found.symbols) == {"b", "H", "W", "p1", "p2", "h", "w", "n"}
    assert found.target.hyperparameters == {}


def test_noted_arguments_are_those_of_lightning():
    lightning = pytest.importorskip("lightning")

    class Noted(lightning.LightningModule):
        def __init__(self, width=24, out=3):
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(nn.Linear(12, width), nn.GELU(), nn.Linear(width, out))

        def forward(self, x):
            return self.net(x)

    found = vit_trace.trace(Noted(width=40), torch.zeros(2, 12))
    assert found["net.0"].formula == "b × dim" and found["net.2"].formula.startswith("b × ")
    assert found.at(width=64)["net.0"].shape == (2, 64)
    assert found.target.hyperparameters == {"width": 40, "out": 3}


def test_a_wrong_guess_of_an_argument_is_not_taken():
    class Told(Block):  # its attribute of that name is something else: 4 heads
        def __init__(self, heads=2):
            super().__init__(heads=2 * heads)
            self.heads = 3

    found = vit_trace.trace(Told(), torch.zeros(2, 3, 32, 48))
    assert "heads" not in found.target.hyperparameters and found["layers.0"].formula == "b × n × 24"


def step(model, loss, images, labels):
    optimizer = torch.optim.AdamW(model.parameters())
    logits = model(images)
    value = loss(logits, labels) + logits.square().mean()
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return value


def test_a_training_step_runs_once_and_as_it_would():
    torch.manual_seed(0)
    model, twin = Net(), Net()
    twin.load_state_dict(model.state_dict())
    images, labels = torch.rand(2, 3, 16, 24), torch.tensor([1, 2])
    torch.manual_seed(3)
    real = step(twin, nn.CrossEntropyLoss(), images, labels)
    after = torch.rand(1)
    torch.manual_seed(3)
    found = vit_trace.trace(step, model, nn.CrossEntropyLoss(), images, labels)
    assert torch.equal(torch.rand(1), after), "as many random numbers"
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), twin.parameters(), strict=True))
    assert found.outputs[0].shape == tuple(real.shape) and found.failure is None
    forward = [stage.operation for stage in vit_trace.trace(twin, images, formulas=False)][1:-1]
    names = [stage.operation for stage in found]
    assert names[:2] == ["input", "input"] and names[2] == "step"
    inside = [stage.operation for stage in found if stage.name == "model" or stage.name.startswith("model.")]
    assert [one for one in forward if one in inside] == forward
    assert "CrossEntropyLoss" in names and names[-1] == "output" and len(names) < len(forward) + 9
    assert sum(stage.record.parameters for stage in found) == sum(one.numel() for one in model.parameters())
    assert not any(handle for handle in nn.modules.module._global_forward_pre_hooks.values())


def test_a_function_names_modules_as_its_variables_do():
    model = Net()
    found = vit_trace.trace(lambda x: model.head(model.layer(x)), torch.zeros(2, 4, 24))
    assert found["model.head"].shape == (2, 4, 5) and found["x"].shape == (2, 4, 24)
    assert found["model.layer.linear1"].parent == found["model.layer"]
    assert repr(found).startswith("<Trace of lambda: ")

    class Trainer:
        def __init__(self):
            self.network = nn.Linear(24, 2)

        def run(self, x):
            return self.network(x)

    assert vit_trace.trace(Trainer().run, torch.zeros(2, 24))["network"].shape == (2, 2)

    async def later(x):
        return model(x)

    with pytest.raises(TypeError, match="later only runs while somebody waits for it"):
        vit_trace.trace(later, torch.zeros(2, 3, 16, 16))
    with pytest.raises(TypeError, match=r"the class Net: Net\(…\) makes one"):
        vit_trace.trace(Net, torch.zeros(2, 4, 24))


def test_recording_keeps_all_that_ran_and_lets_exceptions_through():
    model = Net()
    with pytest.raises(RuntimeError, match="channels"), vit_trace.recording() as trace:
        assert len(trace) == 1
        one = model(torch.zeros(2, 3, 16, 16))
        both = one + model(torch.zeros(2, 3, 32, 32))
        assert both.shape == (2, 5)
        model(torch.zeros(2, 4, 32, 32))
    assert trace["model"].shape == trace["model#2"].shape == trace["both"].shape == (2, 5)
    assert trace.failure.code == "conv-channels" and trace[trace.stages[trace.failure.stage].name].operation == "Conv2d"
    assert trace.failure.help[0].startswith("an input of 3 channels (tried: runs")
    with vit_trace.recording() as empty:
        pass
    assert len(empty) == 1 and empty.failure is None and pickle.loads(pickle.dumps(empty)) == empty
    with vit_trace.recording() as outer, vit_trace.recording() as inner:
        nn.Linear(3, 4)(torch.zeros(2, 3))
    assert [stage.name for stage in inner] == ["", "zeros", "Linear"], "nothing of its constructor"
    assert inner["Linear"].shape == outer["Linear"].shape == (2, 4)


def test_the_cause_of_a_failing_step_is_found():
    found = vit_trace.trace(step, Net(), nn.CrossEntropyLoss(), torch.rand(2, 3, 16, 24), torch.zeros(3).long())
    assert found.failure.code.startswith("loss") and "3" in found.failure.message
    assert found.stages[found.failure.stage].operation in ("CrossEntropyLoss", "cross_entropy")


def test_source_is_the_listing():
    found = vit_trace.trace(Net(), torch.zeros(2, 3, 16, 16), source=True)
    assert "torch.cat([self.cls.expand(len(x), -1, -1), x], 1)" in str(found.source())
    assert "returns 2×5×24" in found.to_markdown("source")
    bare = vit_trace.trace(Net(), torch.zeros(2, 3, 16, 16), formulas=False)
    for shown in (bare.source, lambda: bare.to_markdown("source")):
        with pytest.raises(ValueError, match="source=True"):
            shown()


def test_check_is_the_command_line(capfd, tmp_path):
    (tmp_path / "bad.yaml").write_text("dim: 200\nheads: 3\n")
    found = vit_trace.check(tmp_path, settings=["depth=1"])
    printed = call(capfd, "check", str(tmp_path), "--set", "depth=1")
    assert str(found) == printed.out and found.ok == (printed.code == 0)
    document = json.loads(call(capfd, "check", str(tmp_path), "--set", "depth=1", "--format", "json").out)
    assert json.loads(found.to_json()) == document
    codes = [one["code"] for verdict in document["configs"] for one in verdict["diagnostics"]]
    assert [one.diagnostic.code for one in found.findings] == codes != []
    assert not vit_trace.check("no-such-file.yaml").ok
    with pytest.raises(ValueError, match="not an amount of memory"):
        vit_trace.check(memory="much")
    with pytest.raises(TypeError, match="no option memroy"):
        vit_trace.check(memroy="24GiB")
    assert vit_trace.check is __import__("vit_trace").check and callable(vit_trace.check)


def test_a_frame_needs_a_library(trace, monkeypatch):
    monkeypatch.setattr("vit_trace.api.frame.LIBRARIES", ("no_such_library",))
    with pytest.raises(ImportError, match="pip install pandas"):
        trace.to_frame()


MODEL, SEEN = Net(), []


def plain(x):
    first = MODEL.features(x)
    return torch.softmax(MODEL.head(first.mean(1)), -1) * 2


def noting(x):
    SEEN.append(x.shape)
    return MODEL(x)


def changing(x):
    MODEL.train(MODEL.training)
    return MODEL(x)


def in_place(x):
    return MODEL(x).add_(1)


def assigning(x):
    MODEL.last = MODEL(x)
    return MODEL.last


def counting(x):
    global COUNT
    COUNT = 1
    return MODEL(x)


def test_a_function_of_modules_has_formulas_that_hold_at_other_images():
    heads = [nn.Linear(24, 3)]
    for function in (plain, lambda x: MODEL.features(x)[:, 0], lambda x, k=2: MODEL(x) * k):
        there = vit_trace.trace(function, torch.zeros(2, 3, 32, 48)).at(b=3, H=64, W=24)
        real = vit_trace.trace(function, torch.zeros(3, 3, 64, 24), formulas=False)
        pairs = [(one, two) for one, two in zip(there, real, strict=True) if one.shape]
        sizes = [pair for one, two in pairs for pair in zip(one.shape, two.shape, strict=True)]
        assert all(size in (-1, wanted) for size, wanted in sizes) and sum(size > 0 for size, _ in sizes) > 12
        assert there["x"].shape == (3, -1, 64, 24)
    with torch.no_grad():
        assert "b" not in vit_trace.trace(lambda x: heads[0](MODEL.features(x)), torch.zeros(2, 3, 32, 48)).symbols


@pytest.mark.parametrize("function", [noting, changing, in_place, assigning, counting])
def test_a_function_that_does_more_runs_once(function):
    SEEN.clear()
    calls = []
    with MODEL.register_forward_hook(lambda *_: calls.append(1)):
        found = vit_trace.trace(function, torch.zeros(2, 3, 32, 48))
    assert len(calls) == 1 and len(SEEN) == (function is noting) and not found.symbols


class _Bare:
    """What a program may put in place of stdout."""

    def write(self, text: str) -> int:
        return len(text)


def test_a_table_fits_the_terminal_that_it_is_printed_on(monkeypatch):
    import fcntl
    import os
    import struct
    import sys
    import termios

    monkeypatch.delenv("COLUMNS", raising=False)
    trace, (parent, child) = vit_trace.trace("configs/vit_ti_16.yaml"), os.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    with os.fdopen(child, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        narrow = str(trace)
    os.close(parent)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", _Bare())
        wide = str(trace)
    assert max(map(len, narrow.splitlines())) <= 70 < max(map(len, wide.splitlines()))


def test_a_refusal_says_why_and_what_to_do():
    with pytest.raises(ValueError, match="could not be built") as refused:
        vit_trace.trace(
            "vit_pytorch:ViT", image_size=64, patch_size=7, num_classes=3, dim=8, depth=1, heads=1, mlp_dim=8
        )
    assert "note: AssertionError: Image dimensions must be divisible by the patch size." in refused.value.__notes__
    with pytest.raises(ValueError, match="vit_tiny_patch16_225") as refused:
        vit_trace.trace("timm:vit_tiny_patch16_225")
    assert any(one.startswith("help: did you mean") for one in refused.value.__notes__)
