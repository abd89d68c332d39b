"""Broken models and inputs, as Markdown pages of what was run and what is said of it; each remedy is applied for real.

A page has a section per case: a `python` block that defines `model` and `args` (built on CPU) or a `console` block with
a command line, then a block of `key: value` lines that must hold. `requires: timm` names a library, and `suite: slow`
keeps a case that takes many seconds for the long sweep.
"""

import contextlib
import importlib
import importlib.util
import inspect
import itertools
import json
import shlex
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import model_state
from helpers.commands import call
from helpers.pages import Section, sections
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

import vit_trace
from vit_trace.base.trace import Trace
from vit_trace.vit import ViT

PAGES = Path(__file__).parent / "pages"
KEYS = {
    *("requires", "code", "stage", "producer", "remedy", "remedies", "note", "message"),
    *("meta", "label", "output", "exit", "help", "suite"),
}


@dataclass
class Page:
    """One case of a page, its expected lines by their keys."""

    name: str
    language: str
    code: str
    expected: dict[str, list[str]]

    def one(self, key: str, default: str = "") -> str:
        return self.expected.get(key, [default])[0]


def page_of(section: Section) -> Page:
    expected: dict[str, list[str]] = {}
    for line in section.expected:
        key, _, value = line.partition(": ")
        assert key in KEYS, f"{section.name}: {key}"
        expected.setdefault(key, []).append(value.strip())
    return Page(section.name, section.language, section.text, expected)


CASES = [page_of(section) for section in sections(PAGES)]


def pages(language: str) -> list:
    slow = {True: (pytest.mark.slow,), False: ()}
    return [
        pytest.param(page, id=page.name, marks=slow[page.one("suite") == "slow"])
        for page in CASES
        if page.language == language
    ]


