"""Reads the checkpoint at a path: a file, the shards of an index, or a model's directory."""

import json
import os
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.words import first_few
from vit_trace.config.files import MAX_JSON, FileProblem, read_at_most, read_regular, shown_file
from vit_trace.config.words import cut, in_quotes
from vit_trace.weights.content import SUFFIXES, opened, whole_file
from vit_trace.weights.data import Checkpoint, malformed, too_large

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
MAX_CONFIG = 1024 * 1024
"""Largest config.json read beside a checkpoint, in bytes; a larger one is ignored."""


def read(path: str | Path, key: str = "") -> Checkpoint:
    """The tensors of a checkpoint file, of its shards or of a directory. Raises Refused with one diagnostic.

    No value is read and nothing is executed: of .safetensors and .npz only headers are read, of .pt and of the
    .metadata of torch.distributed.checkpoint only the pickle of its structure, by a reader that has no functions to
    call.

    Args:
        key: where the file holds several state dicts, which to take ("model_ema"); or a prefix of the names to take.
    """
    place = Path(path)
    if not os.path.isdir(place):
        found = _read_file(place, key)
    elif os.path.exists(place / ".metadata"):
        from vit_trace.weights.distributed import distributed

        found = distributed(place, key)
    else:
        found = replace(_read_file(_in_directory(place), key), path=shown_file(place))
    return replace(_under(found) if found.key else found, asked=key)


def value_files(path: Path) -> dict[Path, list[str] | None]:
    """The files with the values of a checkpoint that was read, and the tensors in each; None stands for all."""
    place = _in_directory(path) if os.path.isdir(path) else path
    if not place.name.endswith(".index.json"):
        return {place: None}
    shards: dict[Path, list[str] | None] = {}
    for name, shard in weight_map(place).items():
        held = shards.setdefault(place.parent / shard, [])
        assert held is not None
        held.append(name)
    return shards


def _under(found: Checkpoint) -> Checkpoint:
    """The tensors whose names start with the key. Raises Refused where there is none."""
    prefix = f"{found.key}."
    entries = {name: entry for name, entry in found.entries.items() if name.startswith(prefix)}
    if not entries:
        first = first_few(sorted({name.split(".")[0] for name in found.entries}), 6)
        message = f"--key {cut(found.key, 60)}: {found.path} has no such key, and no tensor's name starts with it"
        raise refuse("unknown-value", message, help=(f"names start with {cut(first, 150)}",), notes=found.notes)
    note = f"took the names that start with {prefix} and left out {len(found.entries) - len(entries)} others"
    return replace(found, entries=entries, notes=(*found.notes, note), key="")


def _read_file(path: Path, key: str) -> Checkpoint:
    """One file, or an index with its shards."""
    index = path.name.endswith(".index.json")
    checkpoint = replace(_sharded(path), key=key) if index else whole_file(path, key)
    if checkpoint.format in ("safetensors", "npz"):
        checkpoint = replace(checkpoint, key=key)
    return replace(checkpoint, config=_config_beside(path))


def _in_directory(folder: Path) -> Path:
    """The checkpoint in a model's directory: its index, the usual names, else the only one there is. Raises Refused."""
    for name in (*INDEXES, *SINGLE):
        if os.path.exists(folder / name):
            return folder / name
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise refuse("checkpoint-unreadable", f"{shown_file(folder)} cannot be read: {reason}") from None
    if len(found) == 1:
        return found[0]
    if not found:
        wanted = f"{INDEXES[0]}, {SINGLE[0]} or another file that ends in {', '.join(SUFFIXES)}"
        raise refuse("checkpoint-unreadable", f"the directory {shown_file(folder)} has no checkpoint", help=(wanted,))
    names = first_few([path.name for path in found], 4)
    message = f"the directory {shown_file(folder)} has {len(found)} checkpoints: {cut(names, 200)}"
    raise refuse("checkpoint-unreadable", message, help=(f"name one: {shown_file(found[0])}",))


