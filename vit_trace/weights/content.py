"""Reads one checkpoint file by its first bytes."""

import os
from pathlib import Path
from typing import BinaryIO

from vit_trace.base.refused import refuse
from vit_trace.config.files import FileProblem, open_regular, shown_file
from vit_trace.config.words import cut
from vit_trace.weights.data import Checkpoint, malformed

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")

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
"""First bytes of files of other kinds -> what they are, and what to do."""


def whole_file(path: Path, key: str = "") -> Checkpoint:
    """One file that is not an index. Raises Refused."""
    with opened(path) as stream:
        start = stream.read(512)
        stream.seek(0)
        return _by_content(path, stream, start, key)


def _by_content(path: Path, stream: BinaryIO, start: bytes, key: str) -> Checkpoint:
    size = os.fstat(stream.fileno()).st_size
    name, first_bytes = shown_file(path), f"its first bytes are {start[:8]!r}"
    if not size:
        raise malformed(name, "the file is empty")
    for first, (what, help) in OTHERS.items():
        if start.startswith(first):
            raise refuse("not-a-checkpoint", f"{name} is {what}", help=(help,))
    suffix = path.suffix.lower()
    if start.startswith(b"PK"):
        return _zipped(name, stream, suffix, key)
    if suffix == ".safetensors" or (start[8:9] == b"{" and suffix not in (".pt", ".pth", ".ckpt")):
        from vit_trace.weights.safe import safetensors

        return safetensors(name, stream, size)
    if suffix == ".npz":
        raise malformed(name, "it is not an .npz: a zip archive starts with PK", first_bytes)
    if start[257:262] == b"ustar":
        help = "torch.save(torch.load(FILE), NEW) with the torch that wrote it"
        raise refuse("not-a-checkpoint", f"{name} is a tar archive, as torch wrote before 0.1.10", help=(help,))
    if start[:1] == b"\x80" or suffix in (".pt", ".pth", ".ckpt", ".bin"):
        from vit_trace.weights.torch_file import legacy

        return legacy(name, stream, key)
    help = f"a checkpoint ends in {', '.join(SUFFIXES)}, or is a directory with one"
    raise refuse("not-a-checkpoint", f"{name} is not a checkpoint", notes=(first_bytes,), help=(help,))


def _zipped(path: str, stream: BinaryIO, suffix: str, key: str) -> Checkpoint:
    """The tensors of a zip archive, once its directory is checked: a .pt of torch or a .npz. Raises Refused."""
    from zipfile import BadZipFile, ZipFile

    from vit_trace.weights.archive import check_end, check_members

    size = os.fstat(stream.fileno()).st_size
    check_end(path, stream, size)
    try:
        with ZipFile(stream) as archive:
            members = archive.infolist()
            check_members(path, members, size)
            if suffix == ".npz" or all(member.filename.endswith(".npy") for member in members):
                from vit_trace.weights.npz import npz

                return npz(path, archive)
            from vit_trace.weights.torch_file import torch_zip

            return torch_zip(path, archive, size, key)
    except (BadZipFile, OSError, EOFError, RuntimeError, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise malformed(path, f"the zip archive is malformed: {cut(str(error) or type(error).__name__, 120)}") from None


def opened(path: Path) -> BinaryIO:
    """A regular file to read. Raises Refused before it opens a device or a pipe, which might never end."""
    try:
        return open_regular(path, "a checkpoint file")
    except FileProblem as found:
        raise refuse("checkpoint-unreadable", found.message, notes=found.notes, help=found.help) from None
