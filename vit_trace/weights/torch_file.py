"""Reads what torch.save wrote: a zip archive with data.pkl, or before torch 1.6 four pickles in a row. No torch.

Refuses, as `torch.load(weights_only=True)` does, everything that would run code when loaded.
"""

import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

from vit_trace.base.refused import refuse
from vit_trace.base.words import bytes_text, first_few
from vit_trace.config.words import cut
from vit_trace.weights.archive import content
from vit_trace.weights.data import BITS, MAX_TENSORS, Checkpoint, malformed, too_large
from vit_trace.weights.pickles import unpickled
from vit_trace.weights.torch_values import Storage, Tensor

MAX_PICKLE = 32 * 2**20
"""Largest pickle read, in bytes: names and shapes of a hundred thousand tensors."""

PREFERRED = (
    "state_dict", "model", "model_state_dict", "model_state", "module", "net", "network", "weights", "params",
    "teacher", "student", "target", "target_encoder", "encoder", "backbone", "visual",
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "model_ema_state_dict", "shadow_params",
)  # fmt: skip
"""Keys under which models are saved, in the order of preference."""

ASIDE = ("optim", "sched", "scaler", "amp", "criterion", "loss", "rng", "loops", "callbacks", "opt")
"""Beginnings of keys under which something else is saved."""

DEPTH = 6
"""Dictionaries inside one another that are opened; deeper ones are not searched."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def torch_zip(path: str, archive: zipfile.ZipFile, size: int) -> Checkpoint:
    """The tensors of a zip archive of torch.save. Raises Refused."""
    members = {member.filename: member for member in archive.infolist()}
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if not pickles:
        message = f"{path}: it is a zip archive without a data.pkl, so not from torch.save"
        raise refuse("not-a-checkpoint", message, notes=(f"it holds {cut(', '.join(list(members)[:4]), 150)}",))
    total = sum(member.file_size for member in members.values())
    if total > size:
        sizes = f"its {bytes_text(size)} unpack to {bytes_text(total)}"
        raise too_large(path, f"{sizes}: a zip bomb, as torch does not compress")
    root = pickles[0].rpartition("/")[0]
    if f"{root}/constants.pkl" in members or any(name.startswith(f"{root}/code/") for name in members):
        help = "torch.save(model.state_dict(), FILE) of the model it was made of"
        raise refuse("checkpoint-unsafe", f"{path} is a TorchScript archive, which holds code", help=(help,))
    value = unpickled(path, BytesIO(content(path, archive, pickles[0], MAX_PICKLE)))
    return _state_of(path, value, lambda held: _check_storage(path, held, members.get(f"{root}/data/{held.key}")))


def _check_storage(path: str, storage: Storage, held: zipfile.ZipInfo | None) -> None:
    """Raise Refused unless the archive holds the bytes that the pickle names."""
    if held is None:
        raise malformed(path, f"the values of storage {cut(storage.key)} are not in it")
    wanted, size = storage.numel * BITS.get(storage.dtype, 8) // 8, held.file_size
    if storage.dtype in BITS and size != wanted:
        raise malformed(path, f"storage {cut(storage.key)} is {wanted:,} bytes by the pickle, {size:,} in the archive")


def legacy(path: str, stream: BinaryIO) -> Checkpoint:
    """The tensors of a file of torch.save before 1.6. Raises Refused."""
    start = BytesIO(stream.read(MAX_PICKLE))
    first = unpickled(path, start)
    if type(first) is not int or first != MAGIC:
        help = ("torch.save(model.state_dict(), FILE)",)
        raise refuse("not-a-checkpoint", f"{path} is a pickle, but not one of torch.save", help=help)
    if unpickled(path, start) != PROTOCOL:
        raise malformed(path, "torch.save never wrote its protocol")
    unpickled(path, start)  # sizes of the machine it was saved on
    value = unpickled(path, start)
    if unpickled(path, start) is None:
        raise malformed(path, "the list of its storages is missing")
    return _state_of(path, value, lambda storage: None)


def _state_of(path: str, value: Any, check: Callable[[Storage], None]) -> Checkpoint:
    """The state dict in a loaded value; `check` is called for each storage it needs. Raises Refused."""
    taken: list[str] = []
    notes: list[str] = []
    while isinstance(value, dict) and len(taken) < DEPTH and not _is_state(value):
        key = _best(value)
        if key is None:
            break
        others = [other for other in value if other != key and isinstance(value[other], (dict, Tensor, list))]
        if others:
            names = first_few([cut(str(other), 30) for other in others], 4)
            notes.append(f"took [{key!r}] and left out {names}")
        taken.append(str(key))
        value = value[key]
    tensors = _tensors_by_name(value)
    if not tensors:
        help = ("torch.save(model.state_dict(), FILE)",)
        raise refuse("not-a-checkpoint", f"{path} holds no state dict, but {_saved_instead(value)}", help=help)
    if len(tensors) > MAX_TENSORS:
        raise too_large(path, f"{len(tensors):,} tensors; {MAX_TENSORS:,} are read at most")
    for storage in dict.fromkeys(tensor.storage for tensor in tensors.values() if tensor.storage is not None):
        check(storage)
    entries = {name: tensor.entry for name, tensor in tensors.items()}
    return Checkpoint(path, "torch", entries, tuple(taken), tuple(notes))


def _saved_instead(value: Any) -> str:
    """What was saved instead of a state dict."""
    if isinstance(value, dict):
        return f"a dictionary of {cut(', '.join(map(str, list(value)[:4])), 80)}" if value else "an empty dictionary"
    return "one tensor" if isinstance(value, Tensor) else "None" if value is None else f"a {type(value).__name__}"


def _is_state(value: dict[Any, Any]) -> bool:
    """Whether it directly holds tensors, at least as many as any dictionary in it."""
    direct = len(_tensors_by_name(value))
    distinct = {id(one): one for one in value.values() if isinstance(one, dict)}
    inside = max((len(_tensors_by_name(one)) for one in distinct.values()), default=0)
    return direct > 0 and direct >= inside


def _best(value: dict[Any, Any]) -> Any:
    """The key that leads to the model: a usual name, else that with most tensors."""
    counts = {key: _tensors_in(one, {}) for key, one in value.items() if isinstance(one, dict)}
    leading = [key for key, count in counts.items() if count]
    if usual := [key for key in PREFERRED if key in leading]:
        return usual[0]
    own = [key for key in leading if not str(key).lower().startswith(ASIDE)]
    return max(own, key=counts.__getitem__, default=None)


def _tensors_in(value: Any, counted: dict[tuple[int, int], int], depth: int = 3) -> int:
    """Tensors in the first levels of nested dictionaries, each dictionary counted once."""
    if isinstance(value, Tensor):
        return 1
    if not isinstance(value, dict) or not depth:
        return 0
    place = id(value), depth
    if place not in counted:
        counted[place] = 0
        counted[place] = sum(_tensors_in(one, counted, depth - 1) for one in value.values())
    return counted[place]


def _tensors_by_name(value: Any) -> dict[str, Tensor]:
    items = value.items() if isinstance(value, dict) else ()
    return {str(key): one for key, one in items if isinstance(one, Tensor)}
