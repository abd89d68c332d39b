"""A search for values ends by work, not by time, and says so on the screen and in the JSON."""

import json
import time

import pytest
from helpers.commands import call

from vit_trace.check import judge, search, suggest
from vit_trace.targets.request import NO_REQUEST

YAML = "dim: 770\nheads: 12\nmlp_dim: 3072\n"


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(YAML)
    return str(file)


def called(capfd, *words: str) -> str:
    return " ".join(call(capfd, "check", *words).out.split())


def test_remedies_end_at_the_limit_and_the_report_says_so(config, monkeypatch, capfd):
    assert "search-cut-off" not in called(capfd, config)
    monkeypatch.setattr(judge, "LIMIT", 1)
    told = "remedies: 1 tried, "
    assert told in called(capfd, config, "-v")
    found = json.loads(called(capfd, config, "--format", "json"))["configs"][0]["diagnostics"]
    note = next(one for one in found if one["code"] == "search-cut-off")
    assert note["severity"] == "note" and told in note["message"]
    assert sum(len(one["help"]) for one in found) <= 1


def test_suggestions_end_at_the_limit_and_the_report_says_so(config, monkeypatch, capfd):
    words = (config, "--set", "dim_head=64", "--suggest", "heads", "--format", "json")
    monkeypatch.setattr(suggest, "LIMIT", 1)
    (verdict,) = json.loads(called(capfd, *words))["configs"]
    assert len(verdict["suggestions"][0]["values"]) <= 2
    told = [one["message"] for one in verdict["diagnostics"] if one["code"] == "search-cut-off"]
    assert told == ["--suggest heads: 1 tried, 23 not tried: the limit is 1 traced stages"]


def test_no_clock_has_a_say(config, monkeypatch):
    """Hours pass between any two looks at a clock, and nothing changes."""
    before = judge.judge_spec(config, NO_REQUEST)
    for name in ("time", "perf_counter", "monotonic", "process_time"):
        clock = iter(range(0, 10**9, 10_000))
        monkeypatch.setattr(time, name, lambda clock=clock: float(next(clock)))
    assert judge.judge_spec(config, NO_REQUEST) == before
    assert any(one.help for one in before.diagnostics)


def test_a_value_that_cannot_be_built_counts_too():
    looking = search.Search(None, NO_REQUEST, 2 * search.LEAST)
    for _ in range(3):
        assert looking.at({"heads": 0}) is None
    assert (looking.left, looking.tried, looking.skipped) == (0, 2, 1)
