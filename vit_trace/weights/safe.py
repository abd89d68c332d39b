"""Reads the header of a .safetensors file and checks it as the format's own library does. Reads no tensor.

8 bytes of length (little endian), that many bytes of JSON {name: {dtype, shape, data_offsets}}, then the values; the
offsets count from the end of the header, tile the rest of the file and overlap nowhere.
https://github.com/huggingface/safetensors#format
"""

import json
from typing import Any, BinaryIO

from vit_trace.base.words import bytes_text, shape_text
from vit_trace.config.words import cut, in_quotes
from vit_trace.weights.data import BITS, MAX_TENSORS, Checkpoint, Entry, are_counts, malformed, too_large

MAX_HEADER = 8 * 2**20
"""Bytes of header that are read: enough for 70,000 tensors. The format allows 100 MB."""

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F6_E2M3": "float6_e2m3fn", "F6_E3M2": "float6_e3m2fn", "F4": "float4_e2m1fn_x2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "C64": "complex64",
}  # fmt: skip
"""The format's names of dtypes -> torch's."""


def safetensors(path: str, stream: BinaryIO, size: int) -> Checkpoint:
    """The tensors that the header names. Raises Refused."""
    length = _header_length(path, stream.read(8), size)
    try:
        values = _parsed(stream.read(length))
        return Checkpoint(path, "safetensors", _entries_of(values, size - 8 - length))
    except ValueError as flaw:
        raise malformed(path, f"the safetensors header is malformed: {flaw}") from None


def _header_length(path: str, start: bytes, size: int) -> int:
    if len(start) < 8:
        raise malformed(path, f"the file ends after {bytes_text(size)}, inside the 8 bytes of its header's length")
    length = int.from_bytes(start, "little")
    if length > size - 8:
        what = f"the header is {length:,} bytes by its own account, the file has {size - 8:,} after the length"
        raise malformed(path, what, help=("the file is cut off, or is not a safetensors file",))
    if length > MAX_HEADER:
        raise too_large(path, f"the header is {bytes_text(length)}; {bytes_text(MAX_HEADER)} are read at most")
    if length < 2:
        raise malformed(path, f"the header is {bytes_text(length)} long; the shortest, {{}}, has 2")
    return length


def _parsed(header: bytes) -> dict[str, Any]:
    """The JSON object, no name in it twice. Raises ValueError."""
    try:
        text = header.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{header[error.start]:02x} at {error.start}") from None
    if not text.startswith("{"):
        raise ValueError(f"it starts with {in_quotes(text[:8])}, not with {{")
    try:
        values = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at byte {len(text[: error.pos].encode())}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise ValueError(cut(str(error), 100)) from None
    assert isinstance(values, dict)
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{in_quotes(name)} is in it twice")
        values[name] = value
    return values


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _entries_of(values: dict[str, Any], room: int) -> dict[str, Entry]:
    """The tensors; their spans tile the `room` bytes behind the header."""
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("__metadata__ is not an object of strings")
    if len(values) > MAX_TENSORS:
        raise ValueError(f"{len(values):,} tensors; {MAX_TENSORS:,} are read at most")
    entries, spans = {}, []
    for name, value in values.items():
        entries[name], span = _entry(name, value)
        spans.append((*span, name))
    _tiled(sorted(spans), room)
    return entries


def _entry(name: str, value: Any) -> tuple[Entry, tuple[int, int]]:
    """The tensor and its span in bytes."""
    quoted = in_quotes(name)
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{quoted} has not just dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{quoted} has dtype {cut(json.dumps(dtype))}, which does not exist")
    if not are_counts(shape):
        raise ValueError(f"{quoted} has shape {cut(json.dumps(shape))}, not a list of counts")
    if not are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{quoted} has data_offsets {cut(json.dumps(offsets))}, not two counts of bytes")
    start, end = offsets
    made = Entry(tuple(shape), DTYPES[dtype])
    if end < start:
        raise ValueError(f"{quoted} ends at byte {end:,}, before its start {start:,}")
    bits = made.numel * BITS[made.dtype]
    if bits != 8 * (end - start):
        size = cut(shape_text(shape))
        raise ValueError(f"{quoted} is {size} of {dtype}, {-(-bits // 8):,} bytes, but spans {end - start:,}")
    return made, (start, end)


def _tiled(spans: list[tuple[int, int, str]], room: int) -> None:
    """Raise ValueError unless each span starts where the one before ends and the last ends with the file."""
    before, last = 0, ""
    for start, end, name in spans:
        if start < before:
            raise ValueError(
                f"{in_quotes(name)} overlaps {in_quotes(last)}: it starts at byte {start:,}, before {before:,}"
            )
        if start > before:
            raise ValueError(f"{start - before:,} bytes before {in_quotes(name)} belong to no tensor")
        before, last = end, name
    if before > room:
        raise ValueError(f"{in_quotes(last)} ends at byte {before:,}, the file has {room:,} after its header")
    if before < room:
        raise ValueError(f"{room - before:,} bytes after the last tensor belong to none")
