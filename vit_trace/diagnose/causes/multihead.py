"""Recognises what nn.MultiheadAttention refuses: batch and tokens exchanged, another width, batch or mask."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from msgspec.structs import replace

from vit_trace.base.trace import Operand, Stage, TensorSpec
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import features_moved
from vit_trace.diagnose.changes.inputs import first_input, input_width, swapped_axes
from vit_trace.diagnose.changes.parameters import LIKEWISE, other_blocks
from vit_trace.diagnose.changes.records import (
    MULTIHEAD,
    AttributeChange,
    Fix,
    InputChange,
    LayerInput,
    Method,
    batch_comes_first,
    images_for_tokens,
    methods_text,
)
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.grids import grids_of
from vit_trace.diagnose.producers import makers_into
from vit_trace.diagnose.scene import Scene, Shape, Side, call_written, name_in_layer, side

ATTENTION_WIDTH = CauseKind(
    "attention-width",
    "nn.MultiheadAttention gets tokens of another width than its embed_dim.",
    usual(last=(swapped_axes, input_width)),
)

MASKS = ("key_padding_mask", "attn_mask")
ENCODER = "TransformerEncoder"
LAYERS = {MULTIHEAD, *(f"Transformer{kind}coder{layer}" for kind in ("En", "De") for layer in ("", "Layer"))}
"""torch's modules that take masks of attention."""


@dataclass(frozen=True)
class _Attention:
    """A call of nn.MultiheadAttention that fails, and the tensors that it was given."""

    scene: Scene
    stage: Stage
    inside: bool = False
    """Whether only the function is known, which gets the tokens first."""

    @property
    def layer(self) -> str:
        return self.stage.module or MULTIHEAD

    @property
    def query(self) -> TensorSpec:
        return self.stage.inputs[0]

    @cached_property
    def key(self) -> TensorSpec:
        return self.stage.inputs[1] if self.own and len(self.stage.inputs) > 1 else self.query

    @property
    def own(self) -> bool:
        """Whether this is nn.MultiheadAttention itself, not nn.TransformerEncoder around it."""
        return self.stage.operation == MULTIHEAD

    @cached_property
    def batch_first(self) -> bool | None:
        return None if self.inside else batch_comes_first(self.scene.trace, self.stage)

    @cached_property
    def exchanged(self) -> bool:
        """Whether the images of the batch stand where the tokens are taken from."""
        batch, key = first_input(self.scene)[:1], self.key.shape
        return self.batch_first is False and len(key) == 3 and key[:1] == batch != key[1:2]

    @cached_property
    def axis(self) -> int:
        """The axis of the batch."""
        known = self.inside or self.batch_first is not None
        return 0 if self.batch_first or (not known and self.key.shape[:1] == first_input(self.scene)[:1]) else 1

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """The batch, the number of queries, the number of keys."""
        batch, tokens = self.axis, 1 - self.axis
        return self.query.shape[batch], self.query.shape[tokens], self.key.shape[tokens]


def _attention(scene: Scene) -> _Attention | None:
    stage = scene.stage
    if stage is not None and stage.operation not in (MULTIHEAD, ENCODER) and stage.parent is not None:
        stage = scene.trace.stages[stage.parent]
    if stage is not None and scene.call == "multi_head_attention_forward" and stage.operation != MULTIHEAD:
        given = tuple(TensorSpec("", one.shape, one.dims, one.dtype) for one in scene.operands[:3])
        return _Attention(scene, replace(stage, operation=MULTIHEAD, module="", inputs=given), inside=True)
    if stage is None or stage.operation not in (MULTIHEAD, ENCODER) or not stage.inputs:
        return None
    return _Attention(scene, stage)


# -- batch and tokens exchanged -------------------------------------------------------------------------------------


