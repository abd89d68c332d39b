"""A config.json with numbers that no size has."""

import json
from pathlib import Path

from tests.hostile.case import Case

BASE = '{\n "model_type": "vit",\n "hidden_size": %s\n}\n'


def _config(number: str):
    def prepare(folder: Path) -> None:
        (folder / "config.json").write_text(BASE % number)

    return prepare


NUMBERS = {"10,000 digits": "9" * 10_000, "30 digits": "1" * 30, "a negative one": "-" + "1" * 5_000}
CASES = [
    Case(
        f"{name}, {verb or 'trace'}",
        (*verb.split(), "config.json"),
        1 if verb else 2,
        "config.json:3:17",
        _config(number),
        requires="transformers",
    )
    for name, number in NUMBERS.items()
    for verb in ("", "check")
]
CASES += [
    Case("digits in a text", ("config.json",), 2, "error[", _config(json.dumps("9" * 10_000)), requires="transformers"),
    Case("100 MB", ("config.json",), 2, "too large", _config('"' + "x" * 100_000_000 + '"'), requires="transformers"),
]
