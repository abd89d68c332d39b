"""Saved traces that lie: formulas, numbers, places and files that a trace cannot hold; values for --with."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import Case

SPAN = {"file": "net.py", "line": 1, "end_line": 1, "column": 0, "end_column": 4, "text": "code"}
TENSOR = {"path": "", "shape": [2, 8], "dims": ["b", "dim"], "dtype": "float32"}
STAGE = {"index": 0, "parent": None, "name": "net", "module": "net", "kind": "module", "operation": "Linear"}
STAGE |= {"pattern": None, "inputs": [TENSOR], "outputs": [TENSOR], "source": SPAN, "parameters": 72, "flops": 256}
TRACE: dict[str, Any] = {
    "schema": "vit-trace/1",
    "versions": {"vit_trace": "0.1.0", "torch": "2", "python": "3"},
    "target": {"spec": "", "class": "Net", "hyperparameters": {"dim": 8}, "device": "meta"},
    "symbols": {"b": {"value": 2, "meaning": "batch"}, "dim": {"value": 8, "meaning": "", "hyperparameter": "dim"}},
    "construction": [{"module": "", "name": "inner", "value": 8, "formula": "dim", "source": SPAN}],
    "parameters": [{"name": "net.weight", "shape": [8, 8], "dims": ["dim", "dim"], "dtype": "float32"}],
    "stages": [STAGE],
    "outputs": [TENSOR],
    "totals": {"stages": 1, "parameters": 72, "parameter_bytes": 288, "flops": 256},
    "failure": None,
    "diagnostics": [{"code": "formulas", "severity": "warning", "message": "told", "span": SPAN}],
}


def _saved(*path: str | int, value: Any) -> Callable[[Path], None]:
    """Writes the trace with one value changed."""

    def prepare(folder: Path) -> None:
        tree = holder = copy.deepcopy(TRACE)
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
        (folder / "x.json").write_text(json.dumps(tree))

    return prepare


def _text(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "x.json").write_text(text) and None


DIM = ("stages", 0, "outputs", 0, "dims", 1)
FORMULAS = {
    "half a sum": "dim +",
    "a power": "dim**dim",
    "a call": "__import__('os').system('touch pwned')",
    "a lambda": "(lambda: 1)()",
    "an unknown name": "heads",
    "nothing": "",
    "a number of 10,000 digits": "9" * 10_000,
    "a hexadecimal number": "0x" + "f" * 1_000,
    "1,000 signs": "-" * 1_000 + "1",
    "1,000 brackets": "(" * 1_000 + "1" + ")" * 1_000,
    "100,000 factors": "dim*" * 100_000 + "dim",
    "an escape sequence": "\x1b[2J",
    "a null": "\0",
}
CASES = [
    Case(f"{name} as a formula", ("show", "x.json"), 2, "not-a-trace", _saved(*DIM, value=text))
    for name, text in FORMULAS.items()
]
CASES += [
    Case("the trace itself", ("show", "x.json"), 0, "72 parameters", _saved("failure", value=None)),
    Case("a size of 10^40", ("show", "x.json"), 2, "not-a-trace", _saved(*DIM[:-2], "shape", 1, value=10**40)),
    Case("a size of 5,000 digits", ("show", "x.json"), 2, "not-a-trace", _text("[" + "9" * 5_000 + "]")),
    Case("a size below -1", ("show", "x.json"), 2, "not-a-trace", _saved(*DIM[:-2], "shape", 1, value=-2)),
    Case(
        "10,000 axes", ("show", "x.json"), 2, "not-a-trace", _saved(*DIM[:-2], value={**TENSOR, "shape": [2] * 10_000})
    ),
    Case(
        "symbols in a circle",
        ("show", "x.json"),
        2,
        "follows from itself",
        _saved("symbols", "b", "formula", value="b"),
    ),
    Case(
        "an index in no list",
        ("show", "x.json", "--with", "dim=16"),
        0,
        "",
        _saved("symbols", "dim", "hyperparameter", value="dim[x]"),
    ),
    Case(
        "a division by zero",
        ("show", "x.json", "--with", "dim=16"),
        2,
        "cannot-evaluate",
        _saved(*DIM, value="dim//(b - b)"),
    ),
    Case("a twelfth power", ("show", "x.json"), 0, "dim¹²", _saved(*DIM, value="*".join(["dim"] * 12))),
    Case(
        "a twelfth power of much",
        ("show", "x.json", "--with", f"dim={10**17}"),
        2,
        "cannot-evaluate",
        _saved(*DIM, value="*".join(["dim"] * 12)),
    ),
    Case(
        "a span of 10^9 lines",
        ("show", "x.json"),
        2,
        "not-a-trace",
        _saved("diagnostics", 0, "span", "end_line", value=10**9),
    ),
    Case(
        "a span in /dev/zero",
        ("show", "x.json"),
        0,
        "told",
        _saved("diagnostics", 0, "span", "file", value="/dev/zero"),
    ),
    Case(
        "a span in a file that is no name",
        ("show", "x.json"),
        0,
        "told",
        _saved("diagnostics", 0, "span", "file", value="\0"),
    ),
    Case(
        "hyperparameters 500 levels deep",
        ("show", "x.json"),
        2,
        "not-a-trace",
        _saved("target", "hyperparameters", "dim", value=json.loads("[" * 500 + "]" * 500)),
    ),
    Case("a parent that is itself", ("show", "x.json"), 2, "not-a-trace", _saved("stages", 0, "parent", value=0)),
    Case("escape sequences as names", ("show", "x.json"), 0, "\\x1b", _saved("stages", 0, "name", value="a\x1b[2J\nb")),
    Case(
        "escape sequences, as JSON",
        ("show", "x.json", "--format", "json"),
        0,
        "",
        _saved("stages", 0, "name", value="\x9b2J"),
    ),
    Case(
        "an escape sequence as class",
        ("show", "x.json", "--view", "tree"),
        0,
        "\\x1b",
        _saved("target", "class", value="\x1b[2J"),
    ),
    Case("a million brackets", ("show", "x.json"), 2, "not-a-trace", _text("[" * 1_000_000)),
    Case("another schema", ("show", "x.json"), 2, "vit-trace/9", _saved("schema", value="vit-trace/9")),
    Case(
        "a value of 500 digits",
        ("show", "x.json", "--with", f"b={'9' * 500}"),
        2,
        "digits",
        _saved("failure", value=None),
    ),
    Case(
        "a value of 10,000 digits",
        ("show", "x.json", "--with", f"b={'9' * 10_000}"),
        2,
        "digits",
        _saved("failure", value=None),
    ),
    Case(
        "a name of 100,000 characters",
        ("show", "x.json", "--with", f"{'b' * 100_000}=1"),
        2,
        "cannot-evaluate",
        _saved("failure", value=None),
    ),
    Case("nothing to change", ("show", "x.json", "--with", "="), 2, "cannot-evaluate", _saved("failure", value=None)),
    Case(
        "Python of a trace of /dev/zero",
        ("show", "x.json", "--format", "python"),
        2,
        "error[",
        _saved("listing", value=[{"file": "/dev/zero", "class": "Net", "lines": []}]),
    ),
]
