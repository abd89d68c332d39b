"""Shows mutated saved traces in three views each: `python -m tests.hostile.fuzz COUNT [FIRST]`; a seed is a mutant.

A mutant changes a document at one to four places, in its structure or in its bytes. Whatever comes of it, the exit code
is 0 or 2, in time.
"""

import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from vit_trace.cli.app import run
from vit_trace.render.legible import HANDLER

SECONDS = 2.0
"""Processor time that one mutant may take in one view."""

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dim=12, size=16, heads=3):
        super().__init__()
        self.inner = dim // heads
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(3))

    def forward(self, image):
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(len(x), -1, -1), x), 1)
        for layer in self.layers:
            x = layer(x) + x
        return {"tokens": x, "all": [x.mean(1), x[:, 0]]}
"""
DEEP = "1,000 lists in each other"
"""Stands for them: Python writes no document that deep."""

SMALL = ("--depth", "1", "--dim", "24", "--heads", "2", "--image-size", "64")
BASES = {
    "vit": (*SMALL, "--view", "source"),
    "failed": (*SMALL, "--input", "2x3x96x96", "--view", "source"),
    "net": ("net.py:Net", "--input", "2x3x16x16", "--view", "source"),
    "failed net": ("net.py:Net", "--input", "2x4x16x16", "--set", "dim=9"),
}
VIEWS: tuple[tuple[str, ...], ...] = (
    (),
    ("--view", "tree"),
    ("--view", "source"),
    ("--view", "source", "--ran", "--traceback"),
    ("--no-fold",),
    ("--levels", "2", "--stage", "*to*"),
    ("--with", "dim=36"),
    ("--with", "b=3", "--with", "image_size=128", "--view", "tree"),
    ("--with", f"b={'9' * 18}"),
    ("--with", f"dim={'9' * 500}"),
    ("--format", "json"),
    *(("--format", "markdown", "--view", view) for view in ("source", "table", "tree")),
    ("--format", "tex", "--no-fold"),
    ("--format", "csv"),
    ("--format", "csv", "--sort", "params", "--top", "3"),
    ("--format", "python"),
)
WIDTHS = ("0", "1", "5", "40", "80", "200")
NUMBERS = (0, 1, -1, -2, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, int("9" * 500), 0.5, -0.0, 1e308, float("nan"))
TEXTS = ("", " ", "b", "n", "dim", "\ud800", "\x1b[2J", "\0", "a\nb", "宽", "‮x", "x" * 5000, "é" * 300, "1", "-1")
FORMULAS = (
    *(
        "dim +",
        "dim//0",
        "dim//(b-b)",
        "(" * 300 + "b" + ")" * 300,
        "b**b",
        "-" * 400 + "b",
        "min()",
        "min(b)",
        "max(b, 1)",
    ),
    *(
        "b if b else b",
        "b" * 600,
        "f'{b}'",
        "b.c",
        "b[0]",
        "0x10",
        "1_0",
        "1e3",
        "b, dim",
        "b\n+1",
        "lambda: b",
        "9" * 40,
    ),
    *(
        "b*" * 300 + "b",
        "1//3*3",
        "ceil(b/2)",
        "(b := 1)",
        "*b",
        "ｂ",
        "-1",
        "b-1000",
        "0*b",
        "b//-1",
        "b%0",
        "min(b, dim)",
    ),
)
INSERTED = (b"9" * 500, b"-", b".5", b"e9", b'"', b"\\ud800", b"\xff", b"[" * 5000, b"\0", b"NaN")
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": ""}, [0] * 1000, {"a": {"b": [1, {"c": None}]}})


def places_of(tree: Any) -> list[tuple[Any, Any]]:
    """Every place in a document, as the list or the object that holds it and its key."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        inner = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        found += ((holder, key) for key, _ in inner)
        waiting += [value for _, value in inner if isinstance(value, (dict, list))]
    return found