def _batch_first(question: Question) -> Iterator[Fix]:
    """batch_first=True in this layer and its namesakes, then in all of the model."""
    attention = _attention(question.scene)
    if attention is None:
        return
    path, names = attention.stage.module, question.scene.parameters
    alike = [path, *other_blocks(question.scene, path)]
    every = [re.sub(r"\.?(in|q)_proj_weight$", "", name) for name in names if re.search(r"(in|q)_proj_weight$", name)]
    change = AttributeChange.batch_first(alike, f"batch_first=True in {path or MULTIHEAD}{LIKEWISE * (len(alike) > 1)}")
    yield change
    after = question.case.outcome(change)
    if after is None or after.failure is not None or images_for_tokens(after, first_input(question.scene)[0]):
        yield AttributeChange.batch_first(every, f"batch_first=True in every nn.{MULTIHEAD}")


BATCH_FIRST = CauseKind(
    "batch-first",
    """nn.MultiheadAttention (or a Transformer layer of torch) was built without batch_first=True and gets the batch
    first: it takes the images for tokens, and mixes the images of a batch.
    Example: x 2×16×8 is read as 2 tokens of 16 images. Build it with batch_first=True; do not turn the mask round.
    """,
    (_batch_first,),
)


def _exchanged(attention: _Attention, mask: Operand | None = None) -> Cause:
    """The layer takes images for tokens."""
    query, key = attention.query.shape, attention.key.shape
    many = f"{key[0]} token{'s' * (key[0] != 1)} of {key[1]} images"
    text = f"{attention.layer} reads its {'input' if query == key else 'key'} {shape_text(key)} as {many}: "
    notes = [f"with batch_first=True it is {key[0]} image{'s' * (key[0] != 1)} of {key[1]} tokens"]
    if query != key and query[:1] != key[:1]:
        notes.append(f"and its query {shape_text(query)} has to have the batch of {key[0]} in front")
    if mask is not None and mask.shape[:1] == key[:1] and mask.shape != key[:2] and len(mask.shape) == 2:
        notes.append(f"and {mask.name} {shape_text(mask.shape)} is for {mask.shape[1]} keys, not {key[1]}")
    return Cause(BATCH_FIRST, f"{text}it was built without batch_first=True", tuple(notes))


# -- masks ----------------------------------------------------------------------------------------------------------


def _mask_turned(question: Question) -> Iterator[Fix]:
    """The mask with an axis for each head, turned round, flattened, or with a place for the tokens put in front."""
    scene, attention = question.scene, _attention(question.scene)
    found = _misfit(attention) if attention is not None else None
    if attention is None or found is None:
        return
    mask, wanted = found
    name, place = _mask_written(scene, mask), _place(attention, mask)
    if place is None:
        return
    steps = [*_ways(mask, wanted, scene.integer("[4]", "num_heads", default=1))]
    first = f"{name}[:{wanted[0]}, :{wanted[-1]}]"
    texts = [first if one[0][0] == "narrow" else f"{name}{methods_text(one)}" for one in steps]
    if pad := _put_beside(attention, mask, wanted):
        steps, texts = [*steps, (("pad", *pad),)], [*texts, f"F.pad({name}, {pad})"]
    paths = (attention.stage.module, *other_blocks(scene, attention.stage.module))
    for methods, text in zip(steps, texts, strict=True):
        yield LayerInput(f"{text} instead of {name}", paths, methods, place)


def _place(attention: _Attention, mask: Operand) -> int | None:
    """Which of the layer's inputs a mask is."""
    tokens = 3 if attention.own else 1
    places = range(tokens, len(attention.stage.inputs))
    return next((at for at in places if attention.stage.inputs[at].shape == mask.shape), None)


def _ways(mask: Operand, wanted: Shape, heads: int) -> Iterator[tuple[Method, ...]]:
    shape = mask.shape
    if len(shape) == 2 == len(wanted) and shape[::-1] == wanted:
        yield (("transpose", 0, 1),)
    elif mask.name == "attn_mask" and len(shape) == 2 and shape[0] >= wanted[0] and shape[1] >= wanted[1]:
        yield (("narrow", 0, 0, wanted[0]), ("narrow", 1, 0, wanted[1]))
    elif mask.name == "attn_mask" and len(shape) == 3 and shape[1:] == wanted[-2:]:
        yield (("repeat_interleave", heads, 0),)
    elif mask.name == "attn_mask" and len(shape) == 4 and shape[2:] == wanted[-2:]:
        yield (("flatten", 0, -2 if shape[:2] == (1, 1) else 1),)
    elif mask.name == "key_padding_mask" and len(shape) > 2 and prod(shape) == prod(wanted):
        yield (("flatten", 1),)


