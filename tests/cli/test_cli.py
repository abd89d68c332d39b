"""The command line as a person or a script meets it: results, exit codes, streams, files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.commands import call, process, python_process, shell
from helpers.places import ROOT

from vit_trace.base.trace import Trace
from vit_trace.cli.app import run

SMALL = ["--image-size", "64", "--dim", "32", "--depth", "2", "--heads", "2", "--dim-head", "8", "--mlp-dim", "48"]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A saved trace with its listing: `show` writes to streams of all kinds as a trace does, and needs no torch."""
    file = tmp_path_factory.mktemp("small") / "small.json"
    assert run([*SMALL, "--view", "source", "-o", str(file)]) == 0
    return file


# -- the default screen --------------------------------------------------------------------------------------------

SHAPES = [
    *["5×3×256×256", "5×64×3072", "5×64×1024", "5×1×1024", "5×65×1024"],
    *["5×65×3072", "3 of 5×65×1024", "5×16×65×64", "5×16×64×65", "5×16×65×65", "5×16×65×64", "5×65×1024"],
    *["5×65×2048", "5×65×1024", "5×1024", "5×20"],
    *["patch_dim = c·p1·p2 = 3072", "inner_dim", "0.125", "1×65×1024", "1×1×1024"],  # constructor, in its short block
]
CONSTRUCTOR = ["256, 256", "32, 32", "64", "3072", "1024", "1×65×1024", "1×1×1024"]


@pytest.mark.parametrize("view", ["table", "tree"])
def test_reference_shapes_stand_on_the_screen_in_order(capfd, view):
    code, out, err = call(capfd, "--image-size", "256", "--patch-size", "32", "--view", view)
    assert (code, err) == (0, "")
    place = 0
    for shape in SHAPES:
        found = re.compile(rf"(?<![\d×]){re.escape(shape)}(?![\d×])").search(out, place)
        assert found, f"{shape} is missing after {out[:place][-80:]!r}"
        place = found.end()
    assert "layers.0…5 ×6" in out
    assert "53,617,684 parameters" in out
    assert "3.52 GMACs (7.05 GFLOPs) per image, batch 5" in out.replace("\n", " ")


@pytest.mark.parametrize("view", ["table", "tree"])
def test_all_that_the_constructors_worked_out_stands_below_the_forward(capfd, view):
    _, out, _ = call(capfd, "--constructor", "--view", view)
    below = out[out.rindex("5×20") :]
    assert all(f" {value}" in below for value in CONSTRUCTOR) and "patch_height, patch_width" in below


def test_no_fold_prints_all_six_layers(capfd):
    _, out, _ = call(capfd, "--no-fold")
    assert len(re.findall(r"(?<![\d×])5×65×3072(?![\d×])", out)) == 6
    assert len(re.findall(r"(?<![\d×])5×16×65×65(?![\d×])", out)) == 6 * 3
    assert "layers.0…5 ×" not in out and "folded" not in out


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("reference") / "reference.json"
    assert run(["-o", str(file)]) == 0
    return file


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_a_terminal_of_any_width_is_not_overrun(reference, width):
    out = process("show", reference, COLUMNS=str(width)).stdout
    assert max(len(line) for line in out.splitlines()) <= width
    assert "heads" in out and "n+1" in out


def test_a_pipe_is_plain_and_not_cut_off():
    out = process().stdout
    assert "\x1b" not in out
    assert "b c (h p1) (w p2) → b (h w) (p1 p2 c)" in out
    assert "b × n+1 × 3·heads·dim_head" in out


def test_colour_on_request_only(small):
    assert "\x1b[" in process("show", small, FORCE_COLOR="1").stdout
    assert "\x1b[3" not in process("show", small, NO_COLOR="1", FORCE_COLOR="1").stdout


def test_folded_numbers_add_up(capfd):
    """Each row's parameters, times its layers, sum to the total."""
    _, out, _ = call(capfd, "--format", "json", *SMALL)
    trace = Trace.from_json(out)
    from vit_trace.view.constructor import construction_rows
    from vit_trace.view.outline import outline

    rows = [*outline(trace, levels=1).rows, *construction_rows(trace)]
    assert sum(row.parameters for row in rows) == trace.totals.parameters


# -- selections ----------------------------------------------------------------------------------------------------


def test_stage_glob_and_levels(capfd):
    _, out, _ = call(capfd, "--stage", "*layers.3.*to_qkv")
    assert "5×65×3072" in out and "mlp_head" not in out and "layers.2" not in out
    _, out, _ = call(capfd, "--levels", "1")
    assert "to_qkv" not in out and "mlp_head" in out and "50.4 M" in out


