"""The corpus of hostile inputs as forks of one process, and mutated saved traces: how each ends, in time and memory."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import python_process
from helpers.everything import RARELY
from helpers.places import ROOT

sys.path.insert(0, str(ROOT))
from tests.hostile import fuzz, fuzz_settings
from vit_trace.cli.app import run

KINDS = [one.name for one in pkgutil.iter_modules([str(ROOT / "tests" / "hostile")])]
ALONE = ("__main__", "case", "fuzz", "fuzz_settings", "environments", "endless")
"""What is no kind of case, and kinds that are run by hand: their cases are no forks, or take all the time they may."""

SHARE = int(os.environ.get("VIT_TRACE_HOSTILE_SHARE", "8"))
"""Every so many-th case is run; `python -m tests.hostile` takes all."""


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_the_corpus_holds(half):
    kinds = [name for name in KINDS if name not in ALONE][half::2]
    code = f"from tests.hostile.__main__ import main; raise SystemExit(main({kinds}, forked=True, share={SHARE}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_runner_can_fail():
    code = (
        "import tests.hostile.outputs as one\n"
        "from tests.hostile.__main__ import Case, main\n"
        "one.CASES = [Case('a', ('show', 'no.json'), 1), Case('b', ('show', 'no.json'), 2, 'made up')]\n"
        "raise SystemExit(main(['outputs'], forked=True))"
    )
    done = python_process("-c", code, PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert (
        "exit 2, not 1" in done.stdout
        and "does not say 'made up'" in done.stdout
        and "2 cases, 2 failed" in done.stdout
    )


@pytest.mark.parametrize(
    ("first", "count"), [(0, 20), *(pytest.param(start, 145, marks=pytest.mark.slow) for start in range(20, 600, 145))]
)
def test_a_mutated_trace_is_shown_or_refused(first, count, tmp_path: Path):
    bases, file = fuzz.saved_bases(tmp_path), tmp_path / "x.json"
    codes = set()
    for seed in range(first, first + count):
        file.write_bytes(fuzz.mutant(bases, seed))
        shown = list(fuzz.shown(file, seed))
        codes |= {one.code for one in shown}
        assert not any(one.fault for one in shown), f"seed {seed}: {[one.fault for one in shown]}"
    assert 2 in codes and codes & {0, 1}


@pytest.mark.parametrize(
    ("first", "count"), [(0, 12), pytest.param(12, 75, marks=pytest.mark.slow), pytest.param(87, 75, marks=RARELY)]
)
def test_mutated_settings_are_traced_or_refused(first, count, tmp_path: Path):
    for seed in range(first, first + count):
        words = fuzz_settings.command(seed, tmp_path)
        faults = list(fuzz_settings.faults_of(words))
        assert not faults, f"seed {seed}: {words}: {faults}"


def test_a_working_directory_that_was_deleted_is_said(tmp_path: Path, monkeypatch, capsys):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(["--depth", "1", "-o", "x.json"]) == 2
    assert "error[no-such-file]: the working directory does not exist any more" in capsys.readouterr().err