def _put_beside(attention: _Attention, mask: Operand, wanted: Shape) -> tuple[int, ...]:
    """What to pad a mask with for the tokens that a cat put beside the keys; () where none did."""
    more = {keys - have for have, keys in zip(mask.shape[-len(wanted) :], wanted, strict=False)} - {0}
    joined = _joined(attention)
    if joined is None or len(more) != 1 or len(mask.shape) != len(wanted):
        return ()
    axis = 1 - attention.axis
    lengths = [one.shape[axis] if len(one.shape) > axis else 0 for one in joined.inputs]
    before, after = (extra := more.pop()) == sum(lengths[:-1]), extra == sum(lengths[1:])
    if not (before or after):
        return ()
    pair = (extra, 0) if before else (0, extra)
    return pair if mask.name == "key_padding_mask" else pair * 2


def _joined(attention: _Attention) -> Stage | None:
    """The cat that made the keys."""
    place = 1 if attention.own and len(attention.stage.inputs) > 1 else 0
    made = makers_into(attention.scene, attention.stage, place)
    return next((stage for stage in made if stage.operation in ("cat", "concat")), None)


def _mask_written(scene: Scene, mask: Operand) -> str:
    """The mask as it stands in the model's own line."""
    call = call_written(scene.failure.span)
    keywords = [*call.keywords.items()] if call is not None else []
    held = mask.parameter.rpartition(".")[2]
    written = [text for name, text in keywords if name.endswith(mask.name) or name == "mask"]
    written += [text for text in (call.given if call is not None and held else ()) if text.endswith(f".{held}")]
    return next(iter(written), mask.name)


def _mask_as_input(question: Question) -> Iterator[Fix]:
    """The input that the mask is, in the shape that the layer takes."""
    attention = _attention(question.scene)
    found = _misfit(attention) if attention is not None else None
    if attention is None or found is None:
        return
    mask, wanted = found
    place = _place(attention, mask)
    made = makers_into(question.scene, attention.stage, place) if place is not None else []
    if not made or made[-1].kind != "input":
        return
    name, at, given = made[-1].name, question.scene.inputs.index(made[-1]), made[-1].outputs[0].shape
    shapes = [wanted] if given == mask.shape else []
    if mask.name == "key_padding_mask" and len(given) == 3:
        shapes += [(given[0], *grid) for grid in grids_of(question.scene.trace) if prod(grid) == wanted[-1]]
    for shape in shapes:
        yield InputChange(f"{name} of shape {shape_text(shape)}", shape=shape, name=name, place=at)


def _query_expanded(question: Question) -> Iterator[Fix]:
    """The query, such as a class token, expanded to the batch; or its first axes exchanged."""
    attention = _attention(question.scene)
    if attention is None or attention.exchanged:
        return
    query, axis = attention.query.shape, attention.axis
    batch = attention.key.shape[axis]
    path, name, key = _called_with(attention)
    size = f"{key}.shape[{axis}]" if key else str(batch)
    if (len(query) == 2 and axis == 0) or (len(query) == 3 and query[axis] == 1 != batch):
        sizes = (batch, -1, -1) if axis == 0 else (-1, batch, -1)
        written = f".expand({', '.join(size if one == batch else '-1' for one in sizes)})"
        yield LayerInput(f"{name}{written} instead of {name}", (path,), (("expand", *sizes),))
    elif len(query) == 3 and query[1 - axis] == batch:
        steps = (("transpose", 0, 1),)
        yield LayerInput(f"{name}{methods_text(steps)} instead of {name}", (path,), steps)


def _called_with(attention: _Attention) -> tuple[str, str, str]:
    """The module of torch that the model's own line calls, and what the line gives as query and as key."""
    call = call_written(attention.scene.failure.span)
    paths = [entry.partition(" ")[0] for entry in attention.scene.failure.modules]
    path = next((one for one in paths if call is not None and one.rpartition(".")[2] == call.name), attention.layer)
    given = [*call.given, *(call.keywords[one] for one in ("query", "key") if one in call.keywords)] if call else []
    return path, given[0] if given else "the query", given[1] if len(given) > 1 else ""


