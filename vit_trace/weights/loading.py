"""Loads a checkpoint into a model at hand, as `check --checkpoint` says it can be: renamed, joined, resized.

Values are read by torch's weights-only reader, by safetensors or by NumPy without its pickles; classes of settings that
a file names are stood in for by empty ones. Nothing on disk is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from vit_trace.base.refused import Refused, refuse
from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.files import read, value_files
from vit_trace.weights.fit import about_module
from vit_trace.weights.mapping import Conversion, Move, Part, Resize

if TYPE_CHECKING:
    from torch import Tensor, nn


class Loaded(Struct, frozen=True):
    """What `load_state_dict` did: the tensors it made and of what, what it left out, what kept the model's own values.

    `notes` say what else was in the file.
    """

    path: str
    remedy: Conversion
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"{len(self.remedy.tensors)} tensors from {self.path}"
        return what if self.remedy.is_identity else f"{what}; {self.remedy.words.removeprefix('this: ')}"


def state_dict_at_hand(state: Mapping[str, Any], written: str = "state_dict") -> Checkpoint:
    """A state dict of the program, `written` so in its source, as a checkpoint."""
    held = {str(name): value for name, value in state.items() if hasattr(value, "dtype") and hasattr(value, "shape")}
    entries = {name: Entry(tuple(value.shape), str(value.dtype).removeprefix("torch.")) for name, value in held.items()}
    return Checkpoint("the state dict", "memory", entries, asked=written)


def load_into(model: nn.Module, source: str | PathLike[str] | Mapping[str, Any], key: str = "") -> Loaded:
    """Load the checkpoint. Raises Refused with what keeps it from being loaded; then the model is as it was."""
    given = source if isinstance(source, Mapping) else None
    if given is not None and key and not isinstance(given := given.get(key), Mapping):
        raise refuse("unknown-value", f"key {key!r}: the dictionary has no such key, or no state dict under it")
    checkpoint = state_dict_at_hand(given) if given is not None else read(Path(source), key)  # type: ignore[arg-type]
    found = about_module(checkpoint, model)
    if found.remedy is None or checkpoint.format == "torch.distributed.checkpoint":
        raise Refused(*found.diagnostics)
    values = given if given is not None else _values(Path(source), checkpoint)  # type: ignore[arg-type]
    state = _made(found.remedy, values)
    own = model.state_dict()
    left = {name: value for name, value in own.items() if name not in state}
    model.load_state_dict({**state, **left}, strict=True)
    return Loaded(checkpoint.path, found.remedy, checkpoint.notes)


def _made(remedy: Conversion, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {move.name: made(move, values) for move in remedy.tensors}


def made(move: Move, values: Mapping[str, Tensor]) -> Tensor:
    """A tensor of the model, made of those of the checkpoint."""
    import torch

    parts = [_part(part, values) for part in move.parts if part.name]
    zero = {part: torch.zeros(part.rows[1], dtype=parts[0].dtype) for part in move.parts if not part.name and part.rows}
    rest = iter(parts)
    joined = [zero[part] if part in zero else next(rest) for part in move.parts]
    whole = joined[0] if len(joined) == 1 else torch.cat(joined)
    whole = whole.reshape(move.shape)
    return whole if move.resize is None else interpolated(whole, move.resize)


def _part(part: Part, values: Mapping[str, Tensor]) -> Tensor:
    value = values[part.name]
    value = value if part.view is None else value.reshape(part.view)
    value = value if part.rows is None else value[part.rows[0] : part.rows[1]]
    return value if part.permute is None else value.permute(part.permute)


def interpolated(value: Tensor, resize: Resize) -> Tensor:
    """A table of positions on another grid: bicubic with antialiasing, as timm and DINOv2 do.

    A table of a window's relative positions is resized as timm does, along geometric steps; that needs timm.
    """
    import torch

    if resize.kind == "window":
        from vit_trace.targets.library import library

        timm = library("timm")
        assert timm is not None
        layers = timm.load("timm.layers")
        rows = (2 * resize.want[0] - 1) * (2 * resize.want[1] - 1) + resize.kept
        shape = (rows, *value.shape[1:])
        made: Tensor = layers.resize_rel_pos_bias_table(value, new_window_size=resize.want, new_bias_shape=shape)
        return made
    head, grid = value[..., : resize.kept, :], value[..., resize.kept :, :]
    width = value.shape[-1]
    grid = grid.float().reshape(1, *resize.have, width).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=resize.want, mode="bicubic", antialias=True)
    grid = grid.permute(0, 2, 3, 1).reshape(*value.shape[:-2], -1, width).to(value.dtype)
    return torch.cat([head, grid], dim=-2)


def _values(path: Path, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The values of the checkpoint's tensors, by name."""
    found: dict[str, Tensor] = {}
    for file, names in value_files(path).items():
        held = _file_values(file, checkpoint)
        found |= {name: held[name] for name in (names or checkpoint.entries) if name in held}
    return found


def _file_values(file: Path, checkpoint: Checkpoint) -> dict[str, Tensor]:
    import torch

    if checkpoint.format == "safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    if checkpoint.format == "npz":
        import numpy

        with numpy.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files if name in checkpoint.entries}
    try:
        with _stand_ins(checkpoint.needs):
            value: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        message = f"torch.load(weights_only=True) cannot read {checkpoint.path}"
        notes = (f"{type(error).__name__}: {str(error).splitlines()[0]}",)
        help = ("if you trust it, load it once with weights_only=False and save only its state dict",)
        raise refuse("checkpoint-globals", message, notes=notes, help=help) from None
    for key in checkpoint.taken:
        held = enumerate(value) if isinstance(value, (tuple, list)) else value.items()
        value = next(one for name, one in held if str(name) == key)
    return {str(name): one for name, one in value.items() if isinstance(one, torch.Tensor)}


class _Empty:
    """Stands for an object of a class that a checkpoint names; takes anything and keeps nothing."""

    def __new__(cls, *_: object, **__: object) -> _Empty:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _stand_ins(needs: tuple[str, ...]) -> AbstractContextManager[None]:
    """Lets torch's reader pass what the file holds beside tensors: an empty class for each name."""
    import torch

    if not needs:
        return nullcontext()
    return torch.serialization.safe_globals([*_named(needs)])


def _named(needs: tuple[str, ...]) -> Iterator[tuple[Any, str]]:
    for name in needs:
        stand_in = type("Empty", (_Empty,), {})
        if name.endswith("._reconstructor"):
            yield (lambda kind, *_: kind()), name
        else:
            yield stand_in, name
