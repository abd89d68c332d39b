"""Odd models that fail: the failing module and line are those of Python's own run, and one diagnostic says so."""

import json
import re
import sys
import traceback
from importlib import util
from pathlib import Path

import pytest
import torch
from diagnose.test_slips import line_of
from helpers.places import ROOT
from torch import nn

sys.path.insert(0, str(ROOT))
from tests.hostile.fuzz import outcome

HEAD = """
import abc, contextlib, dataclasses, functools, operator, types, weakref
from collections import OrderedDict
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

class Sound(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(8, 12), nn.Linear(12, 8), nn.LayerNorm(8)
    def forward(self, x):
        return self.b(self.a(x))
"""
MODELS = {
    "a property": """
class Net(Sound):
    @property
    def width(self):
        return self.a.in_featurez
    def forward(self, x):
        return super().forward(x) * self.width
""",
    "a cached property": """
class Net(Sound):
    @functools.cached_property
    def table(self):
        return torch.zeros(5) + torch.zeros(7)
    def forward(self, x):
        return self.b(self.a(x)) + self.table
""",
    "a property in the constructor": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.c = nn.Linear(8, self.width)
    @property
    def width(self):
        return self.a.weight.shape[7]
""",
    "a property of a plain class": """
class Sizes:
    @property
    def width(self):
        return {}["width"]
class Net(Sound):
    sizes = Sizes()
    def forward(self, x):
        return self.a(x).view(-1, self.sizes.width)
""",
    "a setter": """
class Net(Sound):
    last = property(lambda self: 3, lambda self, value: value.view(7, 11))
    def forward(self, x):
        self.last = self.a(x)
        return x
""",
    "a forward hook": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.a.register_forward_hook(self.check)
    @staticmethod
    def check(module, given, found):
        return found.reshape(5, 7)
""",
    "a pre-hook": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.b.register_forward_pre_hook(lambda module, given: (given[0][:, :, :3] @ module.weight,))
""",
    "a hook that changes what comes": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.a.register_forward_hook(lambda module, given, found: found[..., :7])
""",
    "__getattr__": """
class Net(Sound):
    def __getattr__(self, name):
        if name.startswith("block"):
            return self._modules["abc"[int(name[5:])]]
        return super().__getattr__(name)
    def forward(self, x):
        return self.block2(self.block0(x))
""",
    "__getattr__ that hides a fault": """
class Net(Sound):
    def __getattr__(self, name):
        return getattr(super().__getattr__("inner"), name) if name == "outer" else super().__getattr__(name)
    def forward(self, x):
        return self.outer(x)
""",
    "an autograd function": """
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        return x @ weight
    @staticmethod
    def backward(ctx, grad):
        return grad, None
class Net(Sound):
    def forward(self, x):
        return Cube.apply(self.a(x), self.a.weight.t())
""",
    "an autograd function of a new form": """
class Scale(torch.autograd.Function):
    @staticmethod
    def forward(x, factor):
        return x * factor.view(3, 5)
    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
class Net(Sound):
    def forward(self, x):
        return Scale.apply(x, self.a.bias)
""",
    "a generator": """
class Net(Sound):
    def pieces(self, x):
        yield self.a(x)
        yield self.b(x)
    def forward(self, x):
        return torch.cat([one.mean(-1) for one in self.pieces(x)], -1)
""",
    "a generator that got a tensor": """
class Net(Sound):
    def gather(self):
        total = yield
        while True:
            total = total + (yield total)
    def forward(self, x):
        gathering = self.gather()
        next(gathering)
        gathering.send(x)
        return gathering.send(self.a(x))
""",
    "slots": """
class State:
    __slots__ = ("x",)
    def __init__(self, x):
        self.x = x
class Net(Sound):
    def forward(self, x):
        state = State(x)
        state.y = self.a(x)
        return state.y
""",
    "a ModuleDict loop": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"one": nn.Linear(8, 8), "two": nn.Linear(9, 8), "three": nn.Linear(8, 8)})
    def forward(self, x):
        for part in self.parts.values():
            x = part(x) + x
        return x
""",
    "a key of a ModuleDict": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"attn": nn.Linear(8, 8)})
    def forward(self, x):
        return self.parts["attention"](x)
""",
    "a ParameterList": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.scales = nn.ParameterList(torch.zeros(size) for size in (8, 1, 6))
    def forward(self, x):
        for scale in self.scales:
            x = x * scale
        return x
""",
    "recursion": """
class Net(Sound):
    def down(self, x, level):
        return self.a(x) if level == 3 else self.down(x[..., :: 2], level + 1)
    def forward(self, x):
        return self.down(x, 0)
""",
    "recursion of modules": """
class Net(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.proj = nn.Linear(8 if depth else 4, 8)
        self.inner = Net(depth - 1) if depth else None
    def forward(self, x):
        x = self.proj(x)
        return self.inner(x) if self.inner is not None else x
""",
    "recursion without end": """
class Net(Sound):
    def forward(self, x):
        return self.forward(x)
""",
    "a weak reference": """
class Child(nn.Linear):
    def forward(self, x):
        return super().forward(x) + self.owner().table
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.zeros(5))
        self.child = Child(8, 8)
        self.child.owner = weakref.ref(self)
    def forward(self, x):
        return self.child(x)
