"""Reads what torch.save wrote: a zip archive with data.pkl, or before torch 1.6 four pickles in a row. No torch.

Refuses, as `torch.load(weights_only=True)` does, everything that would run code when loaded; names the plain classes
that torch wants to be told of first.
"""

import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

from vit_trace.base.refused import refuse
from vit_trace.base.words import bytes_text
from vit_trace.config.words import cut
from vit_trace.weights.archive import content
from vit_trace.weights.data import BITS, Checkpoint, malformed, too_large
from vit_trace.weights.nested import state_dict_in
from vit_trace.weights.pickles import Unpickled, unpickled
from vit_trace.weights.torch_values import Storage

MAX_PICKLE = 32 * 2**20
"""Largest pickle read, in bytes: names and shapes of a hundred thousand tensors."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def torch_zip(path: str, archive: zipfile.ZipFile, size: int, key: str) -> Checkpoint:
    """The tensors of a zip archive of torch.save. Raises Refused."""
    members = {member.filename: member for member in archive.infolist()}
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if not pickles:
        message = f"{path}: it is a zip archive without a data.pkl, so not from torch.save"
        raise refuse("not-a-checkpoint", message, notes=(f"it holds {cut(', '.join(list(members)[:4]), 150)}",))
    root = pickles[0].rpartition("/")[0]
    if f"{root}/constants.pkl" in members or any(name.startswith(f"{root}/code/") for name in members):
        help = "torch.save(model.state_dict(), FILE) of the model it was made of"
        raise refuse("checkpoint-unsafe", f"{path} is a TorchScript archive, which holds code", help=(help,))
    total = sum(member.file_size for member in members.values())
    if total > size:
        sizes = f"its {bytes_text(size)} unpack to {bytes_text(total)}"
        raise too_large(path, f"{sizes}: a zip bomb, as torch does not compress")
    read = unpickled(path, BytesIO(content(path, archive, pickles[0], MAX_PICKLE)))
    return _state_of(path, read, key, lambda held: _check_storage(path, held, members.get(f"{root}/data/{held.key}")))


def _check_storage(path: str, storage: Storage, held: zipfile.ZipInfo | None) -> None:
    """Raise Refused unless the archive holds the bytes that the pickle names."""
    if held is None:
        raise malformed(path, f"the values of storage {cut(storage.key)} are not in it")
    wanted, size = storage.numel * BITS.get(storage.dtype, 8) // 8, held.file_size
    if storage.dtype in BITS and size != wanted:
        raise malformed(path, f"storage {cut(storage.key)} is {wanted:,} bytes by the pickle, {size:,} in the archive")


def legacy(path: str, stream: BinaryIO, key: str) -> Checkpoint:
    """The tensors of a file of torch.save before 1.6. Raises Refused."""
    start = BytesIO(stream.read(MAX_PICKLE))
    first = unpickled(path, start).value
    if type(first) is not int or first != MAGIC:
        help = ("torch.save(model.state_dict(), FILE)",)
        raise refuse("not-a-checkpoint", f"{path} is a pickle, but not one of torch.save", help=help)
    if unpickled(path, start).value != PROTOCOL:
        raise malformed(path, "torch.save never wrote its protocol")
    unpickled(path, start)  # sizes of the machine it was saved on
    read = unpickled(path, start)
    if unpickled(path, start).value is None:
        raise malformed(path, "the list of its storages is missing")
    return _state_of(path, read, key, lambda storage: None)


def _state_of(path: str, read: Unpickled, key: str, check: Callable[[Storage], None]) -> Checkpoint:
    """The state dict in a loaded value; `check` is called for each storage it needs. Raises Refused."""
    found = state_dict_in(path, read.value, key)
    for storage in dict.fromkeys(tensor.storage for tensor in found.tensors.values() if tensor.storage is not None):
        check(storage)
    entries = {name: tensor.entry for name, tensor in found.tensors.items()}
    return Checkpoint(
        path,
        "torch",
        entries,
        found.taken,
        found.notes,
        needs=read.needs,
        weights_only=read.weights_only,
        key=found.key,
    )
