"""`check` on pages of configs: for each all that is to be said of it, where, and what happens when one follows it.

A page has a section per config: its text (or a command line), then one line for each error and warning, in order:
`line:column severity code`; nothing for a config that is sound. Notes are left out: they are advice on speed.
"""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.commands import call
from helpers.pages import Section, sections
from helpers.places import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_trace.check.judge import judge_spec
from vit_trace.check.many import expanded, verdicts
from vit_trace.check.options import Check
from vit_trace.check.rules import all_rules
from vit_trace.check.verdict import Verdict
from vit_trace.config import load
from vit_trace.probing.run import run_target
from vit_trace.render.codes import MEANINGS as CODES
from vit_trace.targets.builtin import builtin
from vit_trace.targets.request import Request

PAGES = Path(__file__).parent / "pages"
SUFFIX = {"yaml": "config.yaml", "json": "config.json"}
TRIED = " (tried: builds and runs)"


CASES = sections(PAGES)
ASKED = Check(verbose=True)


def model(*assignments: str, inputs: tuple[str, ...] = ()) -> Request:
    return Request(assignments=assignments, inputs=inputs)


def verdict_of(case: Section, folder: Path) -> Verdict:
    if case.language == "console":
        spec, *words = shlex.split(case.text)
        sets = [value for flag, value in pairwise(words) if flag == "--set"]
        inputs = [value for flag, value in pairwise(words) if flag == "--input"]
        return judge_spec(spec, model(*sets, inputs=tuple(inputs)))
    file = folder / SUFFIX[case.language]
    file.write_text(case.text)
    return judge_spec(str(file), model())


def said(verdict: Verdict, case: Section) -> list[str]:
    """What a page lists of a verdict."""
    lines = []
    for one in verdict.diagnostics:
        if one.severity == "note":
            continue
        place = f"{one.span.line}:{one.span.column + 1} " if one.span else "1:1 "
        lines.append(f"{'' if case.language == 'console' else place}{one.severity} {one.code}")
    return lines


@pytest.fixture(scope="module")
def verdict_as_given(tmp_path_factory):
    """The verdict on a case as it stands on its page, worked out once."""
    found: dict[str, Verdict] = {}

    def verdict(case: Section) -> Verdict:
        if case.name not in found:
            found[case.name] = verdict_of(case, tmp_path_factory.mktemp("case"))
        return found[case.name]

    return verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said(case, verdict_as_given):
    verdict = verdict_as_given(case)
    assert said(verdict, case) == case.expected
    assert all(one.code in CODES or one.severity == "error" for one in verdict.diagnostics)
    if not any(" error" in f" {line}" for line in case.expected):
        assert verdict.parameters and verdict.flops


def test_the_corpus_is_large_enough():
    assert sum(bool(case.expected) for case in CASES) >= 60
    assert sum(not case.expected for case in CASES) + len(list(CONFIGS.glob("*.yaml"))) >= 55


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_published_configs_are_sound_and_counted_as_they_are_traced(file):
    """One layer stands for all: the sums are those of the whole trace."""
    verdict = judge_spec(str(file), model())
    whole = run_target(builtin(load(file)), formulas=False)
    assert not [one for one in verdict.diagnostics if one.severity != "note"]
    assert (verdict.parameters, verdict.flops) == (whole.totals.parameters, whole.totals.flops)


# -- remedies ------------------------------------------------------------------------------------------------------

WARNED = [case for case in CASES if case.language in SUFFIX and any(" warning " in line for line in case.expected)]


def followed(text: str, remedy: str, language: str) -> str:
    """The config with a remedy written into it."""
    if language == "json":
        return json.dumps(json.loads(text) | json.loads("{" + remedy + "}"))
    for change in re.split(r", (?=\w+: )", remedy):
        name, _, value = change.partition(": ")
        line = f"{name}: {value}"
        text, count = re.subn(rf"^{name}:.*$", line, text, flags=re.M)
        text = text if count else f"{text.rstrip()}\n{line}\n"
    return text


@pytest.mark.parametrize("case", WARNED, ids=lambda case: case.name)
def test_remedies_hold_when_they_are_written_into_the_file(case, verdict_as_given, tmp_path):
    before = verdict_as_given(case)
    alarms = {one.code for one in before.diagnostics if one.severity != "note"}
    remedies = [(one.code, help) for one in before.diagnostics for help in one.help if help.endswith(TRIED)]
    assert remedies or alarms <= WITHOUT_REMEDY or "one-token" in alarms
    for code, help in remedies:
        text = followed(case.text, help.removesuffix(TRIED), case.language)
        after = verdict_of(Section("", case.language, text, []), tmp_path)
        codes = {one.code for one in after.diagnostics}
        assert code not in codes, help
        assert {one.code for one in after.diagnostics if one.severity != "note"} <= alarms
        assert after.parameters