def _config_beside(path: Path) -> dict[str, Any] | None:
    """The config.json beside the file (adapter_config.json for an adapter), if there is one that can be read."""
    file = path.parent / ("adapter_config.json" if path.name.startswith("adapter_model") else "config.json")
    try:
        values = json.loads(read_regular(file, "a config", MAX_CONFIG).decode())
    except (FileProblem, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _sharded(path: Path) -> Checkpoint:
    """All tensors of the shards that the index names. Raises Refused."""
    names = weight_map(path)
    shards = list(dict.fromkeys(names.values()))
    for shard in shards:
        _require_beside(path, shard)
    if missing := [shard for shard in shards if not os.path.exists(path.parent / shard)]:
        which = f"{len(missing)} {'is' if len(missing) == 1 else 'are'} missing: {cut(first_few(missing, 3), 200)}"
        help = "fetch the missing files into the directory of the index"
        raise _broken(f"{shown_file(path)} names {len(shards)} shards, {which}", help)
    owner: dict[str, str] = {}
    held = {shard: whole_file(path.parent / shard) for shard in shards}
    for shard, checkpoint in held.items():
        for name in checkpoint.entries:
            if name in owner:
                raise _broken(f"{shown_file(path)}: {in_quotes(name)} is in {owner[name]} and in {shard}")
            owner[name] = shard
    _check_places(path, names, owner)
    extra = [name for name in owner if name not in names]
    note = f"{len(extra)} tensors are in the shards but not in the index: {cut(', '.join(extra[:3]), 120)}"
    entries = {name: entry for one in held.values() for name, entry in one.entries.items()}
    return replace(held[shards[-1]], path=shown_file(path), entries=entries, notes=(note,) if extra else ())


def weight_map(path: Path) -> dict[str, str]:
    """Shard by tensor, as the index says. Raises Refused."""
    with opened(path) as stream:
        raw = read_at_most(stream, MAX_JSON)
    if len(raw) > MAX_JSON:
        raise too_large(shown_file(path), f"the index is larger than {MAX_JSON // 2**20} MiB")
    try:
        values: Any = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        words = "nested too deeply" if isinstance(error, RecursionError) else cut(str(error), 100)
        raise malformed(shown_file(path), f"the index is not JSON: {words}") from None
    names = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(shard, str) for shard in names.values()):
        raise malformed(shown_file(path), "the index has no weight_map of tensors and their files")
    return names


def _require_beside(path: Path, shard: str) -> None:
    """Raise Refused unless a shard is a file beside the index, and not an index itself."""
    if not shard or shard != Path(shard).name or "\\" in shard or "\0" in shard or shard in (".", ".."):
        message = (
            f"{shown_file(path)} names the shard {in_quotes(shard)}, which is not a file name in its own directory"
        )
        raise _broken(message, "shards belong beside their index; do not load this file unless you know its author")
    if shard.endswith(".json"):
        raise _broken(f"{shown_file(path)} names {in_quotes(shard)} as a shard, which is not a file of tensors")


def _check_places(path: Path, names: dict[str, str], owner: dict[str, str]) -> None:
    """Raise Refused unless every tensor of the index is in the shard that the index names."""
    if lost := [name for name in names if name not in owner]:
        first = in_quotes(lost[0])
        what = f"{len(lost)} tensors of the index are in no shard, the first is {first}"
        if len(lost) == 1:
            what = f"{first} is not in {in_quotes(names[lost[0]])}"
        raise _broken(f"{shown_file(path)}: {what}", "index and shards are of different saves: fetch both again")
    for name, shard in names.items():
        if owner[name] != shard:
            raise _broken(
                f"{shown_file(path)}: {in_quotes(name)} is in {owner[name]}, by the index in {in_quotes(shard)}"
            )


def _broken(message: str, *help: str) -> Refused:
    return refuse("checkpoint-shards", message, help=help)
