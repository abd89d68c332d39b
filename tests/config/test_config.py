"""vit_trace.config: what is read, what is refused, and that every refusal is one diagnostic in the right place."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from helpers.commands import python_process
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config import (
    REFERENCE,
    ConfigError,
    ViTConfig,
    given_anyway,
    load,
    near_divisors,
    near_multiples,
    settle,
)
from vit_trace.config.files import MAX_BYTES
from vit_trace.config.hyperparameters import KEYS, MAX_COUNT, OTHER_NAMES, Setting

Yaml = Callable[[str | bytes], Path]


@pytest.fixture
def yaml(tmp_path: Path) -> Yaml:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path

    return write


def problems(*arguments: object) -> tuple[Diagnostic, ...]:
    with pytest.raises(ConfigError) as caught:
        load(*arguments)  # type: ignore[arg-type]
    return caught.value.diagnostics


def problem(*arguments: object) -> Diagnostic:
    [diagnostic] = problems(*arguments)
    return diagnostic


def pointed(diagnostic: Diagnostic) -> str:
    """The text under the carets."""
    span = diagnostic.span
    assert span is not None and span.line == span.end_line
    return span.text[span.column : span.end_column]


# ---- what is read

READ = [
    ("image_size: 320", {"image_size": (320, 320)}),
    ("image_size: 256x320", {"image_size": (256, 320)}),
    ("image_size: 256×320", {"image_size": (256, 320)}),
    ("image_size: 256 x 320", {"image_size": (256, 320)}),
    ("image_size: '256x320'", {"image_size": (256, 320)}),
    ("image_size: [256, 320]", {"image_size": (256, 320)}),
    ("image_size:\n- 256\n- 320", {"image_size": (256, 320)}),
    ("pool: mean", {"pool": "mean"}),
    ('pool: "mean"', {"pool": "mean"}),
    ("dropout: 0", {"dropout": 0.0}),
    ("dropout: 1", {"dropout": 1.0}),
    ("dropout: .25", {"dropout": 0.25}),
    ("dropout: 1e-2", {"dropout": 0.01}),
    ("dim: +512", {"dim": 512}),
    ("dim: &width 512", {"dim": 512}),
    ("---\ndim: 512\n...\n", {"dim": 512}),
    ("%YAML 1.2\n---\ndim: 512\n", {"dim": 512}),
    ("\ufeffdim: 512", {"dim": 512}),
    ("dim: 512\r\nheads: 8\r\n", {"dim": 512, "heads": 8}),
    ('{"dim": 512, "heads": 8}', {"dim": 512, "heads": 8}),
    ("# héé\ndim: 512  # wide", {"dim": 512}),
    (f"dim: {MAX_COUNT}", {"dim": MAX_COUNT}),
    ("heads: 3\ndim_head: 7", {"heads": 3, "dim_head": 7}),  # need not fill dim
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_yaml_is_read(yaml: Yaml, text: str, expected: dict[str, object]) -> None:
    assert load(yaml(text)) == msgspec.structs.replace(REFERENCE, **expected)


READ_AS = [
    ("dim: !!int '5'", {"dim": 5}),
    ("dim: &d 8\nmlp_dim: *d\n", {"dim": 8, "mlp_dim": 8}),
    ("<<: {dim: 1}\ndepth: 2\n", {"dim": 1, "depth": 2}),
    ("<<: [{dim: 1}, {dim: 2, depth: 3}]\n", {"dim": 1, "depth": 3}),
    ("image_size: !!python/tuple [64, 96]\n", {"image_size": (64, 96)}),
]


@pytest.mark.parametrize(("text", "expected"), READ_AS)
def test_anchors_merges_and_plain_tags_are_read(yaml: Yaml, text: str, expected: dict[str, object]) -> None:
    held = dict(expected)
    found = settle(yaml(text), {} if "image_size" not in held else {"patch_size": "8"}).config
    assert {name: getattr(found, name) for name in held} == held


def test_later_layers_win(yaml: Yaml) -> None:
    path = yaml("dim: 1\ndepth: 1\nheads: 1\n")
    config = load(path, {"depth": "2", "heads": "2"}, ["heads=3", "heads=4"])
    assert (config.dim, config.depth, config.heads) == (1, 2, 4)
    assert load() == ViTConfig() == REFERENCE


def test_a_block_ends_where_its_last_line_ends(yaml: Yaml) -> None:
    path = yaml("image_size:\n- 256\n- 320\ndim: 1\n")
    assert settle(path).given["image_size"].span == Source(str(path), 2, 3, 0, 5, "- 256\n- 320")


def test_settings_know_where_they_stand(yaml: Yaml) -> None:
    path = yaml("# mine\ndim:   512\n")
    assert settle(path).given == {"dim": Setting("dim", 512, Source(str(path), 2, 2, 7, 10, "dim:   512"))}
    flags = settle(None, {"image_size": "256x320"}).given
    span = Source("command line", 1, 1, 13, 20, "--image-size 256x320")
    assert flags == {"image_size": Setting("image_size", (256, 320), span)}
    assigned = settle(None, {}, ["dim=512"]).given
    assert assigned == {"dim": Setting("dim", 512, Source("command line", 1, 1, 10, 13, "--set dim=512"))}


# ---- what is refused: the value, what it says, what the carets are under, a word of the help

VALUES = [
    ("dim: true", "wrong-type", "dim takes a whole number, not the yes-or-no value true", "true", "dim: 1024"),
    ("dim: on", "wrong-type", "dim takes a whole number, not the yes-or-no value on", "on", "dim: 1024"),
    ("dim: 10.5", "wrong-type", "dim takes a whole number, not the decimal 10.5", "10.5", "dim: 10"),
    ("dim: 256.0", "wrong-type", "dim takes a whole number, not the decimal 256.0", "256.0", "dim: 256"),
    ("dim: 1e3", "wrong-type", "dim takes a whole number, not the decimal 1e3", "1e3", "dim: 1000"),
    ("dim: 1_000", "wrong-type", "dim takes a whole number, not the number with underscores 1_000", "1_000", "1000"),
    ("dim: 0x10", "wrong-type", "dim takes a whole number, not the number in another base 0x10", "0x10", "dim: 16"),
    ("dim: 010", "wrong-type", "dim takes a whole number, not 010 with its leading zero", "010", "dim: 10"),
    ("dim: 1:30", "wrong-type", "dim takes a whole number, not the base-60 number 1:30", "1:30", "dim: 1024"),
    ("dim: abc", "wrong-type", 'dim takes a whole number, not the text "abc"', "abc", "dim: 1024"),
    ("dim: '512'", "wrong-type", 'dim takes a whole number, not the text "512"', "'512'", "dim: 512"),
    ("dim: ５１２", "wrong-type", 'dim takes a whole number, not the text "５１２"', "５１２", "dim: 1024"),
    ("dim:", "wrong-type", "dim takes a whole number, not an empty value", "", "dim: 1024"),
    ("dim: null", "wrong-type", "dim takes a whole number, not an empty value", "null", "dim: 1024"),
    ("dim: ~", "wrong-type", "dim takes a whole number, not an empty value", "~", "dim: 1024"),
    ("dim: {a: 1}", "wrong-type", "dim takes a whole number, not a mapping", "{a: 1}", "dim: 1024"),
    ("dim: [1, 2]", "wrong-type", "dim takes a whole number, not a list", "[1, 2]", "dim: 1024"),
    ("dim: 16x16", "wrong-type", "dim takes a whole number, not the size 16x16", "16x16", "dim: 1024"),
    ("dim: .nan", "wrong-type", "dim takes a whole number, not .nan", ".nan", "dim: 1024"),
    ("dim: 0", "impossible-value", "dim is 0, but it takes a whole number from 1 to 2147483647", "0", "dim: 1024"),
    ("dim: -3", "impossible-value", "dim is -3, but it takes a whole number from 1 to 2147483647", "-3", "dim: 1024"),
    ("dim: 2147483648", "impossible-value", "dim is 2147483648, but it takes", "2147483648", "dim: 1024"),
    ("dim: " + "9" * 5000, "impossible-value", "dim is about 10^20, but it takes", "9" * 5000, "dim: 1024"),
    ("depth: 10001", "impossible-value", "depth is 10001, but it takes a whole number from 1 to 10000", "10001", "6"),
    ("pool: max", "impossible-value", 'pool takes cls or mean, not "max"', "max", "pool: cls"),
    ("pool: avg", "impossible-value", 'pool takes cls or mean, not "avg"', "avg", "pool: mean"),
    ("pool: CLS", "impossible-value", 'pool takes cls or mean, not "CLS"', "CLS", "pool: cls"),
    ("pool: [cls]", "wrong-type", "pool takes cls or mean, not a list", "[cls]", "pool: cls"),
    ("pool: null", "wrong-type", "pool takes cls or mean, not an empty value", "null", "pool: cls"),
    ("dropout: 1.5", "impossible-value", "dropout is 1.5, but it takes a number from 0 to 1", "1.5", "dropout: 0.1"),
    ("dropout: 10", "impossible-value", "dropout is 10, but it takes a number from 0 to 1", "10", "dropout: 0.1"),
    ("dropout: -1", "impossible-value", "dropout is -1, but it takes a number from 0 to 1", "-1", "dropout: 0.1"),
    ("dropout: .nan", "impossible-value", "dropout is .nan, but it takes", ".nan", "dropout: 0.1"),
    ("dropout: inf", "impossible-value", "dropout is inf, but it takes", "inf", "dropout: 0.1"),
    ("dropout: 1e999", "impossible-value", "dropout is inf, but it takes", "1e999", "dropout: 0.1"),
    ("dropout: yes", "wrong-type", "dropout takes a number from 0 to 1, not the yes-or-no value yes", "yes", "0.1"),
    ("dropout: 25%", "wrong-type", "dropout takes a number from 0 to 1, not the decimal 25%", "25%", "dropout: 0.25"),
    ("dropout: '0.2'", "wrong-type", 'dropout takes a number from 0 to 1, not the text "0.2"', "'0.2'", "0.2"),
    ("image_size: [256]", "wrong-type", "image_size takes a size such as 256 or 256x320", "[256]", "[256, 320]"),
    ("image_size: [256, abc]", "wrong-type", "image_size takes a size such as", "abc", "256"),
    ("image_size: [256, 0]", "impossible-value", "image_size has width 0, but it takes", "0", "256"),
    ("image_size: 0x320", "impossible-value", "image_size has height 0, but it takes", "0", "256"),
    ("image_size: 010x320", "wrong-type", "image_size takes a size such as", "010x320", "10"),
    ("image_size: [[1, 2], 3]", "wrong-type", "image_size takes a size such as", "[1, 2]", "256"),
]


@pytest.mark.parametrize(("text", "code", "message", "under", "help"), VALUES)
def test_value_is_refused(yaml: Yaml, text: str, code: str, message: str, under: str, help: str) -> None:
    found = problem(yaml(f"# first line\n{text}\n"))
    assert (found.code, found.severity) == (code, "error")
    assert found.message.startswith(message)
    assert found.span is not None and found.span.line == 2
    assert pointed(found) == under
    assert help in found.help[0]


@pytest.mark.parametrize(("text", "code", "message", "under", "help"), VALUES)
def test_what_a_help_says_to_write_is_accepted(
    yaml: Yaml, text: str, code: str, message: str, under: str, help: str
) -> None:
    advice = problem(yaml(text)).help[0].removeprefix("for example ")
    assert given_anyway(yaml(advice))


FLAGS = [
    ({"image_size": "0"}, "--image-size has height 0, but it takes", "0", "--image-size 256"),
    ({"dim": "abc"}, '--dim takes a whole number, not the text "abc"', "abc", "--dim 1024"),
    ({"dim": ""}, "--dim takes a whole number, not an empty value", "", "--dim 1024"),
    ({"dim_head": "6.5"}, "--dim-head takes a whole number, not the decimal 6.5", "6.5", "--dim-head 6"),
    ({"pool": "token"}, '--pool takes cls or mean, not "token"', "token", "--pool cls"),
    ({"dropout": "2"}, "--dropout is 2, but it takes a number from 0 to 1", "2", "--dropout 0.1"),
    ({"num_heads": "8"}, "unknown flag --num-heads", "--num-heads", "did you mean --heads?"),
    ({"image_size": "250"}, "image height 250 is not a multiple of patch height 32", "250", "224 and 256"),
]


@pytest.mark.parametrize(("flags", "message", "under", "help"), FLAGS)
def test_flag_is_refused(flags: dict[str, str], message: str, under: str, help: str) -> None:
    found = problem(None, flags)
    assert found.message.startswith(message)
    assert found.span is not None and found.span.file == "command line"
    [(name, value)] = flags.items()
    assert found.span.text == f"--{name.replace('_', '-')} {value}"
    assert pointed(found) == under
    assert help in found.help[0]


ASSIGNMENTS = [
    ("dim", '--set takes KEY=VALUE, not "dim"', "dim", "--set dim=512"),
    ("", '--set takes KEY=VALUE, not ""', "", "--set dim=512"),
    ("dim=a=b", 'dim takes a whole number, not the text "a=b"', "a=b", "--set dim=1024"),
    ("hed=1", "unknown key hed", "hed", "did you mean heads?"),
    ("image-size=256", 'unknown key "image-size"', "image-size", "did you mean image_size?"),
    ("=1", 'unknown key ""', "", ""),
]


@pytest.mark.parametrize(("text", "message", "under", "help"), ASSIGNMENTS)
def test_assignment_is_refused(text: str, message: str, under: str, help: str) -> None:
    found = problem(None, {}, [text])
    assert (found.message, pointed(found)) == (message, under)
    assert help in " ".join(found.help)


# ---- keys

UNKNOWN = [
    ("imgsize", "image_size"),
    ("image-size", "image_size"),
    ("Image_Size", "image_size"),
    ("heds", "heads"),
    ("droput", "dropout"),
    *((name, key) for name, key in OTHER_NAMES.items() if name not in KEYS),
]


@pytest.mark.parametrize(("key", "meant"), UNKNOWN)
def test_unknown_key_is_told_the_nearest(yaml: Yaml, key: str, meant: str) -> None:
    found = problem(yaml(f"depth: 3\n{key}: 1\n"))
    assert (found.code, found.help) == ("unknown-key", (f"did you mean {meant}?",))
    assert key in found.message and pointed(found) == key
    assert found.span is not None and found.span.line == 2


def test_key_like_no_other_is_told_all(yaml: Yaml) -> None:
    found = problem(yaml("zzzzzz: 1"))
    assert not found.help and all(key in found.notes[0] for key in KEYS)


def test_mlp_ratio_is_told_the_formula(yaml: Yaml) -> None:
    assert problem(yaml("mlp_ratio: 4")).notes == ("mlp_dim = mlp_ratio · dim",)


def test_every_key_has_other_names_and_each_stands_for_one_key() -> None:
    assert set(OTHER_NAMES.values()) == set(KEYS)
    assert all(OTHER_NAMES[key] == key for key in KEYS)


def test_same_key_twice_names_both_lines(yaml: Yaml) -> None:
    found = problem(yaml("dim: 512\ndepth: 3\ndim: 1024\n"))
    assert found.code == "duplicate-key"
    assert found.message == "dim is given twice, on lines 1 and 3"
    assert found.span is not None and (found.span.line, pointed(found)) == (3, "dim")
    assert "mine.yaml:1:1: dim: 512" in found.notes[0]


def test_same_key_many_times_is_one_problem(yaml: Yaml) -> None:
    assert problem(yaml("dim: 1\n" * 500)).message == "dim is given 500 times, on lines 1, 2, 3 … and 500"
    assert problem(yaml("zzz: 1\n" * 500)).code == "unknown-key"


def test_every_problem_of_every_layer_is_said_at_once(yaml: Yaml) -> None:
    path = yaml("dim: 0\nhedas: 1\npool: max\nimage_size: 250\n")
    found = problems(path, {"depth": "x", "patch_size": "48"}, ["dropout=2", "oops"])
    codes = [diagnostic.code for diagnostic in found]
    assert sorted(codes) == sorted(
        ["impossible-value"] * 3 + ["unknown-key", "wrong-type", "assignment", "patch-divides-image"]
    )
    assert all(diagnostic.span is not None for diagnostic in found)


def test_many_problems_stop_somewhere(yaml: Yaml) -> None:
    found = problems(yaml("".join(f"key{i}: 1\n" for i in range(3000))))
    assert len(found) < 50 and found[-1].code == "too-many-problems"


# ---- image and patch


def test_the_example_of_the_house_style(yaml: Yaml) -> None:
    path = yaml("# mine\nimage_size: 250\n")
    assert problem(path) == Diagnostic(
        code="patch-divides-image",
        severity="error",
        message="image height 250 is not a multiple of patch height 32",
        span=Source(str(path), 2, 2, 12, 15, "image_size: 250"),
        notes=("250 = 7 · 32 + 26", "patch_size 32 is the default: it was not given"),
        help=("224 and 256 are the nearest multiples of 32; or patch 25 or 50 divides 250",),
    )


# file, flags → under the carets, the other's origin
BLAME = [
    ("image_size: 250", {}, "250", "patch_size 32 is the default"),
    ("patch_size: 48", {}, "48", "image_size 256 is the default"),
    ("patch_size: 48\nimage_size: 250", {}, "250", "patch_size 48 comes from"),
    ("patch_size: 48", {"image_size": "250"}, "250", "mine.yaml:1:13"),
    ("image_size: 250", {"patch_size": "48"}, "48", "mine.yaml:1:13"),
    ("dim: 1", {"image_size": "250", "patch_size": "16"}, "250", "--patch-size 16"),
    ("image_size: 256x250", {}, "250", "default"),
    ("image_size: [250, 256]", {}, "250", "default"),
    ("image_size: 64\npatch_size: 128", {}, "64", "patch_size 128"),
]


@pytest.mark.parametrize(("text", "flags", "under", "origin"), BLAME)
def test_the_user_s_own_setting_is_pointed_at(
    yaml: Yaml, text: str, flags: dict[str, str], under: str, origin: str
) -> None:
    found = problem(yaml(text), flags)
    assert found.code in ("patch-divides-image", "patch-exceeds-image")
    assert pointed(found) == under
    assert origin in found.notes[-1]


def test_each_axis_has_its_own_problem(yaml: Yaml) -> None:
    height, width = problems(yaml("image_size: 250x330\npatch_size: 16x32\n"))
    assert (pointed(height), pointed(width)) == ("250", "330")
    assert "height 250" in height.message and "width 330" in width.message


def test_a_size_already_refused_is_not_refused_twice(yaml: Yaml) -> None:
    assert problem(yaml("image_size: abc\npatch_size: 48")).code == "wrong-type"


sizes = st.integers(1, 5000) | st.integers(1, MAX_COUNT)


@given(image=sizes, patch=sizes)
@example(image=250, patch=32)
@example(image=MAX_COUNT, patch=2)
@settings(deadline=None)
def test_every_suggested_size_works(image: int, patch: int) -> None:
    for height in near_multiples(image, patch):
        assert load(None, {"image_size": f"{height}", "patch_size": f"{patch}"}).image_size == (height, height)
    for side in near_divisors(image, patch):
        assert load(None, {"image_size": f"{image}", "patch_size": f"{side}"}).patch_size == (side, side)


@given(image=st.integers(1, 400), patch=st.integers(1, 400))
def test_suggestions_are_the_nearest(image: int, patch: int) -> None:
    multiples = [patch * k for k in range(1, 402) if abs(patch * k - image) < patch or patch * k == image]
    if image % patch:
        assert near_multiples(image, patch) == multiples
    divisors = [d for d in range(2, image) if image % d == 0]
    expected = [d for d in divisors if d < patch][-1:] + [d for d in divisors if d > patch][:1]
    assert near_divisors(image, patch) == expected


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int]]:
    """An image and a patch that tile it in about half of all cases, which unrelated numbers hardly ever do."""
    patch = draw(st.integers(1, 64)), draw(st.integers(1, 64))
    rest = draw(st.sampled_from([(0, 0), (0, 0), (0, 1), (1, 0), (5, 7)]))
    height, width = (draw(st.integers(1, 50)) * side + more for side, more in zip(patch, rest, strict=True))
    return (height, width), patch


@given(grid=grids())
@settings(deadline=None)
def test_accepted_exactly_when_patches_tile_the_image(grid: tuple[tuple[int, int], tuple[int, int]]) -> None:
    image, patch = grid
    tiles = image[0] % patch[0] == 0 and image[1] % patch[1] == 0
    try:
        load(None, {"image_size": f"{image[0]}x{image[1]}", "patch_size": f"{patch[0]}x{patch[1]}"})
        assert tiles
    except ConfigError as error:
        assert not tiles
        assert {d.code for d in error.diagnostics} <= {"patch-divides-image", "patch-exceeds-image"}


# ---- files that are no config: content → code, line, column (from 1), a word of the message or help

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise(LETTERS))
FILES = [
    ("", "empty-config", 1, 1, "is empty"),
    ("# only a comment\n", "empty-config", 1, 1, "is empty"),
    ("---\n", "empty-config", 1, 1, "is empty"),
    ("{}", "empty-config", 1, 1, "is empty"),
    ("null", "empty-config", 1, 1, "is empty"),
    ("- 1\n- 2\n", "not-a-mapping", 1, 1, "is a list"),
    ("hello", "not-a-mapping", 1, 1, "is a text"),
    ("# c\ndim:512\n", "not-a-mapping", 2, 1, "put a space after the colon: dim: 512"),
    ("dim: 1\n---\ndim: 2\n", "yaml-documents", 2, 1, "more than one"),
    ("dim: 1\n--- 2\n--- 3\n", "yaml-documents", 2, 1, "more than one"),
    ("dim: [1\nheads: 2\n", "yaml-syntax", 2, 6, "not YAML"),
    ("dim: 1\n\theads: 2\n", "yaml-syntax", 2, 1, "spaces, not tabs"),
    ("dim: 1\n  heads: 2\n", "yaml-syntax", 2, 8, "mapping values are not allowed"),
    ("dim: 'abc\n", "yaml-syntax", 2, 1, "unexpected end of stream"),
    ("%BAD\ndim: 1", "yaml-syntax", 2, 1, "not YAML"),
    ('dim: 1\npool: "\\UFFFFFFFF"\n', "yaml-syntax", 2, 1, "out of range"),
    ("%YAML 1." + "9" * 5000 + "\n---\ndim: 1", "yaml-syntax", 1, 1, "out of range"),
    ("dim: 1\n# \x1b[31m red\n", "control-character", 2, 3, "U+001B"),
    ("dim: 1\x00", "control-character", 1, 7, "U+0000"),
    ("dim\ufeff: 1", "control-character", 1, 4, "U+FEFF"),
    (b"dim: 1\n# \xc3\xa9 \xff\n", "not-utf8", 2, 5, "byte 0xff on line 2"),
    (b"\xef\xbb\xbf# \xe9\n", "not-utf8", 1, 3, "byte 0xe9 on line 1"),
    (b"\x89PNG\r\n\x1a\n\x00", "not-utf8", 1, 1, "byte 0x89"),
    ("dim: 1".encode("utf-16"), "not-utf8", 1, 1, "UTF-16"),
    ("dim: 1".encode("utf-16-be"), "control-character", 1, 1, "U+0000"),
    ("dim: 1".encode("utf-32"), "not-utf8", 1, 1, "UTF-16"),
    ("dim: !!python/object/apply:os.system ['false']", "yaml-tag", 1, 6, "!!python/object/apply:os.system"),
    ("!!python/object:os.path {}", "yaml-tag", 1, 1, "!!python/object:os.path"),
    (f"dim: {'[' * 60_000}", "yaml-nesting", 1, 29, "nested 25 deep"),
    ("[" * 60_000, "yaml-nesting", 1, 25, "nested 25 deep"),
    ("{" * 60_000, "yaml-nesting", 1, 25, "nested 25 deep"),
    ("- " * 30_000, "yaml-nesting", 1, 49, "nested 25 deep"),
    ("? " * 30_000, "yaml-nesting", 1, 49, "nested 25 deep"),
    ("a: &a {x: 1}\n" + "".join("a: &a {x: *a}\n" for _ in range(3000)), "yaml-nesting", 25, 4, "by aliases"),
    (BOMB, "yaml-alias", 13, 4, "more than 50,000 values"),
    ("dim: *d\n", "yaml-alias", 1, 6, "no anchor"),
    ("? [a, b]\n: 1\n", "unknown-key", 1, 3, "a key is one name, not a list"),
    ("#" * (MAX_BYTES + 1), "config-too-large", 1, 1, "too large"),
]


@pytest.mark.parametrize(("content", "code", "line", "column", "word"), FILES)
def test_file_is_refused(yaml: Yaml, content: str | bytes, code: str, line: int, column: int, word: str) -> None:
    start = time.process_time()
    found = problem(yaml(content))
    assert time.process_time() - start < 2
    assert found.code == code
    assert found.span is not None
    assert (found.span.line, found.span.column + 1) == (line, column)
    assert word in " ".join([found.message, *found.help])


def test_as_large_as_allowed_is_read(yaml: Yaml) -> None:
    text = "dim: 512\n"
    assert load(yaml(text + "#" * (MAX_BYTES - len(text)))).dim == 512


def test_hundred_megabytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)
    start = time.process_time()
    assert problem(path).message == f"{path} is too large for a YAML file: 100,000,000 bytes"
    assert time.process_time() - start < 0.5


def test_missing_file_is_told_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "vit_b_16.yaml").write_text("dim: 1")
    (tmp_path / "other.yaml").write_text("dim: 1")
    found = problem(tmp_path / "vit_b16.yaml")
    assert found.code == "config-not-found"
    assert found.help == (f"did you mean {tmp_path / 'vit_b_16.yaml'}?",)
    assert found.span is not None and found.span.file == str(tmp_path / "vit_b16.yaml")
    assert problem(tmp_path / "nowhere" / "x.yaml").notes == (f"there is no directory {tmp_path / 'nowhere'}",)
    assert problem(tmp_path / "other.yaml" / "x.yaml").code == "config-not-found"


def test_directory_is_refused_and_names_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "vit_b_16.yaml").write_text("dim: 1")
    found = problem(tmp_path)
    assert (found.code, found.message) == ("not-a-file", f"{tmp_path} is a directory, not a YAML file")
    assert found.help == (f"for example {tmp_path / 'vit_b_16.yaml'}",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX special files")
def test_endless_files_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert problem(pipe).message == f"{pipe} is a pipe, not a YAML file"
    assert problem(Path("/dev/zero")).message == "/dev/zero is a device, not a YAML file"
    link = tmp_path / "link.yaml"
    link.symlink_to(link)
    assert problem(link).code == "config-unreadable"


def test_file_that_grows_while_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grows.yaml"
    path.write_text("#" * (MAX_BYTES * 2))
    small = os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda self, **_: small)
    assert problem(path).code == "config-too-large"


def test_unreadable_file(yaml: Yaml, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = yaml("dim: 1")
    monkeypatch.setattr(os, "open", refuse)
    found = problem(path)
    assert (found.code, found.message) == ("config-unreadable", f"{path} cannot be read: Permission denied")


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 5000, "\udcff.yaml"])
def test_impossible_paths_are_refused(name: str) -> None:
    found = problem(Path(name))
    assert found.code in ("config-unreadable", "config-not-found")
    msgspec.json.encode(found)


# ---- whatever comes

hostile = st.text(st.characters(), max_size=40)
yaml_like = st.lists(
    st.sampled_from([*KEYS, *"{}[]&*!|>'\"%@`,#?-:\n\t ", ": ", "\n", "\n- ", "  ", "<<", "---", "...", "1", "256",
                     "0x1", "1:30", "null", "~", "on", "*a", "&a ", "!!int ", "\\U", "\ufeff", "\x85", "é", "\r\n"]),
    max_size=30,
).map("".join)  # fmt: skip


def check_file(path: Path, content: bytes) -> None:
    """A config, or problems that each point into the file and can be written as JSON."""
    path.write_bytes(content)
    try:
        assert isinstance(load(path), ViTConfig)
    except ConfigError as error:
        assert error.diagnostics
        for found in error.diagnostics:
            check_diagnostic(found)


def check_diagnostic(found: Diagnostic) -> None:
    msgspec.json.encode(found)
    assert found.message and found.span is not None
    lines = found.span.text.split("\n")
    assert 1 <= found.span.line <= found.span.end_line
    assert 0 <= found.span.column <= len(lines[0])
    assert len(lines) == found.span.end_line - found.span.line + 1


@given(content=st.binary(max_size=200) | hostile.map(lambda t: t.encode("utf-8", "surrogatepass")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_a_config_or_a_config_error(tmp_path: Path, content: bytes) -> None:
    check_file(tmp_path / "any.yaml", content)


@given(text=yaml_like)
@example(text="dim: |\n  1\n")
@example(text="? ")
@example(text="dim: 1\n \n---")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
def test_anything_like_yaml_is_a_config_or_a_config_error(tmp_path: Path, text: str) -> None:
    check_file(tmp_path / "any.yaml", text.encode())


values = hostile | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["1x", "x", "²", "1" * 5000, "٣"])


@given(flags=st.dictionaries(st.sampled_from(KEYS) | hostile, values, max_size=4), more=st.lists(hostile, max_size=3))
@settings(deadline=None)
def test_any_flags_are_a_config_or_a_config_error(flags: dict[str, str], more: list[str]) -> None:
    try:
        load(None, flags, more)
    except ConfigError as error:
        for found in error.diagnostics:
            check_diagnostic(found)


# ---- what a rejected config costs

REJECTED = """
import sys
from pathlib import Path
from vit_trace.config import ConfigError, load
{before}
try:
    load(Path(sys.argv[1]))
except ConfigError as error:
    print(error.diagnostics[0].code, *sorted({{"torch", "rich", "einops"}} & set(sys.modules)))
"""


def modules_of_a_rejection(path: Path, before: str = "") -> str:
    done = python_process("-c", REJECTED.format(before=before), path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_rejected_config_imports_nothing_heavy(yaml: Yaml) -> None:
    path = yaml("dim: 0")
    assert modules_of_a_rejection(path) == "impossible-value"
    # The probe can fail: it sees an import when there is one.
    assert modules_of_a_rejection(path, "import rich") == "impossible-value rich"