WITHOUT_REMEDY = {"misspelt-field", "other-library-name", "labels-disagree", "stages-of-other-length", "few-patches"}
"""Findings that say what is wrong, and for which nothing is tried: what is meant is not known."""

SIZES = st.fixed_dictionaries(
    {
        "image_size": st.sampled_from([32, 64, 224, 250]),
        "patch_size": st.sampled_from([8, 16, 32]),
        "dim": st.integers(1, 300),
        "depth": st.integers(1, 3),
        "heads": st.integers(1, 9),
        "dim_head": st.integers(1, 300),
        "mlp_dim": st.integers(1, 500),
        "num_classes": st.integers(1, 3),
        "dropout": st.sampled_from([0, 0.5, 1]),
    }
)


@settings(max_examples=25, deadline=None)
@given(SIZES)
def test_rules_and_their_remedies_on_any_config(tmp_path_factory, sizes):
    """The rules' own arithmetic done again, and every remedy of every finding followed."""
    text = "".join(f"{name}: {value}\n" for name, value in sizes.items())
    folder = tmp_path_factory.mktemp("any")
    verdict = verdict_of(Section("", "yaml", text, []), folder)
    codes = {one.code for one in verdict.diagnostics}
    if sizes["image_size"] % sizes["patch_size"]:
        assert codes == {"patch-divides-image"}
        return
    wide = sizes["heads"] * sizes["dim_head"]
    tokens = (sizes["image_size"] // sizes["patch_size"]) ** 2 + 1
    assert ("heads-do-not-fill-dim" in codes) == (wide != sizes["dim"] and 3 < 4 * wide / sizes["dim"] < 5)
    assert ("mlp-narrower-than-dim" in codes) == (sizes["mlp_dim"] < sizes["dim"])
    assert ("one-class" in codes) == (sizes["num_classes"] == 1)
    assert ("drops-everything" in codes) == (sizes["dropout"] == 1)
    assert ("one-token" in codes) == (tokens == 2)
    assert ("sequence-just-over-tile" in codes) == (
        tokens > 64 and 1 <= tokens % 64 <= 8 and sizes["image_size"] != 224  # a size that published weights have
    )
    assert ("flash-attention-head" in codes) == (sizes["dim_head"] > 256 or sizes["dim_head"] % 8 > 0)
    for one in verdict.diagnostics:
        for help in one.help:
            after = verdict_of(Section("", "yaml", followed(text, help.removesuffix(TRIED), "yaml"), []), folder)
            assert one.code not in {other.code for other in after.diagnostics}, help


def test_every_rule_is_documented_and_met_on_a_page():
    met = {line.split()[-1] for case in CASES for line in case.expected}
    for rule in all_rules():
        assert rule.code in CODES
        assert rule.code in met or rule.severity == "note"


# -- many ----------------------------------------------------------------------------------------------------------


def test_several_processes_say_what_one_says_in_the_same_order(tmp_path):
    for place, case in enumerate([case for case in CASES if case.language == "yaml"][::3]):
        (tmp_path / f"{place:03}.yaml").write_text(case.text)
    specs = expanded([str(tmp_path)])
    assert specs == sorted(specs)
    alone = list(verdicts(specs, model(), ASKED._replace(jobs=1)))
    assert [one.spec for several in alone for one in several] == specs
    assert list(verdicts(specs, model(), ASKED._replace(jobs=2))) == alone


def test_globs_and_directories_stand_for_their_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / ".hidden").mkdir(parents=True)
    (tmp_path / "a" / "model").mkdir()
    for name in ("a/one.yaml", "a/two.yml", "a/.hidden/three.yaml", "b.yaml", "a/model/config.json", "a/notes.txt"):
        (tmp_path / name).write_text("")
    assert expanded(["a"]) == ["a/model/config.json", "a/one.yaml", "a/two.yml"]
    assert expanded(["*.yaml", "b.yaml"]) == ["b.yaml"]
    assert expanded(["**/*.yaml"]) == ["a/one.yaml", "b.yaml"]
    assert expanded(["a/model"]) == ["a/model"]
    assert "timm:vit_tiny_patch16_224" in expanded(["timm:vit_tiny_*"])


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "flags", "code"),
    [
        ("dim: 768\nheads: 12\nmlp_dim: 3072", [], 0),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["--strict"], 0),
        ("mlp_dim: 5", [], 0),
        ("mlp_dim: 5", ["--strict"], 1),
        ("mlp_dim: five", [], 1),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["--heads", "0"], 1),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["--set", "mlp_dim=8", "--strict"], 1),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["--input", "2x3x288x288"], 1),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["nowhere.yaml"], 2),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["--format", "xml"], 2),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["-o", "report.pdf"], 2),
        ("dim: 768\nheads: 12\nmlp_dim: 3072", ["--suggest", "color"], 2),
    ],
)
def test_exit_codes(capfd, tmp_path, text, flags, code):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    found, out, err = call(capfd, "check", file, *flags)
    assert found == code
    assert "Traceback" not in out + err


