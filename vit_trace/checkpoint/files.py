"""A path -> the checkpoint in it: what kind of file it is, told by its first bytes. Raises Refused only."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from msgspec.structs import replace

from vit_trace.checkpoint.data import Checkpoint, malformed
from vit_trace.config.files import file_kind, nearest_files
from vit_trace.config.words import cut
from vit_trace.output import Refused, refuse

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")
MAX_CONFIG = 1024 * 1024

OTHERS = {
    b"\x89HDF": ("an HDF5 file", "load it with Keras or TensorFlow and save its weights as .safetensors or .npz"),
    b"GGUF": ("a GGUF file", "take the weights it was quantised from"),
    b"version https://git-lfs": ("a Git LFS pointer, not the weights", "git lfs pull fetches them"),
    b"<!DOCTYPE": ("an HTML page, not weights", "the download gave a page: fetch the file itself"),
    b"<html": ("an HTML page, not weights", "the download gave a page: fetch the file itself"),
    b"\x1f\x8b": ("gzipped", "gunzip it first"),
    b"BZh": ("a bzip2 archive", "unpack it first"),
    b"\xfd7zXZ": ("an xz archive", "unpack it first"),
    b"\x93NUMPY": ("one NumPy array, not a set of named ones", "save the arrays by name with numpy.savez"),
}
"""First bytes of files that are something else -> what they are, and what to do."""


def read(path: str | Path) -> Checkpoint:
    """The tensors of a checkpoint file, of its shards or of a model's directory. Raises Refused with one diagnostic.

    No value is read and nothing is executed: of .safetensors and .npz only headers are read, of .pt only the pickle of
    its structure, by a reader that has no functions to call.
    """
    place = Path(path)
    if place.is_dir():
        found = in_directory(place)
        return replace(read_file(found), path=shown(place))
    return read_file(place)


def read_file(path: Path) -> Checkpoint:
    """One file, or an index with its shards."""
    if path.name.endswith(".index.json"):
        from vit_trace.checkpoint.shards import sharded

        checkpoint = sharded(path)
    else:
        checkpoint = whole_file(path)
    return replace(checkpoint, config=config_beside(path))


def whole_file(path: Path) -> Checkpoint:
    """One file that is no index."""
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(512)
        stream.seek(0)
        return by_content(path, stream, start, size)


def by_content(path: Path, stream: BinaryIO, start: bytes, size: int) -> Checkpoint:
    name = shown(path)
    if not size:
        raise malformed(name, "the file is empty")
    for first, (what, help) in OTHERS.items():
        if start.startswith(first):
            raise refuse("not-a-checkpoint", f"{name} is {what}", help=(help,))
    suffix = path.suffix.lower()
    if start.startswith(b"PK"):
        from vit_trace.checkpoint.zips import zipped

        return zipped(name, stream, size, "npz" if suffix == ".npz" else "")
    if suffix == ".safetensors" or (start[8:9] == b"{" and suffix not in (".pt", ".pth", ".ckpt")):
        from vit_trace.checkpoint.safe import safetensors

        return safetensors(name, stream, size)
    if suffix == ".npz":
        raise malformed(name, "it is no .npz: a zip archive starts with PK", first_bytes(start))
    if start[257:262] == b"ustar":
        help = "torch.save(torch.load(FILE), NEW) with the torch that wrote it"
        raise refuse("not-a-checkpoint", f"{name} is a tar archive, as torch wrote before 0.1.10", help=(help,))
    if start[:1] == b"\x80" or suffix in (".pt", ".pth", ".ckpt", ".bin"):
        from vit_trace.checkpoint.torch_file import legacy

        return legacy(name, stream)
    help = f"a checkpoint ends in {', '.join(SUFFIXES)}, or is a directory with one"
    raise refuse("not-a-checkpoint", f"{name} is no checkpoint", notes=(first_bytes(start),), help=(help,))


def first_bytes(start: bytes) -> str:
    return f"its first bytes are {start[:8]!r}"


def opened(path: Path) -> BinaryIO:
    """A regular file to read; refused before it is opened if it would never end or never come."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise refuse("checkpoint-unreadable", f"{shown(path)} is {file_kind(mode)}, not a checkpoint file")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        notes, help = nearest_files(path)
        raise refuse("checkpoint-unreadable", f"there is no file {shown(path)}", notes=notes, help=help) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse("checkpoint-unreadable", f"{cut(str(path), 200)} cannot be read: {reason}") from None


def in_directory(folder: Path) -> Path:
    """The checkpoint in a model's directory: its index, the usual names, else the only one there is. Raises Refused."""
    for name in (*INDEXES, *SINGLE):
        if (folder / name).exists():
            return folder / name
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise refuse("checkpoint-unreadable", f"{shown(folder)} cannot be read: {reason}") from None
    if len(found) == 1:
        return found[0]
    if not found:
        wanted = f"{INDEXES[0]}, {SINGLE[0]} or another file that ends in {', '.join(SUFFIXES)}"
        raise refuse("checkpoint-unreadable", f"the directory {shown(folder)} has no checkpoint", help=(wanted,))
    names = ", ".join(path.name for path in found[:4]) + (", …" if len(found) > 4 else "")
    message = f"the directory {shown(folder)} has {len(found)} checkpoints: {cut(names, 200)}"
    raise refuse("checkpoint-unreadable", message, help=(f"name one: {shown(found[0])}",))


def config_beside(path: Path) -> dict[str, Any] | None:
    """The config.json beside the file, if there is one that can be read."""
    file = path.parent / "config.json"
    try:
        if not file.is_file() or file.stat().st_size > MAX_CONFIG:
            return None
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def shown(path: Path) -> str:
    """The path as text that can be written as UTF-8 on one line."""
    return cut(str(path), 300)


__all__ = ["Refused", "read"]
