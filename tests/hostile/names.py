"""Texts on the command line: too long, with control characters, in other encodings, or empty."""

import os
from pathlib import Path

from tests.hostile.case import Case

LONG = "x" * 100_000
ESCAPE = "a\x1b[31m\x07\nb\u202ec\x9b2J"
YAML = "depth: 1\ndim: 64\nheads: 7\n"
FORMATS = ("rich", "concise", "json", "github", "sarif")


def _named(name: str):
    def prepare(folder: Path) -> None:
        (folder / name).write_text(YAML)

    return prepare


def _not_utf8(folder: Path) -> None:
    inner = os.path.join(os.fsencode(folder), b"d\xff\xfe")
    os.mkdir(inner)
    with open(os.path.join(inner, b"c\xe9.yaml"), "w") as stream:
        stream.write(YAML)


def _signed(folder: Path) -> None:
    body = "def __init__(self):\n        super().__init__()\n        self.add_module('st#em', nn.ReLU())"
    (folder / "m#1.py").write_text(f"from torch import nn\nclass Net(nn.Sequential):\n    {body}\n")


def _deep(folder: Path) -> None:
    inner = folder
    for _ in range(12):
        inner = inner / ("d" * 250)
        inner.mkdir()
    (folder / "x.yaml").write_text(YAML)


LONG_PLACES = {
    "a spec": (LONG,),
    "a YAML file": (f"{LONG}.yaml",),
    "a config.json": (f"{LONG}.json",),
    "a Python file": (f"{LONG}.py:Net",),
    "a name in a module": (f"torch.nn:{LONG}",),
    "a module": (f"{LONG}:Net",),
    "a dotted module": ("a." * 50_000 + "b:Net",),
    "--config": ("--config", f"{LONG}.yaml"),
    "--set": ("--set", f"{LONG}=1"),
    "a value of --set": ("--set", f"depth={LONG}"),
    "digits of --set": ("--set", f"depth={'9' * 100_000}"),
    "--dim": ("--dim", "9" * 100_000),
    "--image-size": ("--image-size", "9" * 50_000 + "x" + "9" * 50_000),
    "--input": ("--input", LONG),
    "sizes of --input": ("--input", "x".join(["9"] * 20_000)),
    "digits of --input": ("--input", f"2x3x{'9' * 10_000}x4"),
    "--view": ("--view", LONG),
    "--format": ("--format", LONG),
    "--stage": ("--depth", "1", "--stage", LONG),
    "a verb's file": ("show", LONG),
    "what is explained": ("explain", "--depth", "1", LONG),
    "a size to explain": ("explain", "--depth", "1", "9" * 100_000),
    "a checkpoint": ("check", "--checkpoint", LONG),
    "memory": ("check", "--memory", LONG),
    "digits of memory": ("check", "--memory", "9" * 100_000 + "GiB"),
    "a value to suggest": ("check", "--suggest", LONG),
    "a glob": ("check", f"{LONG}*.yaml"),
    "a flag": (f"--{LONG}",),
    "check": ("check", LONG),
}
CASES = [Case(f"100,000 characters as {place}", words, 2, "error[") for place, words in LONG_PLACES.items()]
CASES += [
    Case("100,000 characters after timm:", (f"timm:{LONG}",), 2, "error[", requires="timm"),
    Case("100,000 characters after hf:", (f"hf:{LONG}",), 2, "error[", requires="transformers"),
    Case(
        "100,000 characters as a glob of models",
        ("models", LONG),
        1,
        "no model matches",
        seconds=30,
        requires="transformers",
    ),
    Case("an empty spec", ("",), 2, "error["),
    Case("an empty spec of check", ("check", ""), 2, "error["),
    Case("a colon", (":",), 2, "error["),
    Case("an escape sequence as a spec", (ESCAPE,), 2, "\\x1b"),
    Case("an escape sequence as a YAML file", (f"{ESCAPE}.yaml",), 2, "\\x1b"),
    Case("an escape sequence as --set", ("--set", f"{ESCAPE}=1"), 2, "\\x1b"),
    Case("an escape sequence as --stage", ("--depth", "1", "--stage", ESCAPE), 2, "\\x1b"),
    Case("an escape sequence as --format", ("--format", ESCAPE), 2, "\\x1b"),
    Case("an escape sequence as a flag", (f"--{ESCAPE}",), 2, "\\x1b"),
    Case("an escape sequence as a module", (f"{ESCAPE}:Net",), 2, "\\x1b"),
    Case("an escape sequence as an output", ("--depth", "1", "-o", ESCAPE), 2, "\\x1b"),
]
CASES += [
    Case(f"an escape sequence in a file's name, as {format}", ("check", f"{ESCAPE}.yaml", "--format", format), 0, "",
         _named(f"{ESCAPE}.yaml"))
    for format in FORMATS
]  # fmt: skip
CASES += [
    Case(f"a directory that is not UTF-8, as {format}", ("check", ".", "--format", format), 0, "", _not_utf8)
    for format in FORMATS
]
CASES += [
    Case(f"names of 256 characters, as {format}", ("check", "x" * 256, "y" * 256 + ".yaml", "--format", format), 2, "")
    for format in FORMATS
]
CASES += [Case("directories of 250 characters, 12 deep", ("check", "."), 0, "", _deep)]
CASES += [Case("a number sign in a file's and a module's name", ("m#1.py:Net", "--input", "2x3"), 0, "st#em", _signed)]
