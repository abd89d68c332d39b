"""Reads a zip archive after checking its directory: a .pt of torch or a .npz of NumPy."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from vit_trace.config.words import cut
from vit_trace.weights.archive import check_end, check_members
from vit_trace.weights.data import Checkpoint, malformed


def zipped(path: str, stream: BinaryIO, size: int, kind: str) -> Checkpoint:
    """The tensors of an archive. Raises Refused."""
    check_end(path, stream, size)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            check_members(path, members, size)
            if kind == "npz" or all(member.filename.endswith(".npy") for member in members):
                from vit_trace.weights.npz import npz

                return npz(path, archive)
            from vit_trace.weights.torch_file import torch_zip

            return torch_zip(path, archive, size)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, UnicodeDecodeError, RuntimeError) as error:
        raise malformed(path, f"the zip archive is malformed: {cut(str(error) or type(error).__name__, 120)}") from None
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise malformed(path, f"the zip archive is malformed: {cut(str(error), 120)}") from None
