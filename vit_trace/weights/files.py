"""Reads the checkpoint at a path: a file, the shards of an index, or a model's directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.words import first_few
from vit_trace.config.words import cut
from vit_trace.weights.content import SUFFIXES, shown, whole_file
from vit_trace.weights.data import Checkpoint

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
MAX_CONFIG = 1024 * 1024
"""Largest config.json read beside a checkpoint, in bytes; a larger one is ignored."""


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
        from vit_trace.weights.shards import sharded

        checkpoint = sharded(path)
    else:
        checkpoint = whole_file(path)
    return replace(checkpoint, config=config_beside(path))


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
    names = first_few([path.name for path in found], 4)
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


__all__ = ["Refused", "read"]