def _mask_as_bool(question: Question) -> Iterator[Fix]:
    """The input that a mask of whole numbers is, as bool."""
    scene = question.scene
    for place, one in enumerate(scene.stage.inputs if scene.stage is not None else ()):
        if scene.stage is None or not one.dtype.startswith(("int", "uint")):
            continue
        made = makers_into(scene, scene.stage, place)
        if made and made[-1].kind == "input":
            name, at = made[-1].name, scene.inputs.index(made[-1])
            yield InputChange(f"{name} as bool, True for what is left out", dtype="bool", name=name, place=at)


ATTENTION_MASK = CauseKind(
    "attention-mask",
    """A mask of attention has another size than queries and keys, or queries and keys have different batch sizes.
    Example: key_padding_mask 2×196 for 197 keys: made before the class token was put in front.
    nn.MultiheadAttention takes a key_padding_mask of batch × keys and an attn_mask of queries × keys, or one for each
    head of each image; masks are bool or float.
    """,
    (_mask_turned, _mask_as_input, _query_expanded, _mask_as_bool),
)


def _misfit(attention: _Attention) -> tuple[Operand, Shape] | None:
    """The mask that does not fit, and the shape that it has to have."""
    if len(attention.query.shape) != 3 or len(attention.key.shape) != 3:
        return None
    if not attention.own:
        mask = attention.scene.tensor(1)
        return (replace(mask, name="key_padding_mask"), attention.query.shape[:2]) if mask is not None else None
    batch, queries, keys = attention.sizes
    heads = attention.scene.integer("[4]", "num_heads", default=1)
    allowed: dict[str, list[Shape]] = {
        "key_padding_mask": [(batch, keys)],
        "attn_mask": [(queries, keys), (batch * heads, queries, keys)],
    }
    for mask in _masks(attention):
        if mask.shape not in allowed[mask.name]:
            return mask, allowed[mask.name][0]
    return None


def _masks(attention: _Attention) -> Iterator[Operand]:
    """The masks under the names that they are given by; one that the model holds has the name that it has there."""
    batch = attention.sizes[0]
    for one in attention.scene.operands[3:]:
        name = one.name.rpartition(".")[2]
        if name in MASKS:
            yield replace(one, name=name)
        elif one.parameter and not one.parameter.startswith(f"{attention.stage.module}.") and len(one.shape) > 1:
            padding = len(one.shape) == 2 and one.shape[0] == batch != one.shape[1]
            yield replace(one, name=MASKS[0] if padding else MASKS[1])


def _mask_does_not_fit(attention: _Attention, mask: Operand, wanted: Shape) -> Cause:
    batch, queries, keys = attention.sizes
    heads = attention.scene.integer("[4]", "num_heads", default=1)
    padding, shape = mask.name == "key_padding_mask", mask.shape
    meant = "batch × keys" if padding else f"queries × keys, or {batch}·{heads} in front of them for batch and heads"
    text = f"{attention.layer} takes {mask.name} of {shape_text(wanted)}"
    if not padding:
        text += f" or {shape_text((batch * heads, *wanted))}"
    notes = [f"that is {meant}", *_note_of_cat(attention, mask, wanted)]
    if not padding and shape == (batch, keys) and batch != queries:
        notes.append(f"a mask of batch × keys, {shape_text(shape)}, goes in as key_padding_mask")
    return Cause(ATTENTION_MASK, f"{text}, it is {shape_text(shape)}", tuple(notes))


def _note_of_cat(attention: _Attention, mask: Operand, wanted: Shape) -> list[str]:
    """The keys are put together of 2×1×8 and 2×9×8: what the mask was made before."""
    joined = _joined(attention)
    if joined is None or not _put_beside(attention, mask, wanted):
        return []
    shapes = " and ".join(shape_text(one.shape) for one in joined.inputs)
    return [f"the {wanted[-1]} keys are put together of {shapes} ({joined.name}); the mask has {mask.shape[-1]}"]