LIBRARIES = sorted({name for page in CASES for name in page.expected.get("requires", [])})


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """Imported once and first: some of them change torch when they are imported."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # not there, or there without what it needs
            importlib.import_module(name)
    if "transformers" in sys.modules:
        made = sys.modules["transformers"]  # the first model that is made changes torch's Module
        made.ViTModel(made.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))


def run_python(page: Page, directory: Path) -> dict:
    """The names that the block defines. It runs from a file, so that its lines can be pointed at."""
    path = directory / "case.py"
    path.write_text(f"import torch\nfrom torch import nn\nimport torch.nn.functional as F\n{page.code}")
    spec = importlib.util.spec_from_file_location("case", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


def skip_unless_there(page: Page) -> None:
    for library in page.expected.get("requires", []):
        if library not in sys.modules:
            pytest.skip(f"{library} cannot be imported")


@pytest.mark.parametrize("page", pages("python"))
def test_python_page(page, tmp_path):
    skip_unless_there(page)
    torch.manual_seed(0)
    names = run_python(page, tmp_path)
    model, args = names["model"].eval(), names["args"]
    before = model_state(model)
    if page.one("meta") == "only":
        model, args = model.to("meta"), tuple(arg.to("meta") for arg in args)
    trace = vit_trace.trace(model, *args)
    assert model_state(model) == before
    hold(page, trace)
    quotes(trace, error_of(page, tmp_path))
    for remedy in trace.failure.remedies:
        fresh = run_python(page, tmp_path)
        applied(remedy, fresh["model"].eval(), fresh["args"])


@pytest.mark.parametrize("page", pages("python"))
def test_python_page_on_meta_says_the_same(page, tmp_path):
    skip_unless_there(page)
    names = run_python(page, tmp_path)
    trace = vit_trace.trace(names["model"].eval().to("meta"), *(arg.to("meta") for arg in names["args"]))
    if page.one("meta") == "runs":  # the values of an index decide, which there are none of
        assert trace.failure is None
    else:
        hold(page, trace)
        quotes(trace, error_of(page, tmp_path))


@pytest.mark.parametrize("page", pages("console"))
def test_console_page(page, tmp_path, capsys):
    skip_unless_there(page)
    command = shlex.split(page.code.strip().removeprefix("$ vit-trace"))
    command = [word.replace("DIRECTORY", str(PAGES)) for word in command]
    saved = tmp_path / "trace.json"
    screen = call(capsys, *command, "--format", "rich", "-o", saved)
    assert screen.code == int(page.one("exit", "1"))
    told = screen.err.removeprefix(f"wrote {saved}\n")
    assert "Traceback" not in told + screen.out
    assert told.startswith(f"{'warning' if page.one('exit') == '0' else 'error'}[{page.one('code')}]: ")
    for line in page.expected.get("output", []):
        assert line in " ".join(told.split())
    if page.one("exit", "1") != "1":
        return
    assert "✗" in screen.out or not page.one("stage")  # the root has no row of its own
    trace = Trace.from_json(saved.read_text())
    hold(page, trace)
    for remedy in trace.failure.remedies:
        if not trace.target.spec:
            applied_to_builtin(remedy, trace)
        if remedy.kind in ("hyperparameter", "input") and trace.target.spec and "steps" not in remedy.values:
            assert call(capsys, *with_remedy(command, remedy, trace), "--no-formulas").code == 0, remedy.change


def with_remedy(command: list[str], remedy, trace: Trace) -> list[str]:
    """The command with the settings and the input of a remedy; of several inputs, the first or the named one."""
    values = remedy.values if remedy.kind == "hyperparameter" else remedy.values.get("hyperparameters", {})
    words = [*command, *(f"--set={name}={json.dumps(value)}" for name, value in values.items())]
    if remedy.kind == "hyperparameter":
        return words
    inputs = [stage for stage in trace.stages if stage.kind == "input"]
    given = [(stage.name, stage.outputs[0].shape, stage.outputs[0].dtype) for stage in inputs]
    changed = remedy.values.get("input", given[0][0])
    given = [
        (name, *(remedy.values.get(key, held) if name == changed else held for key, held in pair))
        for name, *pair in ((name, ("shape", shape), ("dtype", dtype)) for name, shape, dtype in given)
    ]
    places = [place for place, word in enumerate(words) if word == "--input"]
    words = [word for place, word in enumerate(words) if not {place, place - 1} & set(places)]
    return [*words, *(f"--input={name}={'x'.join(map(str, shape))}:{dtype}" for name, shape, dtype in given)]


@pytest.mark.parametrize("page", pages("silent"))
def test_silent_page(page, tmp_path):
    """It runs; what is wrong all the same is a warning, or nothing is said."""
    skip_unless_there(page)
    names = run_python(page, tmp_path)
    trace = vit_trace.trace(names["model"].eval(), *names["args"])
    assert trace.failure is None
    assert [one.code for one in trace.diagnostics] == page.expected.get("code", [])
    for text in page.expected.get("message", []):
        assert text in trace.diagnostics[0].message
    for text in page.expected.get("help", []):
        assert text in trace.diagnostics[0].help


@pytest.mark.parametrize("flags", [[], ["--no-formulas"]], ids=["formulas", "numbers"])
def test_a_model_of_one_image_size_that_keeps_its_axes_is_not_warned_of(flags, capsys):
    screen = call(capsys, f"{PAGES / 'exchanged.py'}:Kept", *flags)
    assert screen.code == 0 and "warning" not in screen.err


def error_of(page: Page, directory: Path) -> str:
    """The message of a run on CPU without us, as in training: attention's shortcut for evaluation has other words."""
    names = run_python(page, directory)
    with pytest.raises(Exception) as raised:  # whatever it is that it raises
        names["model"].eval()(*names["args"])
    recursive = isinstance(raised.value, RecursionError)  # what it ended in differs
    return "maximum recursion depth exceeded" if recursive else str(raised.value)


def quotes(trace: Trace, message: str) -> None:
    """The message stands word for word in the headline or in one note, and once."""
    said = [" ".join(text.split()) for text in (trace.failure.message, *trace.failure.notes)]
    places = [text for text in said if " ".join(message.split())[:800] in text]
    assert len(places) == 1 or not message, (message, said)


