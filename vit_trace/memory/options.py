"""Reads the options of a training run from the command line. No torch."""

import re
from fractions import Fraction
from typing import Literal, cast

from msgspec import Struct

from vit_trace.base.refused import refuse, require_known
from vit_trace.base.words import whole_number

Optimizer = Literal["adamw", "sgd", "none"]
Precision = Literal["fp32", "bf16-mixed", "bf16"]

OPTIMIZERS: dict[str, str] = {
    "adamw": "AdamW, foreach as torch chooses on a GPU",
    "sgd": "SGD without momentum",
    "none": "no optimizer",
}
PRECISIONS: dict[str, str] = {
    "fp32": "float32",
    "bf16-mixed": "float32 parameters, bfloat16 by autocast as on CUDA",
    "bf16": "all bfloat16",
}
UNITS = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGTP", 1)
    for ending, base in (("iB", 1024), ("B", 1000), ("", 1024))
}
"""Bytes of a unit; GiB and G are 1024³, GB is 1000³."""

SIZE = re.compile(r"^\s*(\d+(?:_\d{3})*(?:\.\d+)?)\s*([A-Za-z]*)\s*$")
LEAST, MOST = 10_000, 2**63
"""Least bytes of a number without a unit (24 lacks one), and bytes above which no memory is."""


class Training(Struct, frozen=True):
    """One training run: its batch (None: the target's own), optimizer, precision, and whether blocks are recomputed."""

    batch_size: int | None = None
    optimizer: Optimizer = "adamw"
    precision: Precision = "fp32"
    checkpointing: bool = False


def training_of(
    batch_size: int | None = None, optimizer: str = "adamw", precision: str = "fp32", checkpointing: bool = False
) -> Training:
    """The run as typed. Raises Refused."""
    require_known("--optimizer", optimizer, tuple(OPTIMIZERS))
    require_known("--precision", precision, tuple(PRECISIONS))
    if batch_size is not None and batch_size < 1:
        raise refuse("bad-value", f"batch size {batch_size}: it takes a whole number above 0")
    return Training(batch_size, cast(Optimizer, optimizer), cast(Precision, precision), checkpointing)


def budget_of(text: str) -> int:
    """Bytes of 24GiB, 80GB, 24000MiB, 1.5TiB or a plain number. Raises Refused."""
    found = SIZE.match(text)
    unit = next((held for name, held in UNITS.items() if found and name.lower() == found[2].lower()), None)
    if found is None or unit is None or (unit == 1 and "." in found[1]):
        help = ("--memory 24GiB, 80GB, 24000MiB, or a number of bytes",)
        raise refuse("bad-value", f"--memory {text}: not an amount of memory", help=help)
    whole, point, rest = found[1].replace("_", "").partition(".")
    count = int(Fraction(f"{whole_number(whole)}{point}{rest[:20]}") * unit)
    if not found[2] and count < LEAST:
        help = (f"--memory {found[1]}GiB",)
        raise refuse("bad-value", f"--memory {text}: {count} bytes hold no model: a unit is missing", help=help)
    if not 0 < count < MOST:
        raise refuse("bad-value", f"--memory {text}: it takes 1 byte to 8 EiB", help=("--memory 24GiB",))
    return count
