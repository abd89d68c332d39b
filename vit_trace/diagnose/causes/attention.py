"""Recognises what attention layers refuse: another width, batch or mask, queries and keys that do not go together."""

from collections.abc import Iterator

from msgspec.structs import replace

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.causes.broadcast import BROADCAST
from vit_trace.diagnose.causes.matmul import MATMUL
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import features_moved, turned
from vit_trace.diagnose.changes.inputs import input_width, swapped_axes
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, Side, called, difference, name_in_layer, side

ATTENTION_WIDTH = CauseKind(
    "attention-width",
    "nn.MultiheadAttention gets tokens of another width than its embed_dim.",
    usual(last=(swapped_axes, input_width)),
)

ATTENTION_MASK = CauseKind(
    "attention-mask",
    """A mask of attention has another size than queries and keys, or queries and keys have different batch sizes.
    Example: key_padding_mask 2×196 for 197 keys: made before the class token was put in front.
    nn.MultiheadAttention takes a key_padding_mask of batch × keys and an attn_mask of queries × keys; without
    batch_first=True it takes the first axis of its inputs for the tokens.
    """,
)


@finds("multi_head_attention_forward", tensors=3, edits=[features_moved])
def width_or_mask(scene: Scene) -> Cause | None:
    """The width that it was built for, then its masks."""
    width = scene.integer("[3]", "embed_dim_to_check", default=0)
    x = _as_handed_in(scene)
    if not x.shape or not width:
        return None
    layer, name = scene.layer, name_in_layer(x)
    if len(x.shape) not in (2, 3):
        text = f"{layer} takes 3 axes (batch, tokens, width), {name} is {shape_text(x.shape)}"
        return Cause(WRONG_RANK, text, rank=3)
    if x.shape[-1] == width:
        return _mask_or_batch(scene)
    weight = next((operand for operand in scene.operands if operand.parameter.endswith("in_proj_weight")), None)
    other = side(weight, 1, layer) if weight else Side(None, None, width, layer)
    text = f"{layer} is built for width {width}, {name} {shape_text(x.shape)} has {x.shape[-1]}"
    return Cause(ATTENTION_WIDTH, text, sides=(side(x, -1, name), other))


def _as_handed_in(scene: Scene) -> Operand:
    """The query as the layer got it: inside, batch and tokens change places."""
    x = scene.operands[0]
    given = scene.stage.inputs[0] if scene.stage is not None and scene.stage.inputs else None
    if given is None or sorted(given.shape) != sorted(x.shape):
        return x
    return replace(x, shape=given.shape, dims=given.dims)


def _mask_or_batch(scene: Scene) -> Cause | None:
    """The masks: keys per image, queries × keys."""
    query, key, layer = scene.operands[0].shape, scene.operands[1].shape, scene.layer  # tokens first
    if len(query) != 3 or len(key) != 3:
        return None
    if query[1] != key[1]:
        text = f"{layer} is given {query[1]} sequences of queries and {key[1]} of keys"
        return Cause(ATTENTION_MASK, text, ("batch_first says whether the batch axis comes first",))
    heads = scene.integer("[4]", "num_heads", default=1)
    both = ((query[0], key[0]), (query[1] * heads, query[0], key[0]))
    for name, meant, allowed in (
        ("key_padding_mask", "batch × keys", ((query[1], key[0]),)),
        ("attn_mask", "queries × keys, or batch·heads in front of them", both),
    ):
        mask = next((operand for operand in scene.operands if operand.name.rpartition(".")[2] == name), None)
        if mask is not None and mask.shape not in allowed:
            wanted = " or ".join(shape_text(shape) for shape in allowed)
            text = f"{layer} takes {name} of {wanted}, it is {shape_text(mask.shape)}"
            return Cause(ATTENTION_MASK, text, (f"that is {meant}",))
    return None


