"""Says how the tensors of a model are made of those of a checkpoint: one record that is shown, written and applied.

No torch: shapes tell whether a mapping can be applied. `loading.py` applies it to values.
"""

from collections.abc import Iterable, Mapping
from math import prod
from typing import Literal

from msgspec import Struct

from vit_trace.base.words import first_few
from vit_trace.weights.data import Entry

SCHEMA = "vit-trace-mapping/1"

Shape = tuple[int, ...]
Sides = tuple[int, int]


class Part(Struct, frozen=True, omit_defaults=True):
    """A tensor of the checkpoint, reshaped to `view`, of that some `rows`, its axes then in the order of `permute`.

    Without a name it is zeros, as many as `rows` says.
    """

    name: str
    view: Shape | None = None
    rows: tuple[int, int] | None = None
    permute: Shape | None = None


class Resize(Struct, frozen=True, omit_defaults=True):
    """Interpolates a table of positions: a grid behind `kept` rows, or the (2·side - 1)² rows of a window."""

    kind: Literal["grid", "window"]
    have: Sides
    want: Sides
    kept: int = 0


class Move(Struct, frozen=True, omit_defaults=True):
    """A tensor of the model: its parts joined along the first axis, in a shape, then resized."""

    name: str
    parts: tuple[Part, ...]
    shape: Shape
    resize: Resize | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is one tensor of the checkpoint as it is, perhaps under another name."""
        return self.resize is None and len(self.parts) == 1 and not self.parts[0].rows and not self.parts[0].permute


class Conversion(Struct, frozen=True):
    """How a checkpoint is loaded into a model: `tensors` are made, `left_out` is not used, `kept` stays as it is.

    `taken` are the keys to the tensors in the file.
    """

    tensors: tuple[Move, ...]
    left_out: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    schema: str = SCHEMA

    @property
    def is_identity(self) -> bool:
        """Whether the checkpoint's state dict loads as it is."""
        plain = all(move.is_plain and move.parts[0].name == move.name for move in self.tensors)
        return plain and not self.left_out and not self.kept

    @property
    def words(self) -> str:
        """What it does: rename 30 tensors, resize pos_embed, leave out 37."""
        moves = self.tensors
        joined = [move for move in moves if len(move.parts) > 1 or move.parts[0].rows or move.parts[0].permute]
        renamed = [move for move in moves if move not in joined and move.parts[0].name != move.name]
        done = [f"rename {tensors_counted(move.name for move in renamed)}"] if renamed else []
        done += [f"join or split {len(joined)}"] if joined else []
        done += [f"resize {first_few([move.name for move in moves if move.resize], 2)}"] if self.resized else []
        done += [f"leave out {_named(self.left_out)}"] if self.left_out else []
        done += [f"keep the model's own {_named(self.kept)}"] if self.kept else []
        return "this: " + ", ".join(done) if done else "nothing to it"

    @property
    def resized(self) -> bool:
        """Whether a table is interpolated."""
        return any(move.resize for move in self.tensors)


def _named(names: tuple[str, ...]) -> str:
    return first_few(names, 2) if len(names) < 3 else f"{len(names)} ({names[0]}, …)"


def shape_of_move(move: Move, entries: Mapping[str, Entry]) -> Shape | None:
    """The shape that a move makes; None where it cannot be applied."""
    shapes = [_part_shape(part, entries) for part in move.parts]
    if not shapes or any(not shape or shape[1:] != (shapes[0] or ())[1:] for shape in shapes[: len(move.parts)]):
        whole = shapes[0] if len(shapes) == 1 else None
        if whole is None:
            return None
        joined: Shape = whole
    else:
        joined = (sum(shape[0] for shape in shapes if shape), *(shapes[0] or ())[1:])
    told = any(part.view or part.permute for part in move.parts)
    if prod(joined) != prod(move.shape) or not (told or _without_ones(joined) == _without_ones(move.shape)):
        return None
    return _resized(move.shape, move.resize) if move.resize else move.shape


def _without_ones(shape: Shape) -> list[int]:
    """The axes that reshaping must not mix."""
    return [size for size in shape if size != 1]


def _part_shape(part: Part, entries: Mapping[str, Entry]) -> Shape | None:
    if not part.name:
        return (part.rows[1] - part.rows[0],) if part.rows else None
    if part.name not in entries:
        return None
    shape = entries[part.name].shape
    if part.view is not None:
        if prod(part.view) != prod(shape):
            return None
        shape = part.view
    if part.rows is not None:
        if not shape or part.rows[1] > shape[0]:
            return None
        shape = (part.rows[1] - part.rows[0], *shape[1:])
    return tuple(shape[axis] for axis in part.permute) if part.permute else shape


def _resized(shape: Shape, resize: Resize) -> Shape:
    if resize.kind == "window":
        have, want = ((2 * h - 1) * (2 * w - 1) for h, w in (resize.have, resize.want))
        return (shape[0] - have + want, *shape[1:])
    rows = resize.kept + prod(resize.want)
    return (*shape[:-2], rows, shape[-1])


def left_after(remedy: Conversion, entries: Mapping[str, Entry], model: Mapping[str, Entry]) -> list[str]:
    """Names that would still differ with strict loading, of both sides: none where the remedy is whole."""
    made = {move.name: shape_of_move(move, entries) for move in remedy.tensors}
    used = {part.name for move in remedy.tensors for part in move.parts} | set(remedy.left_out)
    kept = set(remedy.kept)
    wrong = [name for name, entry in model.items() if name not in kept and made.get(name) != entry.shape]
    return [*wrong, *(name for name in entries if name not in used), *(name for name in made if name not in model)]


def tensors_counted(names: Iterable[str]) -> str:
    """ "1 tensor", "3 tensors"."""
    count = len(set(names))
    return f"{count} tensor{'s' * (count != 1)}"