""",
    "a dead reference": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.ref = weakref.proxy(nn.Linear(8, 8))
    def forward(self, x):
        return x @ self.ref.weight
""",
    "a lambda": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.mix = lambda x, y: x + y
    def forward(self, x):
        return self.mix(x, self.a(x))
""",
    "a partial": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.fold = functools.partial(torch.reshape, shape=(-1, 7, 5))
    def forward(self, x):
        return self.fold(self.a(x))
""",
    "a partial of a layer": """
class Net(Sound):
    def __init__(self, norm=functools.partial(nn.LayerNorm, epsilon=1e-6)):
        super().__init__()
        self.norm = norm(8)
""",
    "reduce": """
class Net(Sound):
    def forward(self, x):
        return functools.reduce(lambda x, layer: layer(x), [self.a, self.norm, self.b], x)
""",
    "a dataclass config": """
@dataclasses.dataclass(frozen=True)
class Config:
    dim: int = 8
    heads: int = 3
    @property
    def head_dim(self):
        assert self.dim % self.heads == 0, f"{self.dim} is not divisible by {self.heads}"
        return self.dim // self.heads
class Net(Sound):
    def __init__(self, config=Config()):
        super().__init__()
        self.q = nn.Linear(config.dim, config.head_dim)
""",
    "a dataclass that is frozen": """
@dataclasses.dataclass(frozen=True)
class Config:
    dim: int = 8
class Net(Sound):
    config = Config()
    def forward(self, x):
        self.config.dim = x.shape[-1]
        return x
""",
    "vmap": """
class Net(Sound):
    def forward(self, x):
        return torch.func.vmap(lambda one: one @ self.a.weight)(x)
""",
    "functional_call": """
class Net(Sound):
    def forward(self, x):
        weights = {"weight": self.a.weight[:, :5], "bias": self.a.bias}
        return torch.func.functional_call(self.a, weights, (x,))
""",
    "checkpoint": """
class Net(Sound):
    def inner(self, x):
        return self.b(x) + x
    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=False)
""",
    "a reentrant checkpoint": """
class Net(Sound):
    def forward(self, x):
        return checkpoint(self.norm, self.a(x), use_reentrant=True)
""",
    "checkpoints in sequence": """
class Net(Sound):
    def forward(self, x):
        return checkpoint_sequential([self.a, self.norm, self.b], 2, x, use_reentrant=False)
""",
    "a parametrization": """
class Half(nn.Module):
    def forward(self, weight):
        return weight[:, : weight.shape[1] // 2] + weight
class Net(Sound):
    def __init__(self):
        super().__init__()
        parametrize.register_parametrization(self.a, "weight", Half(), unsafe=True)
""",
    "a parametrization that is late": """
class Half(nn.Module):
    on = False
    def forward(self, weight):
        return weight[:, :5] if self.on else weight
class Net(Sound):
    def __init__(self):
        super().__init__()
        parametrize.register_parametrization(self.a, "weight", Half())
        self.a.parametrizations.weight[0].on = True
""",
    "tied weights": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 8)
        self.head.weight = self.a.weight
    def forward(self, x):
        return self.head(self.a(x))
""",
    "a shared layer": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(self.a, nn.GELU(), self.b, nn.GELU(), self.a, self.a)
    def forward(self, x):
        return self.net(x)
""",
    "a lazy layer": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.lazy = nn.LazyLinear(8)
    def forward(self, x):
        return self.lazy(self.lazy(x)[..., :5])
""",
    "a layer built in forward": """
class Net(Sound):
    head = None
    def forward(self, x):
        if self.head is None:
            self.head = nn.Linear(x.shape[1], 8)
        return self.head(x)
""",
    "multiple inheritance": """
class Scaled:
    def forward(self, x):
        return super().forward(x * torch.ones(x.shape[-1] + 1))
class Named(abc.ABC):
    @abc.abstractmethod
    def name(self): ...
class Net(Scaled, Sound, Named):
    def name(self):
        return "net"
""",
    "an abstract class": """
class Named(abc.ABC):
    @abc.abstractmethod
    def name(self): ...
class Net(Sound, Named):
    pass
""",
    "no super().__init__": """
class Net(nn.Module):
    def __init__(self):
        self.a = nn.Linear(8, 8)
""",
    "callbacks": """
class Later:
    def __init__(self):
        self.calls = []
    def then(self, call):
        self.calls.append(call)
        return self
    def settle(self, value):
        for call in self.calls:
            value = call(value)
        return value
class Net(Sound):
    def forward(self, x):
        return Later().then(self.a).then(lambda x: x.flatten(1)).then(self.b).settle(x)
""",
    "a coroutine": """
