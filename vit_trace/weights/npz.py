"""Reads a .npz of named arrays, as of the original JAX ViT: the header of each .npy in it, no values.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import zipfile
import zlib
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.base.words import bytes_text
from vit_trace.config.words import cut, in_quotes
from vit_trace.weights.data import Checkpoint, Entry, are_counts, malformed, too_large

MAX_HEADER = 65_535
BOMB = 2**30
"""Bytes of content above which a well packed archive is refused: weights hardly pack at all."""

DTYPES = {
    "f2": "float16", "f4": "float32", "f8": "float64", "V2": "bfloat16",
    "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64",
    "b1": "bool", "c8": "complex64", "c16": "complex128",
}  # fmt: skip
"""NumPy's descriptions -> torch's names. ml_dtypes' bfloat16 is saved as two bytes of anything."""


def npz(path: str, archive: zipfile.ZipFile) -> Checkpoint:
    """The arrays by name. Raises Refused."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    packed, size = sum(one.compress_size for one in members), sum(one.file_size for one in members)
    if size > BOMB and size > 100 * packed:
        raise too_large(path, f"its {bytes_text(packed)} unpack to {bytes_text(size)}: a zip bomb")
    entries: dict[str, Entry] = {}
    notes: list[str] = []
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in entries:
            raise malformed(path, f"{in_quotes(name)} is in it twice")
        if (found := _array(path, archive, member)) is not None:
            entries[name] = found
        else:
            notes.append(f"{cut(name)} is not an array of numbers and was left out")
    if not entries:
        raise refuse("not-a-checkpoint", f"{path} holds no arrays")
    return Checkpoint(path, "npz", entries, notes=tuple(notes[:3]))


def _array(path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Entry | None:
    """Shape and dtype in the array's header; None for texts and records. Raises Refused."""
    name = in_quotes(member.filename)
    try:
        with archive.open(member) as stream:
            start = stream.read(8)
            if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
                raise malformed(path, f"{name} in it is not a .npy array")
            wide = 4 if start[6] > 1 else 2
            length = int.from_bytes(stream.read(wide), "little")
            if length > MAX_HEADER:
                raise too_large(path, f"the header of {name} is {bytes_text(length)}")
            text = stream.read(length)
    except (zlib.error, EOFError, IndexError):
        raise malformed(path, f"{name} in it cannot be unpacked") from None
    shape, dtype = _header(path, name, text.decode("utf-8" if start[6] == 3 else "latin-1", "replace"))
    if "O" in dtype:
        message = f"{path}: {name} holds Python objects, which would run code when loaded"
        raise refuse("checkpoint-unsafe", message, help=("save arrays of numbers only",))
    found = DTYPES.get(dtype.lstrip("<>=|"))
    if found is None:
        return None
    made = Entry(shape, found)
    held = member.file_size - 8 - wide - length
    width = int(dtype.lstrip("<>=|")[1:])
    if made.numel * width != held:
        raise malformed(path, f"{name} is {made.numel:,} values of {width} bytes by its header, it has {held:,} bytes")
    return made


def _header(path: str, name: str, text: str) -> tuple[tuple[int, ...], str]:
    """(shape, NumPy's description of the dtype). Raises Refused."""
    try:
        values: Any = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        values = None
    shape, dtype = (values.get("shape"), values.get("descr")) if isinstance(values, dict) else (None, None)
    if not isinstance(shape, tuple) or not are_counts(shape):
        raise malformed(path, f"the header of {name} is malformed")
    return shape, dtype if isinstance(dtype, str) else "record"
