"""Trials after a failure are counted, not timed: a busy machine finds what a quiet one does, and a cut is said."""

import ast
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import vit_trace
from vit_trace.cli import app as cli
from vit_trace.diagnose import construct, trials

DIAGNOSE = Path(trials.__file__).parent
PAGES = Path(__file__).parent / "pages"


class Wide(nn.Module):
    """A layer of another width than its input, which more than one change mends."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 12), nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def failure():
    return vit_trace.trace(Wide(), torch.zeros(2, 3, 8)).failure


@pytest.mark.parametrize(("limit", "value"), [("TRIALS", 1), ("WORK", 1)])
def test_a_search_that_ends_early_says_so(limit, value, monkeypatch):
    whole = failure()
    assert len(whole.remedies) > 1 and not any("stopped after" in note for note in whole.notes)
    monkeypatch.setattr(trials, limit, value)
    cut = failure()
    assert cut.remedies == whole.remedies[: len(cut.remedies)] and len(cut.remedies) < len(whole.remedies)
    assert "stopped after 1 trial: more fixes may exist" in cut.notes


def test_the_json_and_the_screen_say_that_a_search_ended_early(monkeypatch, capsys):
    monkeypatch.setattr(trials, "TRIALS", 1)
    command = ["--image-size", "64", "--patch-size", "16", "--depth", "1", "--input", "1x3x80x80"]
    assert cli.run(command) == 1
    assert "stopped after 1 trial: more fixes may exist" in capsys.readouterr().err
    assert cli.run([*command, "--format", "json"]) == 1
    assert "stopped after 1 trial: more fixes may exist" in json.loads(capsys.readouterr().out)["failure"]["notes"]


def test_builds_that_are_not_tried_any_more_are_said(monkeypatch, capsys):
    monkeypatch.setattr(construct, "TRIALS", 0)
    assert cli.run([f"{PAGES / 'broken_constructor.py'}:Net"]) == 2
    assert "stopped after 0 trials: other values may build" in capsys.readouterr().err


def clocks(text: str) -> set[str]:
    """Modules of clocks that a file imports."""
    nodes = list(ast.walk(ast.parse(text)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return (names | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}) & {"time", "timeit"}


def test_the_model_without_settings_is_built_once_not_for_every_trial(monkeypatch, capsys):
    timm = pytest.importorskip("timm")
    builds, make = [], timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *args, **given: builds.append(given) or make(*args, **given))
    settings = ("--set", "depth=1", "--set", "img_size=1e400")
    assert cli.run(["timm:vit_tiny_patch16_224", *settings, "--no-formulas"]) == 2
    assert "without --set img_size=1e400 (tried: builds)" in capsys.readouterr().err
    assert len(builds) > 30
    assert sum(not {"depth", "img_size"} & given.keys() for given in builds) == 1


def test_no_clock_ends_a_search():
    assert not [path for path in DIAGNOSE.rglob("*.py") if clocks(path.read_text())]
    assert clocks("def f():\n    from time import perf_counter\n") == {"time"}