def test_flags_files_and_set_override_one_another(capfd, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("dim: 48\nheads: 3\ndepth: 1\nimage_size: [64, 96]\n")
    _, out, _ = call(capfd, str(file), "--heads", "4", "--set", "dim_head=6", "--format", "json")
    hyperparameters = json.loads(out)["target"]["hyperparameters"]
    assert hyperparameters["dim"] == 48 and hyperparameters["heads"] == 4 and hyperparameters["dim_head"] == 6
    assert hyperparameters["image_size"] == [64, 96]
    _, again, _ = call(capfd, "trace", "--config", str(file), "--heads", "4", "--set", "dim_head=6", "--format", "json")
    assert json.loads(again)["stages"] == json.loads(out)["stages"]


# -- JSON and files ------------------------------------------------------------------------------------------------


def test_json_is_one_document_and_show_gives_the_same_screen(capfd, tmp_path):
    file = tmp_path / "trace.json"
    _, out, _ = call(capfd, *SMALL, "--format", "json")
    file.write_text(out)
    assert json.loads(out)["schema"] == "vit-trace/1"
    for view in (["--view", "table"], ["--view", "tree"], ["--levels", "2"], ["--no-fold"]):
        _, direct, _ = call(capfd, *SMALL, *view)
        _, shown, _ = call(capfd, "show", str(file), *view)
        assert shown == direct
    _, again, _ = call(capfd, "show", str(file), "--format", "json")
    assert again == out


def test_output_files(capfd, tmp_path):
    one, two = tmp_path / "a.json", tmp_path / "b.txt"
    code, out, err = call(capfd, *SMALL, "-o", str(one), "-o", str(two))
    assert code == 0 and out == "" and "a.json" in err and "b.txt" in err
    assert Trace.from_json(one.read_text()).failure is None
    assert "to_qkv" in two.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.txt"]
    assert one.stat().st_mode & 0o444 == 0o444 & ~os.umask(os.umask(0))


@pytest.mark.parametrize("name", ["a.xyz", "missing/a.json", "directory.json"])
def test_output_that_cannot_be_written_is_refused_before_the_trace(capfd, tmp_path, name):
    (tmp_path / "directory.json").mkdir()
    code, out, err = call(capfd, *SMALL, "-o", str(tmp_path / name))
    assert code == 2 and out == "" and "error[" in err and "Traceback" not in err


def test_a_failing_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    from vit_trace.cli import output

    file = tmp_path / "old.json"
    file.write_text("old")
    with pytest.raises(RuntimeError), output.atomic(file) as stream:
        stream.write("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_a_glob_that_fits_nothing_is_refused_and_a_last_name_is_enough(capfd):
    code, out, err = call(capfd, *SMALL, "--stage", "to_qvk")
    assert code == 2 and out == "" and "to_qkv" in err
    code, out, _ = call(capfd, *SMALL, "--stage", "to_qkv")
    assert code == 0 and "to_qkv" in out and "mlp_head" not in out


@pytest.mark.parametrize("given", ["foo=5x3x64x64", "5x3x99999999999999999999x64", "5x3", "x", "5x3x64x64:float31"])
def test_bad_inputs(capfd, given):
    code, _, err = call(capfd, *SMALL, "--input", given)
    assert code in (1, 2) and "error[" in err and "Traceback" not in err


# -- refusals ------------------------------------------------------------------------------------------------------

REFUSED = [
    (["--image-size", "250"], "--image-size 250", "256"),
    (["--dim", "10.5"], "--dim 10.5", ""),
    (["--dim", "0"], "--dim 0", ""),
    (["--heads", "[b, n]"], "[b, n]", ""),
    (["--view", "tabel"], "--view tabel", "table"),
    (["--format", "jsn"], "--format jsn", "json"),
    (["--no-such-flag"], "no-such-flag", ""),
    (["--set", "hheads=3"], "hheads", "heads"),
    (["--config", "no/such.yaml"], "no/such.yaml", ""),
    (["--config", "settings"], "there is no file settings", ""),
    (["--config", "configs"], "configs is a directory", "configs/reference.yaml"),
    (["--config", "LICENSE"], "LICENSE", ""),
    (["show", "no-such.json"], "no-such.json", ""),
    (["show", "pyproject.toml"], "not a saved trace", "--format json"),
    (["show"], "", ""),
    (["nonsense"], "nonsense", "timm:NAME"),
    (["model.py"], "the file model.py does not exist", ""),
    (["configs/reference.yaml", "--config", "b.yaml"], "b.yaml", "configs/reference.yaml"),
]


@pytest.mark.parametrize(("arguments", "says", "offers"), REFUSED, ids=lambda value: str(value)[:30])
def test_refusals_are_one_diagnostic_without_torch(arguments, says, offers):
    done = python_process("-X", "importtime", "-m", "vit_trace", *arguments)
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    complaint = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("import time:"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in complaint and offers in complaint
    assert "Traceback" not in complaint
    assert imports and not any(re.search(r"\| +torch$", line) for line in imports)


def test_help_version_and_show_do_not_import_torch(tmp_path, capfd):
    file = tmp_path / "trace.json"
    call(capfd, *SMALL, "-o", str(file))
    code = "import sys; from vit_trace.cli.app import run; run({!r}); sys.exit('torch' in sys.modules)"
    for arguments in (["--help"], ["--version"], ["show", str(file)], ["show", str(file), "--with", "dim=64"]):
        assert python_process("-c", code.format(arguments)).returncode == 0, arguments
    assert python_process("-c", code.format(SMALL)).returncode == 1, "the probe can fail"
    light = (
        code.format(["--help"]).replace("'torch' in sys", "bool({'rich', 'yaml'} & set(sys").replace("ules)", "ules)))")
    )
    assert python_process("-c", light).returncode == 0


def test_version_and_help(capfd):
    code, out, _ = call(capfd, "--version")
    assert code == 0 and re.fullmatch(r"vit-trace \d+\.\d+\.\d+\S*\n", out)
    for arguments in (["-h"], ["--help"], ["trace", "-h"], ["show", "--help"], ["explain", "-h"]):
        code, out, _ = call(capfd, *arguments)
        assert code == 0 and "Usage: vit-trace" in out


def test_the_help_has_examples_and_every_option_of_the_default_verb(capfd):
    _, out, _ = call(capfd, "--help")
    _, trace, _ = call(capfd, "trace", "--help")
    flags = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", trace, re.MULTILINE))
    assert len(flags) > 30 and flags - {"--help"} <= set(re.findall(r"--[a-z-]+", out))
    places = [
        out.index(f"\n{panel}:\n")
        for panel in ("Examples", "Commands", "Model and input", "What to show", "Where to, and how")
    ]
    assert places == sorted(places)


# -- endings -------------------------------------------------------------------------------------------------------


def test_a_pipe_closed_early_ends_quietly():
    done = shell("vit-trace --no-fold --depth 30 | head -1")
    assert done.stderr == "" and done.stdout.startswith("ViT")


@pytest.mark.parametrize("delay", [0.8, 1.6, 3.0])
def test_ctrl_c_ends_at_once(delay):
    command = [sys.executable, "-m", "vit_trace", "--depth", "3000", "--no-fold"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(delay)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert b"Traceback" not in err


def test_a_defect_is_owned_up_to(capfd, monkeypatch):
    from vit_trace.cli.verbs import trace

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(trace, "write", broken)
    code, _, err = call(capfd, *SMALL)
    assert code == 3 and "defect of vit-trace" in err


# -- the words of a command ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--img-size 256", "unknown-flag", ["--img-size", "did you mean --image-size?"]),
        ("--hidden-size 64", "unknown-flag", ["did you mean --dim?"]),
        ("--vieww tree", "unknown-flag", ["did you mean --view?"]),
        ("--foo 3", "unknown-flag", ["vit-trace trace --help"]),
        ("show --dim 3 x.json", "unknown-flag", ["vit-trace show has no flag --dim"]),
        ("--dim", "usage", ["--dim"]),
        ("--dim --depth 4", "missing-value", ["--dim has no value: --depth follows it"]),
        ("--levels 0", "usage", ["--levels"]),
        ("--image-size 256 320", "unknown-target", ["--image-size 256x320"]),
        ("vit_base_patch16_224", "unknown-target", ["did you mean timm:vit_base_patch16_224?"]),
        ("vit_b_16", "unknown-target", ["did you mean torchvision:vit_b_16?"]),
        ("deit_base", "unknown-target", ["did you mean timm:deit_base_patch16_224,"]),
        ("traec", "unknown-target", ["did you mean vit-trace trace?"]),
        ("", "unknown-target", ["no file or model is named ''"]),
        ("x" * 5000, "unknown-target", ["xxx"]),
        ("configs", "no-such-file", ["configs is a directory", "configs/reference.yaml"]),
        ("explain", "usage", ["vit-trace explain 3072"]),
        ("show", "usage", ["Missing argument"]),
    ],
)
def test_misused_words_get_one_diagnostic_without_torch(words, code, says):
    script = (
        "import sys\nfrom vit_trace.cli.app import run\n"
        "code = run(sys.argv[1:])\nassert 'torch' not in sys.modules\nsys.exit(code)"
    )
    for library in ("timm", "torchvision"):
        if any(f"{library}:" in text for text in says) and find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    arguments = words.split() or [""]
    done = python_process("-c", script, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith(f"error[{code}]: ") and done.stderr.count("error[") == 1
    assert all(text in done.stderr for text in says)


def test_an_empty_glob_fits_nothing(capfd):
    code, _, err = call(capfd, *SMALL, "--stage", "")
    assert code == 2 and "no-such-stage" in err and "did you mean ?" not in err


def test_torch_without_numpy_says_nothing_of_it(tmp_path):
    """What torch prints where numpy is missing; other warnings stay."""
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    oracle = python_process("-c", "import torch", PYTHONPATH=path)
    assert "Failed to initialize NumPy" in oracle.stderr
    done = process(*SMALL, PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = ("import warnings", "from vit_trace.cli.tracing import import_torch", "import_torch()")
    code = "; ".join((*lines, "warnings.warn('Failed to do something else')"))
    other = python_process("-c", code, PYTHONPATH=path)
    assert "something else" in other.stderr and "NumPy" not in other.stderr


# -- terminals and streams of all kinds ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def widths(small) -> list[int]:
    """Width of each line of the screen at 80 columns."""
    return [len(line) for line in process("show", small, COLUMNS="80").stdout.splitlines()]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "ascii:strict"])
def test_a_stream_without_our_characters_gets_others_of_the_same_width(small, widths, encoding):
    def written(*words: object) -> subprocess.CompletedProcess:
        code = "from vit_trace.__main__ import main; main()"
        return python_process("-c", code, *words, text=False, COLUMNS="80", PYTHONIOENCODING=encoding)

    done = written("show", small)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode(encoding.partition(":")[0]).splitlines()
    assert [len(line) for line in lines] == widths
    assert encoding == "latin-1" or encoding == "cp1252" or any("5x3x64x64" in line for line in lines)
    document = written("show", small, "--format", "json").stdout
    assert json.loads(document.decode())["totals"]["parameters"] > 0
    refused = written(*SMALL, "--set", "größe=3")
    assert refused.returncode == 2 and b"Traceback" not in refused.stderr


def test_no_columns_are_not_taken_for_zero(small):
    assert process("show", small, COLUMNS="0").stdout == process("show", small).stdout


def test_a_file_name_that_is_no_text(tmp_path):
    file = os.fsencode(tmp_path) + b"/a\xff.yaml"
    Path(os.fsdecode(file)).write_text("dim: 32\n")
    done = process(file, "--format", "json", text=False)
    assert done.returncode == 0 and json.loads(done.stdout.decode())["target"]["hyperparameters"]["dim"] == 32
    assert process(file, text=False).returncode == 0


WRITING = ["$SMALL", "show $SAVED --format json", "show $SAVED --view source", "trace --help"]


@pytest.fixture
def written(small):
    """A shell script beside the words for a small trace and a saved one."""
    return partial(shell, SMALL=" ".join(SMALL), SAVED=str(small))


@pytest.mark.parametrize("words", WRITING)
def test_an_early_closed_pipe_ends_quietly_and_well(written, words):
    done = written(f"vit-trace {words} --no-fold | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", WRITING)
def test_a_full_output_is_a_diagnostic(written, words):
    done = written(f"vit-trace {words} >/dev/full")
    assert done.returncode == 2 and done.stderr.startswith(
        "error[cannot-write]: the output cannot be written: No space"
    )
    assert done.stderr.count("\n") == 1


def test_closed_streams_are_no_defect(written):
    assert (written("vit-trace $SMALL >&-").returncode, written("vit-trace show $SAVED 2>&-").returncode) == (0, 0)
    assert written("vit-trace --dim x 2>&-").returncode == 2
    done = written("vit-trace show - <&-")
    assert done.returncode == 2 and "not-a-trace" in done.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("vit-trace/1", "vit-trace/2"), "its schema is vit-trace/2, this vit-trace reads"),
        (lambda text: text.replace('"shape":[5,3,64,64]', '"shape":[5,3]'), "img has 2 axes and 4 dims"),
        (lambda text: text[:3000], "truncated"),
        (lambda text: "[" * 100_000, "Expected `object`, got `array`"),
        (
            lambda text: text.replace('"flops":0', '"flops":"x"', 1),
            "Expected `int`, got `str` - at `$.stages[0].flops`",
        ),
    ],
)
def test_a_broken_trace_is_a_diagnostic(capfd, tmp_path, change, says):
    file = tmp_path / "trace.json"
    _, out, _ = call(capfd, *SMALL, "--format", "json")
    file.write_text(change(out))
    code, out, err = call(capfd, "show", str(file))
    assert (code, out) == (2, "") and "error[not-a-trace]" in err and says.lower() in err.lower()


def test_what_a_size_without_a_formula_counts_is_not_said(capfd):
    """What mixes 24 of something is known; that none of them mixes features is not."""
    vit = ("--dim", 24, "--depth", 1, "--heads", 2, "--mlp-dim", 32, "--image-size", 32)
    assert "2 steps mix tokens, 10 mix features, none mixes images" in call(capfd, *vit).out
    assert "mixes features" not in call(capfd, *vit, "--no-formulas").out