@finds("view", "reshape", turn=Turn.EARLY)
def batches_differ(scene: Scene) -> Cause | None:
    """Queries and keys of different batches. Early, for torch fails in a view of its own, which says less."""
    if scene.stage is None or scene.stage.parent is None:
        return None
    parent = scene.trace.stages[scene.stage.parent]
    given = [spec.shape for spec in parent.inputs[:2]]
    if parent.operation != "MultiheadAttention" or [len(shape) for shape in given] != [3, 3]:
        return None
    query, key = given
    if query[:2] == key[:2]:
        return None
    text = f"{parent.module} is given a query of {shape_text(query)} and a key of {shape_text(key)}: "
    note = "without batch_first=True the first axis is for tokens, the second for the batch"
    return Cause(ATTENTION_MASK, f"{text}their batches differ", (note,))


@finds("nested_tensor_from_mask", "nested_tensor_from_mask_left_aligned", tensors=2)
def padding_mask(scene: Scene) -> Cause | None:
    """nn.TransformerEncoder, which packs its tokens by src_key_padding_mask."""
    x, mask = (operand.shape for operand in scene.operands[:2])
    if mask == x[:2]:
        return None
    text = f"src_key_padding_mask is {shape_text(mask)}, the tokens are {shape_text(x)}: it has to be "
    return Cause(ATTENTION_MASK, f"{text}{shape_text(x[:2])}")


def _heads_and_tokens_exchanged(question: Question) -> Iterator[Fix]:
    """Exchanges heads and tokens in the one of queries, keys and values that differs from the other two."""
    shapes = [operand.shape for operand in question.scene.operands[:3]]
    for place, shape in enumerate(shapes if all(len(one) == 4 for one in shapes) else ()):
        others = {one[:2] for at, one in enumerate(shapes) if at != place}
        if others == {(shape[0], shape[2])}:
            yield from turned(question.scene, place, ("transpose", 1, 2))


@finds("scaled_dot_product_attention", tensors=3, edits=[_heads_and_tokens_exchanged])
def attention_sizes_differ(scene: Scene) -> Cause | None:
    """q and k share a width, k and v a length, all three their leading axes; the mask fits queries × keys."""
    q, k, v = scene.operands[:3]
    if min(len(q.shape), len(k.shape), len(v.shape)) < 2:
        return Cause(WRONG_RANK, f"attention needs 2 axes or more; q is {shape_text(q.shape)}")
    return next(_sizes_that_differ(q, k, v, scene.tensor(3)), None)


def _shapes_note(*tensors: Operand) -> tuple[str, ...]:
    """of q 2×4×9×8, k 2×4×9×8, v 2×9×4×8"""
    names = [called(one) for one in tensors]
    names = names if len(set(names)) == 3 else ["query", "key", "value"]
    return (f"of {', '.join(f'{name} {shape_text(one.shape)}' for name, one in zip(names, tensors, strict=True))}",)


def _sizes_that_differ(q: Operand, k: Operand, v: Operand, mask: Operand | None) -> Iterator[Cause]:
    for first, second, axis, word in ((q, k, -1, "width"), (k, v, -2, "length")):
        one, two = side(first, axis), side(second, axis)
        if one.size != two.size:
            text = f"attention: {one.name} has {word} {one.size}, {two.name} has {two.size}"
            yield Cause(MATMUL, text, _shapes_note(q, k, v), sides=(one, two))
    for first, second in ((q, k), (k, v)):
        for back in range(3, min(len(first.shape), len(second.shape)) + 1):
            one, two = side(first, -back), side(second, -back)
            if one.size != two.size and 1 not in (one.size, two.size):
                yield Cause(BROADCAST, f"attention: {difference(one, two)}", _shapes_note(q, k, v), sides=(one, two))
    for back, operand in ((1, k), (2, q)):
        if mask is not None and len(mask.shape) >= back and mask.shape[-back] not in (1, operand.shape[-2]):
            one, two = side(mask, -back), side(operand, -2)
            yield Cause(BROADCAST, f"attention mask {difference(one, two)}", sides=(one, two))
