"""Finds tensors under other names: a prefix, q, k and v apart or together, another library, another model."""

from collections import Counter
from collections.abc import Iterator, Sequence

from vit_trace.config.words import cut
from vit_trace.weights.causes import Misfit, MisfitKind
from vit_trace.weights.compare import Comparison, Item, Shape
from vit_trace.weights.mapping import Conversion, tensors_counted
from vit_trace.weights.model import Model
from vit_trace.weights.naming import Named

MODEL = MisfitKind(
    "checkpoint-model", "The checkpoint has almost none of the model's tensors: it belongs to another architecture."
)
NAMING = MisfitKind(
    "checkpoint-naming",
    """
    The checkpoint has the names of another library (timm, transformers, vit-pytorch, torchvision, the JAX ViT).
    The notes show how the names correspond; shapes are compared under that mapping.
    """,
)
PREFIX = MisfitKind(
    "checkpoint-prefix",
    """
    All names start with a prefix that the model's names do not have, or the other way round: module. of DataParallel,
    _orig_mod. of torch.compile, model. or backbone. of a training framework.
    """,
)
QKV = MisfitKind(
    "checkpoint-qkv",
    "One side keeps the weights of q, k and v in one tensor, the other in three. The rows are the same, in that order.",
)

SAME_SHAPES = 0.9
"""Share of a model's shapes from which a checkpoint with other names is said to be of such a model after all."""

STRANGERS = 0.3
"""Share of a model's tensors below which a checkpoint is of another model."""

Renamed = tuple[tuple[str, tuple[str, ...]], ...]


def other_model(found: Comparison) -> Misfit | None:
    """That hardly a tensor of the model is in the checkpoint."""
    if found.ours is not None or found.common >= STRANGERS * found.total:
        return None
    have, want = (Counter(shape for item in found.items if (shape := side(item))) for side in (_have, _want))
    alike = sum((have & want).values())
    if alike >= SAME_SHAPES * max(1, sum(want.values())) and alike > 1:
        message = f"checkpoint has names of a layout that is not known here: {alike} shapes are those of this model"
        return Misfit(MODEL, message, found.items, notes=(_names_note(found),))
    message = f"checkpoint is of another model: {found.common} of this model's {found.total} tensors are in it"
    return Misfit(MODEL, message, found.items, notes=(_names_note(found),))


def _have(item: Item) -> Shape | None:
    return item.have if item.want is None else None


def _want(item: Item) -> Shape | None:
    return item.want if item.have is None else None


def _names_note(found: Comparison) -> str:
    return f"the checkpoint has {cut(', '.join(item.ours for item in found.items if item.ours)[:120], 120)}"


def find_names(found: Comparison, model: Model, wrappers: Sequence[str]) -> Iterator[Misfit]:
    """What is the same tensors under other names; `wrappers` were taken out of them."""
    if wrappers:
        help = (f"take {', '.join(wrappers)} out of the names",)
        yield Misfit(PREFIX, f"checkpoint's names have {', '.join(wrappers)} in them, this model's do not", help=help)
    one, two = found.ours, found.theirs
    if one is not None and two is not None and one.layout != two.layout:
        yield _other_layout(found, one, two)
        return
    agree = f"{found.common} of the model's {found.total} names then agree"
    fits = agree if found.items else f"all {found.total} tensors fit"
    if found.strip or found.add:
        yield _other_prefix(found, model, fits)
    if one is None or two is None or not found.renamed:
        return
    if one.fused != two.fused:
        yield _other_qkv(found.renamed, one.fused, fits)
    elif not found.strip and not found.add and any(name not in names for name, names in found.renamed):
        heads = [(name, names) for name, names in found.renamed if name in _head_names(one) and name not in names]
        message = f"checkpoint has the names of another version of {two.layout.words}"
        if heads and all(pair in heads for pair in found.renamed if pair[0] not in pair[1]):
            message = f"checkpoint's head is named {heads[0][0]}, this model's {heads[0][1][0]}"
        help = (f"rename {tensors_counted(one for one, _ in found.renamed)} this way (tried: {fits})",)
        yield Misfit(NAMING, message, help=help, notes=_renaming_notes(_examples(found.renamed)))


def saved_names(remedy: Conversion) -> Misfit:
    """That the tensors are there under the names that the model's library saves them under."""
    moved = [move for move in remedy.tensors if move.parts[0].name != move.name]
    message = "checkpoint has the names that its library saves: from_pretrained knows them, load_state_dict does not"
    notes = _renaming_notes([(move.parts[0].name, (move.name,)) for move in moved[:2]])
    return Misfit(NAMING, message, notes=notes, severity="warning")


def _head_names(one: Named) -> set[str]:
    return {piece.name for role, piece in one.pieces.items() if role.startswith("head.")}


def _other_layout(found: Comparison, one: Named, two: Named) -> Misfit:
    """Names of another library."""
    message = f"checkpoint is named as in {one.layout.words}, this model as in {two.layout.words}"
    notes = list(_renaming_notes(_examples(found.renamed)))
    if "jax" in (one.layout.name, two.layout.name):
        notes.append("kernels of linear layers are (in, out) in JAX and (out, in) in torch: transpose them")
    if ("flat.weight" in one.pieces) != ("flat.weight" in two.pieces):
        notes.append("a flattened patch is ordered (row column channel), a convolution (channel row column)")
    outcome = "what else differs has its own diagnostic" if found.items else "the shapes then agree"
    help = (f"rename {tensors_counted(one for one, _ in found.renamed)} this way (tried: {outcome})",)
    return Misfit(NAMING, message, help=help, notes=tuple(notes))


def _other_qkv(renamed: Renamed, fused: bool, fits: str) -> Misfit:
    """q, k and v in one tensor on one side only."""
    kept, wanted = ("one tensor", "three") if fused else ("three tensors", "one")
    way = "split each into thirds" if fused else "join them, q before k before v"
    split = [pair for pair in renamed if fused == (len(pair[1]) > 1)] or renamed
    message = f"checkpoint keeps q, k and v as {kept}, this model as {wanted}"
    return Misfit(QKV, message, help=(f"{way} (tried: {fits})",), notes=_renaming_notes(split[:2]))


def _other_prefix(found: Comparison, model: Model, fits: str) -> Misfit:
    """A prefix too many or too few; only a note where the model's library handles it."""
    message = f"checkpoint's names start with {found.strip}, this model's do not"
    change = f"take {found.strip} off"
    if found.strip and found.add:
        message = f"checkpoint's names start with {found.strip}, this model's with {found.add}"
        change = f"put {found.add} for {found.strip}"
    elif found.add:
        message = f"this model's names start with {found.add}, the checkpoint's do not"
        change = f"put {found.add} before them"
    help = (f"{change} (tried: {fits})",)
    if model.base and {found.strip, found.add} <= {"", model.base}:
        notes = ("from_pretrained handles it, load_state_dict does not",)
        return Misfit(PREFIX, message, help=help, notes=notes, severity="note")
    return Misfit(PREFIX, message, help=help)


def _examples(renamed: Renamed) -> Renamed:
    """One renaming of each kind: of the layers only the first is shown."""
    kinds = "pos patch embedding qkv query q_proj in_proj fc1 Dense_0 net head".split()
    firsts = (next((pair for pair in renamed if kind in pair[0]), None) for kind in kinds)
    chosen = {pair[0]: pair for pair in firsts if pair is not None}
    return tuple(chosen.values())[:5] or renamed[:3]


def _renaming_notes(pairs: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    return tuple(f"{name} → {', '.join(names)}" for name, names in pairs)
