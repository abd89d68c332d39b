"""Traces of one model side by side: each column holds what a trace at those values has."""

import re

import pytest
from helpers.commands import call

SMALL = ("--dim", 24, "--depth", 2, "--heads", 2, "--mlp-dim", 32, "--num-classes", 5, "--batch-size", 2)


@pytest.fixture
def saved(capfd, tmp_path):
    file = tmp_path / "trace.json"
    call(capfd, *SMALL, "--image-size", 64, "--patch-size", 16, "-o", file)
    return file


def shapes_of(capfd, *arguments):
    """The shapes of a trace of its own, row by row."""
    out = call(capfd, *SMALL, *arguments, "--columns", "stage,shape", "--width", 100).out
    return re.findall(r"\d+(?:×\d+)+$", out.partition("\n\n")[2].partition("\n\n")[0], flags=re.M)


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (("--with", "patch_size=8", "--compare"), [("--patch-size", 16), ("--patch-size", 8)]),
        (("--with", "patch_size=8,32"), [("--patch-size", 8), ("--patch-size", 32)]),
        (
            ("--with", "patch_size=8", "--with", "dim=48", "--compare"),
            [("--patch-size", 16), ("--patch-size", 8, "--dim", 48)],
        ),
    ],
)
def test_each_column_is_the_trace_at_those_values(capfd, saved, words, others):
    code, out, _ = call(capfd, "show", saved, *words, "--width", 100)
    _, rows, differs = re.split(r"\n\n(?=stage|what)", out)
    columns = [re.findall(r"(?<![×\d])\d+(?:×\d+)+(?![×\d])", row) for row in rows.splitlines()[1:]]
    columns = [one for one in columns if one]
    assert code == 0 and {len(one) for one in columns} == {2}
    for place, other in enumerate(others):
        assert [one[place] for one in columns] == shapes_of(capfd, *other, "--image-size", 64)
    assert "parameters" in differs and "pos_embedding" in differs


def test_what_differs_is_counted(capfd, saved):
    differs = call(capfd, "show", saved, "--with", "image_size=128", "--compare", "--width", 100).out.partition(
        "what differs"
    )[2]
    assert re.search(r"^n +16 +64 +×4$", differs, flags=re.M)
    assert re.search(r"^pos_embedding +1×17×24 +1×65×24 +×3.82$", differs, flags=re.M)
    assert "dim" not in differs and "classes" not in differs


@pytest.mark.parametrize(
    "words",
    [
        ("--compare",),
        ("--with", "dim=48", "--compare", "--format", "json"),
        ("--with", "dim=24,48", "--view", "source"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(capfd, saved, words):
    code, out, err = call(capfd, "show", saved, *words)
    assert (code, out) == (2, "") and "error[" in err
