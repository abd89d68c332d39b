"""Every screen at every width: it ends, no line is wider than the screen, and names count by the cells they take."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from vit_trace.base.trace import Diagnostic, Source, Trace
from vit_trace.check.many import verdicts
from vit_trace.check.options import Check
from vit_trace.cli.app import run
from vit_trace.cli.verbs import verb_names
from vit_trace.render.console import console_for
from vit_trace.render.diagnostics import print_diagnostic
from vit_trace.render.explain import print_size, print_stages
from vit_trace.render.formats import formats_of
from vit_trace.targets.request import Request
from vit_trace.view.screen import VIEWS, Screen, Viewed

WIDE = "宽度e\u0301👩‍👩‍👧❤️ａ"
"""Characters of two cells, of none, and some that are drawn as one."""

SMALL = {"depth": "2", "dim": "32", "heads": "2"}
Print = Callable[[Console], None]


@pytest.fixture(scope="module")
def screens(tmp_path_factory) -> dict[str, Print]:
    """Each screen as a function that prints it on a console."""
    folder = tmp_path_factory.mktemp("widths")
    good = traced(SMALL)
    bad = traced(SMALL, "2x3x288x288")
    found: dict[str, Print] = {}
    for name, trace in {"": good, "failed ": bad, "wide ": widened(good)}.items():
        found |= {f"{name}{view}": written("trace", Viewed(trace, Screen(view=view))) for view in VIEWS}
    found["beside"] = written("trace", Viewed(good, Screen(), (("image_size=256", good), (f"image_size={WIDE}", good))))
    found["a crash"] = lambda console: print_diagnostic(console, bad.failure)
    found["a wide diagnostic"] = lambda console: print_diagnostic(console, wide_diagnostic())
    found["a size"] = lambda console: print_size(good, 64, console)
    found["a stage"] = lambda console: print_stages(good, [one for one in good.stages if "to_qkv" in one.name], console)
    found["check"] = written("check", judged(folder))
    found["a checkpoint"] = written("checkpoint", held(folder))
    return found


def traced(hyperparameters: dict[str, str], *inputs: str) -> Trace:
    from vit_trace.cli.tracing import run_trace

    return run_trace(None, Request(hyperparameters, inputs=inputs), needs_source=True)


def widened(trace: Trace) -> Trace:
    """The trace of a model whose names and texts take other numbers of cells than of characters."""
    stages = tuple(replace(one, name=one.name + WIDE, operation=WIDE * 3) for one in trace.stages)
    listing = tuple(
        replace(
            one,
            function=f"{one.function}{WIDE}",
            modules=(WIDE,),
            lines=tuple(replace(line, text=f"{line.text} # {WIDE * 4}") for line in one.lines),
        )
        for one in trace.listing
    )
    return replace(trace, stages=stages, listing=listing, target=replace(trace.target, class_=WIDE * 4))


def wide_diagnostic() -> Diagnostic:
    text = f"    {WIDE} = {WIDE * 9}"
    span = Source(f"{WIDE * 5}.py", 123, 123, 4, 4 + len(WIDE), text)
    return Diagnostic("some-code", "error", WIDE * 9, span, (WIDE, f"{WIDE}\n{WIDE * 20}"), ("x" * 300,))


def judged(folder: Path) -> list:
    """Verdicts with warnings, notes, suggestions and memory, one of a file with a wide name."""
    file = folder / f"{WIDE}.yaml"
    file.write_text("depth: 1\ndim: 33\nheads: 4\nimage_size: 64\n")
    asked = Check(suggest=("heads",), memory="1MiB")
    judged = verdicts([str(file), str(folder / "missing.yaml")], Request(), asked)
    return [verdict for several in judged for verdict in several]


def held(folder: Path):
    import torch
    from safetensors.torch import save_file

    from vit_trace.vit import ViT
    from vit_trace.weights.files import read
    from vit_trace.weights.holding import holding

    model = ViT(image_size=64, patch_size=32, num_classes=5, dim=32, depth=1, heads=2, mlp_dim=48)
    save_file(
        {name: torch.zeros(value.shape) for name, value in model.state_dict().items()}, folder / f"{WIDE}.safetensors"
    )
    return holding(read(folder / f"{WIDE}.safetensors"))


def written(subject, content) -> Print:
    return lambda console: formats_of(subject)["rich"].write(content, console.file)


def too_wide(text: str, width: int) -> list[str]:
    """Lines that are wider than the screen and could be broken: file.py:10:5 stays whole for who follows it."""
    lines = (line for line in text.split("\n") if not line.lstrip().startswith("--> "))
    return [line for line in lines if cell_len(line) > max(width, 2 if not line.isascii() else 1)]


def screen(show: Print, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    show(console_for(stream))
    return stream.getvalue()


FEW = (1, 2, 3, 7, 20, 41)
MANY = sorted({*range(4, 48, 5), *range(48, 201, 30)} - {*FEW})


@pytest.mark.parametrize("width", [*FEW, *(pytest.param(width, marks=pytest.mark.slow) for width in MANY)])
def test_no_line_is_wider_than_the_screen(screens, width, monkeypatch):
    for name, show in screens.items():
        text = screen(show, width, monkeypatch)
        assert text and not too_wide(text, width), f"{name} at {width}"


PAGES = [["--help"], *([name, "--help"] for name in verb_names()), ["explain", "broadcast"]]


@pytest.mark.parametrize("width", [1, 2, 9, 30, 49])
def test_no_line_of_the_help_is_wider_than_the_screen(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    for words in PAGES:
        assert run(words) == 0
        text = capsys.readouterr().out
        assert text and not too_wide(text, width), words


@pytest.mark.parametrize("variable", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("value", ["", "0", "-5", "²", "1.5", "words", "9" * 30, "9" * 5000], ids=lambda text: text[:9])
def test_a_size_of_the_screen_that_is_none(variable, value, monkeypatch, capsys):
    monkeypatch.setenv(variable, value)
    monkeypatch.delenv("COLUMNS" if variable == "LINES" else "LINES", raising=False)
    assert run(["show", "no/such/trace.json"]) == 2
    assert "error[unreadable-trace]: there is no file no/such/trace.json\n" in capsys.readouterr().err