@finds("multi_head_attention_forward", tensors=3, edits=[features_moved])
def width_or_mask(scene: Scene) -> Cause | None:
    """The width that it was built for, then the batch and the masks."""
    width = scene.integer("[3]", "embed_dim_to_check", default=0)
    x = _as_handed_in(scene)
    if not x.shape or not width:
        return None
    layer, name = scene.layer, name_in_layer(x)
    if len(x.shape) not in (2, 3):
        text = f"{layer} takes 3 axes (batch, tokens, width), {name} is {shape_text(x.shape)}"
        return Cause(WRONG_RANK, text, rank=3)
    if x.shape[-1] == width:
        attention = _attention(scene)
        return _batch_or_mask(attention) if attention is not None else None
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


def _batch_or_mask(attention: _Attention) -> Cause | None:
    """Batch and tokens exchanged, batches that differ, a mask that does not fit."""
    query, key, axis = attention.query.shape, attention.key.shape, attention.axis
    found = _misfit(attention)
    differ = len(key) == 3 and (len(query) == 2 or query[axis] != key[axis])
    if attention.exchanged and (differ or found is not None):
        return _exchanged(attention, found[0] if found is not None else None)
    if differ:
        return _batches(attention)
    return _mask_does_not_fit(attention, *found) if found is not None else None


def _batches(attention: _Attention) -> Cause:
    """A query that was not expanded to the batch of the keys, or that stands the other way round."""
    query, key, axis = attention.query.shape, attention.key.shape, attention.axis
    text = f"{attention.layer} is given a query of {shape_text(query)} and a key of {shape_text(key)}: "
    text += f"the query is not expanded to the batch of {key[axis]}" if query[axis] == 1 or len(query) == 2 else ""
    text = text if not text.endswith(": ") else f"{text}{query[axis]} and {key[axis]} sequences"
    first = "the batch comes first (batch_first=True)", "the batch comes second (no batch_first=True)"
    return Cause(ATTENTION_MASK, text, (first[axis],) if attention.batch_first is not None else ())


@finds("view", "reshape", turn=Turn.EARLY)
def batches_differ(scene: Scene) -> Cause | None:
    """Queries and keys of different batches. Early, for torch fails in a view of its own, which says less."""
    attention = _attention(scene)
    if attention is None or not attention.own or [len(attention.query.shape), len(attention.key.shape)] != [3, 3]:
        return None
    axis = attention.axis
    if attention.query.shape[axis] == attention.key.shape[axis]:
        return None
    return _exchanged(attention) if attention.exchanged else _batches(attention)


@finds("nested_tensor_from_mask", "nested_tensor_from_mask_left_aligned", tensors=2)
def padding_mask(scene: Scene) -> Cause | None:
    """nn.TransformerEncoder, which packs its tokens by src_key_padding_mask."""
    x, mask = (operand.shape for operand in scene.operands[:2])
    if mask == x[:2]:
        return None
    text = f"src_key_padding_mask is {shape_text(mask)}, the tokens are {shape_text(x)}: it has to be "
    attention = _attention(scene)
    found = _misfit(attention) if attention is not None else None
    notes = _note_of_cat(attention, *found) if attention is not None and found is not None else []
    return Cause(ATTENTION_MASK, f"{text}{shape_text(x[:2])}", tuple(notes))


@finds()
def mask_of_whole_numbers(scene: Scene) -> Cause | None:
    """A mask of 0 and 1 in int64: torch takes True for a key to leave out, many datasets 1 for a token that counts."""
    stage = scene.stage
    if stage is None or stage.operation not in LAYERS or scene.call not in ("raise", ""):
        return None
    odd = next((one for one in stage.inputs[1:] if one.dtype.startswith(("int", "uint"))), None)
    if odd is None:
        return None
    text = (
        f"{stage.module or stage.operation} takes a mask of bool or float, it is {shape_text(odd.shape)} of {odd.dtype}"
    )
    note = "True means left out: mask.bool() where 1 marks what is left out, mask == 0 where 1 marks what counts"
    return Cause(ATTENTION_MASK, text, (note,))
