"""Environments: encodings, terminals, homes and temporary directories that are none, options of Python."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.saved_traces import TRACE

YAML = "depth: 1\ndim: 64\nheads: 4\n"


def _files(folder: Path) -> None:
    (folder / "x.json").write_text(json.dumps(TRACE))
    (folder / "宽.yaml").write_text(YAML)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def _many(folder: Path) -> None:
    for number in range(70):
        (folder / f"{number}.yaml").write_text(YAML)


VARIABLES: dict[str, dict[str, str]] = {
    "the C locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "the POSIX locale": {"LC_ALL": "POSIX"},
    "a locale that is none": {"LC_ALL": "xx_YY.UTF-99", "LANG": "\x1b"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "ASCII, strictly": {"PYTHONIOENCODING": "ascii:strict"},
    "a dumb terminal": {"TERM": "dumb"},
    "a terminal that is none": {"TERM": "\x1b[2J" * 50},
    "no colour": {"NO_COLOR": "1"},
    "no home": {"HOME": ""},
    "a home that is not there": {"HOME": "/no/such/home", "XDG_CACHE_HOME": "/proc/nowhere"},
    "no path": {"PATH": ""},
    "a temporary directory that is not there": {"TMPDIR": "/no/such/directory"},
    "no assertions, no docstrings": {"PYTHONOPTIMIZE": "2"},
    "no assertions": {"PYTHONOPTIMIZE": "1"},
    "warnings as errors": {"PYTHONWARNINGS": "error"},
    "all warnings": {"PYTHONWARNINGS": "always"},
    "development mode": {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "ignore::ResourceWarning"},
    "no columns in tracebacks": {"PYTHONNODEBUGRANGES": "1"},
    "no limit of digits": {"PYTHONINTMAXSTRDIGITS": "0"},
    "another hash": {"PYTHONHASHSEED": "4294967295"},
    "unbuffered": {"PYTHONUNBUFFERED": "1"},
    "a width of a page": {"COLUMNS": "²", "LINES": "9" * 5000},
    "a notebook": {"JUPYTER_COLUMNS": "x", "JUPYTER_LINES": "-1"},
    "a debugger": {"PYTHONBREAKPOINT": "no.such.thing", "PYTHONINSPECT": ""},
    "threads": {"OMP_NUM_THREADS": "-1", "MKL_NUM_THREADS": "x"},
}
VERBS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "trace": (("--depth", "1", "--dim", "32"), 0, "parameters"),
    "show": (("show", "x.json"), 0, "72 parameters"),
}
OTHERS: dict[str, tuple[tuple[str, ...], int, Callable[[Path], None]]] = {
    "check": (("check", "宽.yaml", "--suggest", "heads"), 0, _files),
    "a crash": (("--depth", "1", "--input", "2x3x288x288", "--traceback"), 1, _files),
    "a checkpoint": (("check", "--checkpoint", "x.safetensors"), 0, _files),
    "70 configs": (("check", ".", "--jobs", "2"), 0, _many),
}
HARD = ("the C locale", "ASCII, strictly", "no assertions, no docstrings", "warnings as errors", "no home", "no path")

CASES = [
    Case(f"{name}, {verb}", words, code, says, _files, tuple(variables.items()), alone=True, seconds=20)
    for name, variables in VARIABLES.items()
    for verb, (words, code, says) in VERBS.items()
]
CASES += [
    Case(f"{name}, {verb}", words, code, "", prepare, tuple(VARIABLES[name].items()), alone=True, seconds=30)
    for name in HARD
    for verb, (words, code, prepare) in OTHERS.items()
]
CASES += [
    Case(f"{option}, trace", ("--depth", "1"), 0, "parameters", python=(option,), alone=True)
    for option in ("-E", "-I", "-s", "-bb", "-u")
]