class Net(Sound):
    async def later(self, x):
        return self.b(x)
    def forward(self, x):
        try:
            self.later(x).send(None)
        except StopIteration as done:
            return done.value
""",
    "a decorator": """
def cast(forward):
    @functools.wraps(forward)
    def inner(self, *args, **kwargs):
        return forward(self, *args, **kwargs).view(-1, 7)
    return inner
class Net(Sound):
    @cast
    def forward(self, x):
        return self.a(x)
""",
    "a context manager": """
@contextlib.contextmanager
def wide(x):
    yield x.reshape(1, -1)
    x.view(3, 3)
class Net(Sound):
    def forward(self, x):
        with wide(x) as y:
            y = y + 1
        return y
""",
    "__torch_function__": """
class Mine(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {})
class Net(Sound):
    def forward(self, x):
        return self.b(x.as_subclass(Mine) + 1)
""",
    "exec": """
exec('''
class Made(nn.Module):
    def forward(self, x):
        return x @ x
''')
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.made = Made()
    def forward(self, x):
        return self.made(self.a(x))
""",
    "a class without source": """
def forward(self, x):
    y = self.a(x)
    return y @ y
Net = types.new_class("Net", (Sound,), exec_body=lambda space: space.update(forward=forward))
""",
    "a forward that is set": """
class Net(Sound):
    def __init__(self):
        super().__init__()
        self.b.forward = lambda x: torch.cat([x, x.mean(1)], -1)
""",
    "a class call": """
class Net(Sound):
    def __call__(self, x):
        return super().__call__(x.view(-1, 8, 3))
""",
    "an exception in place of another": """
class Net(Sound):
    def forward(self, x):
        try:
            return self.b(x)
        except RuntimeError as error:
            raise ValueError("the width is wrong") from error
""",
    "an exception that is caught first": """
class Net(Sound):
    def forward(self, x):
        try:
            x = self.b(x)
        except RuntimeError:
            x = self.a(x)
        return self.norm(x)
""",
    "a finally that fails": """
class Net(Sound):
    def forward(self, x):
        try:
            return self.b(x)
        finally:
            x.view(7)
""",
    "operators": """
class Net(Sound):
    def __matmul__(self, x):
        return operator.matmul(x, self.a.weight)
    def forward(self, x):
        return self @ x
""",
    "map": """
class Net(Sound):
    def forward(self, x):
        return torch.stack([*map(self.b, x.unbind(1))])
""",
    "a match": """
class Net(Sound):
    def forward(self, x):
        match x.shape:
            case (batch, channels, height, width):
                return self.a(x.permute(0, 2, 3))
            case _:
                return x
""",
    "a lambda over lines": """
class Net(Sound):
    def forward(self, x):
        steps = [
            lambda x: self.a(x),
            lambda x: (
                x
                .flatten(1)
                .view(7, 7)
            ),
        ]
        for step in steps:
            x = step(x)
        return x
""",
}
LOCATION = re.compile(r"--> (.+?):(\d+)(?::\d+)?$", re.MULTILINE)


def python_run(file: Path) -> tuple[BaseException, str | None]:
    """(what Python's own run raises, the failing module; None where it does not build)."""
    spec = util.spec_from_file_location(file.stem, file)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = None
    try:
        model = module.Net().eval()
        with torch.no_grad():
            model(torch.rand(2, 3, 8, 8))
    except Exception as error:
        return error, model and innermost_module(error, model)
    raise AssertionError("it runs")


def innermost_module(error: BaseException, model: nn.Module) -> str:
    """The path of the last module on the traceback."""
    paths = {id(module): path for path, module in model.named_modules()}
    calls = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == "_call_impl"]
    return [path for frame in calls if (path := paths.get(id(frame.f_locals["self"]))) is not None][-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_an_odd_model_fails_where_it_fails_in_python(name, tmp_path, monkeypatch):
    file, saved = tmp_path / f"odd_{[*MODELS].index(name)}.py", tmp_path / "x.json"
    file.write_text(HEAD + MODELS[name])
    error, failing = python_run(file)
    path, line = line_of(error)
    monkeypatch.chdir(tmp_path)
    code, text, _ = outcome([f"{file.name}:Net", "--input", "2x3x8x8", "-o", str(saved)])
    assert code == (2 if failing is None else 1), text
    assert text.count("error[") == 1 and "Traceback" not in text and "defect" not in text, text
    if failing is None:
        told_path, told_line = found.groups() if (found := LOCATION.search(text)) else ("", 0)
        assert (Path(told_path).name, int(told_line)) == (Path(path).name, line), text
        assert str(error).split("\n")[0][:60] in " ".join(text.split()), text
        return
    trace = json.loads(saved.read_text())
    failure = trace["failure"]
    stage = failure.get("stage")
    assert ("" if stage is None else trace["stages"][stage]["module"]) == failing, text
    span = failure["span"]
    assert Path(span["file"]).name == Path(path).name and span["line"] <= line <= span["end_line"], (line, text)
    assert failure["exception"].startswith(type(error).__name__), (error, text)