def test_a_config_json_that_is_missing_or_no_json_is_told_where_it_is(capfd, tmp_path):
    missing, broken = tmp_path / "config.json", tmp_path / "broken.json"
    broken.write_text('{"a": ,}')
    code, out, err = call(capfd, "check", missing)
    assert code == 2 and "no-such-file" in out + err
    code, out, err = call(capfd, "check", broken, "--format", "concise")
    assert code == 1 and re.search(r"broken\.json:1:7: .*not-json", out + err)


def test_concise_is_as_editors_read_it(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("patch_size: 32\nimage_size: 250\n")
    (tmp_path / "other.yaml").write_text("dim: 770\nheads: 12\nmlp_dim: 3072\n")
    code, out, err = call(capfd, "check", "mine.yaml", "other.yaml", "--format", "concise")
    assert (code, err) == (1, "")
    lines = [line for line in out.splitlines() if " note[" not in line]
    assert (
        lines[0] == "mine.yaml:2:13: error[patch-divides-image]: image height 250 is not a multiple of patch height 32"
    )
    assert lines[1] == "other.yaml:2:8: warning[heads-do-not-fill-dim]: heads 12 × dim_head 64 = 768, dim is 770"
    assert re.fullmatch(r"2 configs · 1 error · 1 warning · \d notes? not shown \(-v shows all\)", lines[2])


def test_suggested_values_are_those_that_timm_builds(capfd):
    """Heads of a ViT-Ti: timm asserts that they divide its width of 192. The nearest of them are shown."""
    divisors = [str(heads) for heads in range(1, 193) if 192 % heads == 0]
    words = ("timm:vit_tiny_patch16_224", "--set", "depth=1", "--suggest", "heads", "--format", "json")
    code, out, _ = call(capfd, "check", *words)
    values = json.loads(out)["configs"][0]["suggestions"][0]["values"]
    assert code == 0
    assert [one["value"] for one in values] == divisors[: len(values)] and len(values) > 5
    code, out, _ = call(capfd, "check", *words[:1], "--set", "num_heads=5", *words[1:])
    values = json.loads(out)["configs"][0]["suggestions"][0]["values"]
    assert code == 1
    assert [one["value"] for one in values] == [str(heads) for heads in range(2, 11) if 192 % heads == 0]


def test_suggested_costs_are_those_of_the_whole_model(capfd):
    _, out, _ = call(capfd, "check", "--suggest", "depth", "--format", "json")
    values = json.loads(out)["configs"][0]["suggestions"][0]["values"]
    assert len(values) > 4
    for one in values:
        totals = run_target(builtin(load(None, {"depth": one["value"]})), formulas=False).totals
        assert (one["parameters"], one["flops"]) == (totals.parameters, totals.flops)


@pytest.mark.parametrize("children", [2, 3], ids=["first worker starts", "second worker starts"])
def test_ctrl_c_ends_all_processes_at_once_and_quietly(tmp_path, children):
    """The signal comes just as a worker starts, after Python's own tracker of semaphores."""
    for place in range(3000):
        (tmp_path / f"{place}.yaml").write_text("depth: 2")
    words = [sys.executable, "-m", "vit_trace", "check", str(tmp_path), "--jobs", "2"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        deadline = time.monotonic() + 30
        started = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(started.read_text().split()) < children and time.monotonic() < deadline:
            pass
        assert len(started.read_text().split()) >= children, "the workers never came"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        while len(members(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert not members(process.pid)


def members(session: int) -> list[str]:
    """Processes of a session that still run."""
    found = subprocess.run(["ps", "-o", "stat=", "-s", str(session)], capture_output=True, text=True).stdout.split()
    return [state for state in found if not state.startswith("Z")]