def hold(page: Page, trace: Trace) -> None:
    """What the page says is so."""
    failure = trace.failure
    assert failure is not None, "it runs"
    stage = trace.stages[failure.stage].name if failure.stage is not None else None
    assert (failure.code, stage) == (page.one("code"), page.one("stage") or ""), failure.message
    made = [f"{one.size} {one.name}" for one in failure.producers]
    assert not set(page.expected.get("producer", [])) - set(made), made
    changes = [one.change for one in failure.remedies]
    assert not set(page.expected.get("remedy", [])) - set(changes), changes
    assert not changes or page.one("remedies") != "none", changes
    if failure.remedies:
        assert [f"{one.change} (tried: runs, output {one.output})" for one in failure.remedies] == list(failure.help)
    for text in page.expected.get("help", []):
        assert text in failure.help
    for text in page.expected.get("note", []):
        assert any(text in note for note in failure.notes), failure.notes
    for text in page.expected.get("message", []):
        assert text in failure.message
    for text in page.expected.get("label", []):
        assert text in [f"{label.span.text} {label.text}" for label in failure.labels]
    assert all(stage.index <= failure.stage or stage.parent is not None for stage in trace.stages)
    assert Trace.from_json(trace.to_json()) == trace
    json.loads(trace.to_json())


# -- applying a remedy without the code that tried it ---------------------------------------------------------------


def applied(remedy, model: nn.Module, args: tuple) -> None:
    """The remedy on a real model with real inputs, run by torch alone; the output is the one that was promised."""
    values, others = remedy.values, list(args)
    place = [*inspect.signature(model.forward).parameters].index(values["input"]) if "input" in values else 0
    x = others[place]
    if remedy.kind == "input":
        x = stepped(x, values.get("steps", []))
        x = torch.zeros(values["shape"], dtype=x.dtype) if "shape" in values else x
        others[place] = x.to(getattr(torch, values["dtype"])) if "dtype" in values else x
    if remedy.kind == "model":
        model.to(getattr(torch, values["dtype"]))
    if remedy.kind in ("parameter", "attribute"):
        for name, value in values.items():
            path, _, attribute = name.rpartition(".")
            module = model.get_submodule(path)
            if not isinstance(value, list):
                setattr(module, attribute, value)
                continue
            new = torch.zeros(value)
            if attribute in module._buffers:
                module._buffers[attribute] = new
            else:
                setattr(module, attribute, nn.Parameter(new))
            if isinstance(module, nn.LayerNorm):
                module.normalized_shape = tuple(value)
            if isinstance(module, nn.GroupNorm):
                module.num_channels = value[0]
            if isinstance(module, nn.Embedding):
                module.num_embeddings = value[0]
    for path in values.get("modules", []):
        model.get_submodule(path).register_forward_pre_hook(
            lambda _, *given: counted_to(values.get("operand", 0), values["steps"], given), with_kwargs=True
        )
        if "back" in values:
            model.get_submodule(path).register_forward_hook(lambda _, __, out: stepped(out, values["back"]))
    first = first_output(model, others, values)
    assert ("×".join(map(str, first.shape)) or "scalar") == remedy.output.split(" ")[0], remedy.change
    x = others[place]
    if x.ndim > 1 and first.shape[:1] == x.shape[:1] and len(x) > 1 and x.is_floating_point():
        others[place] = torch.cat((x[:1], torch.rand_like(x[1:])))
        again = first_output(model, others, values)
        assert torch.allclose(first[0], again[0], atol=1e-4), f"{remedy.change} mixes images"


def first_output(model: nn.Module, args: list, values: dict) -> torch.Tensor:
    """The first tensor that the model gives, its calls edited as a remedy says; the same each time."""
    torch.manual_seed(0)
    with torch.no_grad(), contextlib.ExitStack() as stack:
        for one in (values, *values.get("others", ())) if "span" in values else ():
            stack.enter_context(edited_einops(one) if one["call"] in ("rearrange", "repeat") else Edited(one))
        output = model(*args)
    first = next(iter(output.values())) if isinstance(output, dict) else output
    return first[0] if isinstance(first, (tuple, list)) else first


