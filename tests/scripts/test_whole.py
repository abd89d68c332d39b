"""Scripts that no shape ends: `vit-trace run` changes nothing of them, byte for byte."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import environment

FOLDER = Path(__file__).parent / "whole"
PASSING = re.compile(rb"0x[0-9a-f]+|line repeated \d+")
"""What differs between two runs anyway: addresses, and how many frames are left of the limit of recursion."""

SLOW = {"plain_loop", "missing_key", "missing_file", "own_error", "loader", "amp_checkpoint", "spawned", "frameworks"}
"""Scripts that import torch, or start Python several times."""


def scripts():
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem != "neighbour":
            yield pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else (), id=path.stem)


def outcome(words, folder):
    """Exit code, output and files of a command that runs in a folder of its own."""
    folder.mkdir()
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment(), input=b"typed", timeout=120)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return done.returncode, done.stdout, PASSING.sub(b"", done.stderr), files


@pytest.mark.parametrize("path", scripts())
def test_a_script_runs_as_it_does_alone(path, tmp_path):
    words = re.findall(r"^# args: (.*)$", path.read_text(), re.MULTILINE)
    words = words[0].split() if words else []
    alone = outcome([path, *words], tmp_path / "alone")
    ours = outcome(["-m", "vit_trace", "run", path, *words], tmp_path / "ours")
    assert ours == alone


@pytest.mark.parametrize("name", ["whole.arguments", "whole.imports", "whole.no_such", "whole"])
def test_a_module_runs_as_it_does_alone(name, tmp_path):
    for way, first in (("alone", ["-m"]), ("ours", ["-m", "vit_trace", "run", "-m"])):
        (tmp_path / f"{way}.txt").write_text(repr(_module(first, name)))
    assert (tmp_path / "alone.txt").read_text() == (tmp_path / "ours.txt").read_text()


def _module(first, name):
    command = [sys.executable, *first, name, "--lr", "2"]
    done = subprocess.run(command, capture_output=True, cwd=FOLDER.parent, env=environment(), timeout=120)
    return done.returncode, PASSING.sub(b"", done.stdout), done.stderr


def test_a_script_keeps_its_flags_beside_ours(tmp_path):
    alone = outcome([FOLDER / "arguments.py", "--lr", 3], tmp_path / "alone")
    assert (
        outcome(["-m", "vit_trace", "run", "-o", "crash.txt", FOLDER / "arguments.py", "--lr", 3], tmp_path / "ours")
        == alone
    )


def test_the_comparison_can_fail(tmp_path):
    path = FOLDER / "arguments.py"
    assert outcome([path, "--lr", 1], tmp_path / "a") != outcome([path, "--lr", 2], tmp_path / "b")