def changed(value: Any, dice: random.Random) -> Any:
    """Another value in the place of one: mostly of its own type, so that the reader lets it pass."""
    kind = dice.random()
    if kind < 0.35 and isinstance(value, str):
        return dice.choice((*TEXTS, *FORMULAS, value[: len(value) // 2], value * 3, value + dice.choice(TEXTS)))
    if kind < 0.35 and isinstance(value, int):
        return dice.choice((*NUMBERS, value + 1, value - 1, -value, float(value), bool(value)))
    if kind < 0.5 and isinstance(value, list) and value:
        return dice.choice((value[1:], value[::-1], value * 2, value * 50, value[:1], [value], value[0]))
    if kind < 0.55:
        return DEEP
    return dice.choice((*NUMBERS, *TEXTS, *OTHERS, *FORMULAS))


def mutated_tree(tree: Any, dice: random.Random) -> bytes:
    """The document with values changed, dropped, doubled and moved."""
    tree = json.loads(json.dumps(tree))
    for _ in range(dice.choice((1, 1, 2, 4))):
        places = places_of(tree)
        holder, key = dice.choice(places)
        what = dice.random()
        if what < 0.7:
            holder[key] = changed(holder[key], dice)
        elif what < 0.8:
            del holder[key]
        elif what < 0.9:
            other, its = dice.choice(places)
            holder[key] = json.loads(json.dumps(other[its]))
        elif isinstance(holder, dict):
            holder[dice.choice(TEXTS)] = holder.pop(key)
        else:
            holder.insert(key, json.loads(json.dumps(holder[key])))
    text = json.dumps(tree, ensure_ascii=dice.random() < 0.5)
    text = text.replace(f'"{DEEP}"', "[" * 1000 + "]" * 1000)
    if dice.random() < 0.1:  # a key twice
        text = text.replace('"value": ', f'"value": {dice.choice(NUMBERS)}, "value": ', 1)
    return text.encode("utf-8", "surrogatepass")


def mutated_bytes(raw: bytes, dice: random.Random) -> bytes:
    """The document with bytes flipped, cut out, put in and doubled."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        start = dice.randrange(len(raw))
        end = min(len(raw), start + dice.choice((1, 1, 2, 8, 300)))
        pieces = (
            bytes((raw[start] ^ 1 << dice.randrange(8),)) + raw[start + 1 : end],
            b"",
            raw[start:end] * 2,
            raw[start:end]
            + dice.choice((b"9" * 500, b"-", b".5", b"e9", b'"', b"\\ud800", b"\xff", b"[" * 5000, b"\0", b"NaN")),
        )
        raw = raw[:start] + dice.choice(pieces) + raw[end:]
        if not raw:
            break
    return raw


def saved_bases(folder: Path) -> dict[str, bytes]:
    """The documents that are changed: models that run and that fail."""
    (folder / "net.py").write_text(MODEL)
    found = {}
    for name, words in BASES.items():
        file = folder / "base.json"
        with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
            run([*words, "-o", str(file)])
        found[name] = file.read_bytes()
    return found


def mutant(bases: dict[str, bytes], seed: int) -> bytes:
    """The mutant of a seed."""
    dice = random.Random(seed)
    raw = bases[dice.choice(sorted(bases))]
    return mutated_bytes(raw, dice) if dice.random() < 0.3 else mutated_tree(json.loads(raw), dice)


def outcome(words: list[str]) -> tuple[int, str, float]:
    """Exit code, output and processor time of a command in this process."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "utf-8", errors=HANDLER)
    start = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run(words)
    seconds = time.process_time() - start
    out.flush()
    return code, raw.getvalue().decode(), seconds


class Shown(NamedTuple):
    """What came of showing a file in one view."""

    view: tuple[str, ...]
    code: int
    text: str
    seconds: float
    failed: bool = False

    @property
    def fault(self) -> str:
        """What is wrong with it; "" for nothing. A trace of a forward that `failed` exits with 1."""
        view, odd = " ".join(self.view), {one for one in self.text if not one.isprintable()} - set("\n\t\f")
        if self.code not in (int(self.failed), 2):
            return f"{view}: exit {self.code}: {self.text.strip()[-300:]}"
        if self.seconds > SECONDS:
            return f"{view}: {self.seconds:.1f} s"
        return f"{view}: {odd} on the screen" if odd else ""


def shown(file: Path, seed: int) -> Iterator[Shown]:
    """A file in three views on a screen of one width, drawn by a seed; one that cannot be read is shown once."""
    dice = random.Random(seed)
    views = dice.sample(VIEWS, 3)
    with patch.dict(os.environ, COLUMNS=dice.choice(WIDTHS)):
        for view in views:
            yield (one := Shown(view, *outcome(["show", str(file), *view]), holds_failure(file)))
            if one.code == 2 and "not-a-trace" in one.text:
                return


def holds_failure(file: Path) -> bool:
    """Whether a file is a trace of a forward that failed."""
    try:
        held = json.loads(file.read_bytes().decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(held, dict) and isinstance(held.get("failure"), dict)


def main(count: int, first: int = 0) -> int:
    """Show that many mutants; print those that go wrong and return their number."""
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bases, file = saved_bases(folder), folder / "x.json"
        for seed in range(first, first + count):
            file.write_bytes(mutant(bases, seed))
            if faults := [one.fault for one in shown(file, seed) if one.fault]:
                wrong += 1
                print(f"seed {seed}: {faults[0]}", flush=True)
    print(f"{count} mutants, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    raise SystemExit(bool(main(*map(int, sys.argv[1:]))))