def stepped(tensor: torch.Tensor, steps: list) -> torch.Tensor:
    """The tensor after methods with their arguments."""
    for name, *numbers in steps:
        if name == "interpolate":
            tensor = F.interpolate(tensor, numbers, mode="bilinear")
        else:
            tensor = F.pad(tensor, numbers) if name == "pad" else getattr(tensor, name)(*numbers)
    return tensor


def callers() -> list:
    """The frames that are running, the innermost first."""
    return [frame for frame, _ in traceback.walk_stack(sys._getframe())]


def place_of(frame) -> list:
    """[line, column, end line, end column] of the expression that a frame evaluates."""
    line, end_line, column, end_column = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return [line, column, end_line, end_column]


@contextlib.contextmanager
def edited_einops(values: dict):
    """A call of einops as if it had been edited: both functions hand over to `reduce`."""
    home = importlib.import_module("einops.einops")
    before = home.reduce

    def edited(tensor, pattern, reduction, **axes):
        places = [(frame.f_code.co_filename, place_of(frame)) for frame in callers()]
        here = (values["file"], values["span"]) in places
        if here:
            tensor, axes = stepped(tensor, values.get("steps", [])), axes | values.get("arguments", {})
        return before(tensor, pattern, reduction, **axes)

    home.reduce = edited
    try:
        yield
    finally:
        home.reduce = before


class Edited(TorchFunctionMode):
    """The failing call as if it had been edited, by the place that its expression has in the source."""

    def __init__(self, values: dict) -> None:
        super().__init__()
        self.values = values

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, values = dict(kwargs or {}), self.values
        here = any(
            (frame.f_code.co_filename, place_of(frame)) == (values["file"], values["span"]) for frame in callers()
        )
        if func.__name__ != values["call"] or not here:
            return func(*args, **kwargs)
        if "arguments" in values:
            return func(*args[:1], **(kwargs | values["arguments"]))
        if "pairs" in values:
            pad = [*(args[1] if len(args) > 1 else kwargs.pop("pad")), *[0] * 8][:8]
            return func(args[0], [size for at in values["pairs"] for size in pad[2 * at : 2 * at + 2]], **kwargs)
        if "sizes" in values:
            sizes = list(args[1]) if isinstance(args[1], (tuple, list)) else list(args[1:])
            return func(args[0], [values["sizes"].get(str(place), size) for place, size in enumerate(sizes)])
        args, kwargs = counted_to(values["operand"], values["steps"], (args, kwargs))
        return func(*args, **kwargs)


def counted_to(place: int, steps: list, given: tuple) -> tuple:
    """The arguments with one tensor changed: the one that stands at a place among them, or alone in its container."""
    count = itertools.count()
    if steps == [["alone"]]:
        tensor = [one for one in tree_leaves(given) if isinstance(one, torch.Tensor)][place]
        alone = [tensor if any(held is tensor for held in tree_leaves(value)) else value for value in given[0]]
        return tuple(alone), given[1]
    return tree_map_only(torch.Tensor, lambda one: stepped(one, steps) if next(count) == place else one, given)


def applied_to_builtin(remedy, trace: Trace) -> None:
    values = dict(trace.target.hyperparameters)
    values |= remedy.values if remedy.kind == "hyperparameter" else remedy.values.get("hyperparameters", {})
    del values["batch_size"]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    given = trace.stages[0].outputs[0]
    x = torch.zeros(given.shape, dtype=getattr(torch, given.dtype))
    model = ViT(**values).eval()
    applied(remedy, model.to(x.dtype) if remedy.kind == "model" else model, (x,))


def test_there_are_enough_pages():
    others = [page for page in CASES if "requires" in page.expected]
    assert len(CASES) >= 120 and len(others) >= 40, (len(CASES), len(others))
