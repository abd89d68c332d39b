"""Defines what a checkpoint is without its values: the names, shapes and dtypes of its tensors."""

from math import prod
from typing import Any

from msgspec import Struct

from vit_trace.base.refused import Refused, refuse

MAX_TENSORS = 200_000
"""Tensors of one checkpoint; one with more is refused. The largest ViTs have a few thousand."""

BITS = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    **dict.fromkeys(("float32", "int32", "uint32", "qint32", "complex32"), 32),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16", "bits16"), 16),
    **dict.fromkeys(("int8", "uint8", "bool", "qint8", "quint8"), 8),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"), 8),
    **dict.fromkeys(("float6_e2m3fn", "float6_e3m2fn"), 6),
    "float4_e2m1fn_x2": 4,
    "complex128": 128,
}
"""Bits of one value, by torch's name of the dtype."""


NOT_THERE = ("checkpoint-unreadable", "unknown-value")
"""Codes of refusals where there is nothing to judge; what a file that is there holds is a finding."""


class Entry(Struct, frozen=True):
    """One tensor of a checkpoint or of a model; `dtype` is torch's name."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def numel(self) -> int:
        return prod(self.shape)


class Checkpoint(Struct, frozen=True):
    """The tensors of a file by name, in the file's order.

    `format` is safetensors, torch, npz, torch.distributed.checkpoint, or memory for a state dict at hand; `taken` the
    keys to them inside a nested file (["model"]); `config` what a config.json beside it says; `notes` what was left
    out. `needs` are plain classes that torch's weights-only reader has to be told of, `weights_only` is whether it can
    read the file then. `key` is what was asked for and names no dictionary: a prefix of the tensors' names; `asked` is
    all that was asked for.
    """

    path: str
    format: str
    entries: dict[str, Entry]
    taken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    config: dict[str, Any] | None = None
    needs: tuple[str, ...] = ()
    weights_only: bool = True
    key: str = ""
    asked: str = ""


def are_counts(values: Any) -> bool:
    """Whether it is a sequence of sizes or places, as a header says them."""
    return isinstance(values, (tuple, list)) and all(type(one) is int and 0 <= one < 2**63 for one in values)


def malformed(path: str, what: str, *notes: str, help: tuple[str, ...] = ()) -> Refused:
    """The file is not what it claims to be."""
    return refuse("checkpoint-malformed", f"{path}: {what}", notes=notes, help=help)


def too_large(path: str, what: str, *notes: str) -> Refused:
    """The file asks for more memory than a checkpoint's names and shapes need."""
    return refuse("checkpoint-too-large", f"{path}: {what}", notes=notes)
