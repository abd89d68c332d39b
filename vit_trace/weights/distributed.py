"""Reads the directory that torch.distributed.checkpoint wrote (FSDP): names and shapes in its .metadata. No torch."""

from io import BytesIO
from pathlib import Path
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.config.files import read_at_most, shown_file
from vit_trace.weights.content import opened
from vit_trace.weights.data import Checkpoint, Entry, are_counts, malformed, too_large
from vit_trace.weights.nested import state_dict_in
from vit_trace.weights.pickles import unpickled
from vit_trace.weights.torch_file import MAX_PICKLE
from vit_trace.weights.torch_values import DTYPES, Container, Global, Tensor

METADATA = ".metadata"


def distributed(folder: Path, key: str) -> Checkpoint:
    """The tensors that .metadata describes; their values lie in the .distcp files beside it. Raises Refused."""
    path = shown_file(folder)
    with opened(folder / METADATA) as stream:
        raw = read_at_most(stream, MAX_PICKLE)
    if len(raw) > MAX_PICKLE:
        raise too_large(path, f"its {METADATA} is larger than {MAX_PICKLE // 2**20} MiB")
    value = unpickled(f"{path}/{METADATA}", BytesIO(raw)).value
    described = value.get("state_dict_metadata") if isinstance(value, Container) else None
    if not isinstance(described, dict):
        raise malformed(path, f"its {METADATA} describes no state dict")
    if not any(folder.glob("*.distcp")):
        raise refuse("checkpoint-shards", f"{path} has {METADATA}, but none of the .distcp files with the values")
    places = value.get("planner_data")
    found = state_dict_in(path, _nested(path, described, places if isinstance(places, dict) else {}), key)
    entries = {name: tensor.entry for name, tensor in found.tensors.items()}
    return Checkpoint(path, "torch.distributed.checkpoint", entries, found.taken, found.notes, key=found.key)


def _nested(path: str, described: dict[Any, Any], places: dict[Any, Any]) -> dict[str, Any]:
    """The dictionaries as they were before they were saved under joined names."""
    root: dict[str, Any] = {}
    for name, one in described.items():
        entry = _entry(path, one)
        way = places.get(name)
        keys = [str(key) for key in way] if isinstance(way, tuple) and 0 < len(way) < 20 else [str(name)]
        inner = root
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise malformed(path, f"its {METADATA} places two values under one name")
        if entry is not None:
            inner[keys[-1]] = Tensor(entry)
    return root


def _entry(path: str, one: Any) -> Entry | None:
    """Shape and dtype of a described tensor; None for what is not one."""
    if not isinstance(one, Container) or not one.kind.endswith(".TensorStorageMetadata"):
        return None
    size, properties = one.get("size"), one.get("properties")
    state = properties.made_of if isinstance(properties, Container) else ()
    dtype = next((part.name.removeprefix("torch.") for part in state if isinstance(part, Global)), "")
    if not are_counts(size) or dtype not in DTYPES:
        raise malformed(path, f"its {METADATA} describes a tensor without size or dtype")
    return Entry(tuple(size or ()), dtype)
