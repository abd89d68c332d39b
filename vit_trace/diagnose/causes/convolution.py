"""Recognises a convolution that gets other channels or axes than it was built for, or a kernel that is too large."""

from collections.abc import Iterator

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import layer_sizes, turned
from vit_trace.diagnose.changes.inputs import (
    first_input,
    resized_images,
    usual_channels,
)
from vit_trace.diagnose.changes.parameters import resized
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.changes.solved import multiples
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.dtypes import CONVOLUTIONS
from vit_trace.diagnose.scene import Scene, Side, axes_text, called, layer_of, name_in_layer, side


def _wanted_channels(question: Question) -> Iterator[Fix]:
    """Images with the channels that the convolution was built for."""
    shape = first_input(question.scene)
    for wants in question.cause.sides[1:] if len(shape) == 4 else ():
        yield from resized_images(shape, wants.size)


CONV_CHANNELS = CauseKind(
    "conv-channels",
    """A convolution gets a different number of channels than it was built for.
    Example: patch_embed.proj takes 3 channels, its input 1×1×224×224 has 1.
    Feed images with those channels, or build the model with in_channels of the images. If the channels are last
    (batch, height, width, channels), permute the input.
    """,
    usual(sizes=(_wanted_channels, usual_channels)),
)

KERNEL = CauseKind(
    "kernel",
    """A convolution's kernel is larger than its input: a patch larger than the image, or an image that was halved too
    often on the way.
    """,
    usual(sizes=(multiples,)),
)


def _channels_moved(question: Question) -> Iterator[Fix]:
    """Moves the channels of a feature map to the front."""
    sizes = layer_sizes(question) if question.cause.kind is CONV_CHANNELS else None
    if sizes is not None and len(sizes.shape) == 4 and sizes.shape[-1] == sizes.wanted:
        yield from turned(question.scene, 0, ("permute", 0, 3, 1, 2))


def _axis_of_channels(question: Question) -> Iterator[Fix]:
    """x.unsqueeze(1): waves of batch × time, or images of batch × height × width, for a convolution of one channel."""
    scene, cause = question.scene, question.cause
    shape = scene.operands[0].shape
    if cause.kind is CONV_CHANNELS and cause.sides[1].size == 1 and len(shape) == len(scene.operands[1].shape) - 1:
        yield from turned(scene, 0, ("unsqueeze", 1))


PIXEL_SHUFFLE = CauseKind(
    "pixel-shuffle",
    """pixel_shuffle makes r × r pixels of each place: its input has r·r times the channels of its output.
    Example: 192 channels are not a multiple of 16·16 = 256; for images of 3 channels there have to be 3·16·16 = 768.
    """,
    (resized,),
)


@finds("pixel_shuffle", tensors=1)
def channels_of_pixels(scene: Scene) -> Cause | None:
    """`nn.PixelShuffle(16)` of 192 channels."""
    x, factor = scene.operands[0], scene.integer("[1]", "upscale_factor", default=1)
    if len(x.shape) < 3 or factor < 1 or not x.shape[-3] % factor**2:
        return None
    images = first_input(scene)
    wanted = factor**2 * (images[1] if len(images) == 4 else 1)
    text = f"{scene.layer} makes {factor}×{factor} pixels of each place: {name_in_layer(x)} {shape_text(x.shape)} has "
    text += f"{x.shape[-3]} channels, not a multiple of {factor}·{factor} = {factor**2}"
    return Cause(PIXEL_SHUFFLE, text, sides=(side(x, -3), Side(None, None, wanted, scene.layer)))


@finds(*CONVOLUTIONS, tensors=2, edits=[_channels_moved, _axis_of_channels])
def channels_or_kernel(scene: Scene) -> Cause | None:
    """`self.proj(x)`: number of axes, channels, then the size of the kernel."""
    x, weight = scene.operands[:2]
    return _wrong_axes(scene, x, weight) or _other_channels_in(scene, x, weight) or _kernel_too_large(scene, x, weight)


def _wrong_axes(scene: Scene, x: Operand, weight: Operand) -> Cause | None:
    space = int(scene.call[-2])
    if len(weight.shape) != space + 2:
        text = f"{scene.call} takes a kernel with {axes_text(space + 2)}, {called(weight)} has {len(weight.shape)}"
        return Cause(WRONG_RANK, text)
    layer = layer_of(weight, scene)
    if len(x.shape) not in (space + 1, space + 2):
        text = f"{layer} takes {axes_text(space + 2)} (batch, channels, space), {name_in_layer(x)} "
        return Cause(WRONG_RANK, f"{text}{shape_text(x.shape)} has {len(x.shape)}", rank=space + 2)
    if 0 in weight.shape[2:]:
        return Cause(KERNEL, f"{layer} has a kernel of {shape_text(weight.shape[2:])}: it sees nothing")
    strides = scene.argument("[3]", "stride")
    if any(step == 0 for step in (strides if isinstance(strides, list) else [strides])):
        return Cause(KERNEL, f"{layer} has a stride of 0: its kernel never moves")
    return None


def _other_channels_in(scene: Scene, x: Operand, weight: Operand) -> Cause | None:
    transposed, axis = "transpose" in scene.call, -int(scene.call[-2]) - 1
    groups = scene.integer("[7]" if transposed else "[6]", "groups", default=1)
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.shape[axis] == channels:
        return None
    layer, name = layer_of(weight, scene), name_in_layer(x)
    grouped = f" ({groups} groups of {channels // groups})" if groups > 1 else ""
    text = f"{layer} takes {channels} channels{grouped}, {name} {shape_text(x.shape)} has {x.shape[axis]}"
    wants = side(weight, 0 if transposed else 1, layer) if groups == 1 else Side(None, None, channels, layer)
    return Cause(CONV_CHANNELS, text, sides=(side(x, axis, name), wants))


def _kernel_too_large(scene: Scene, x: Operand, weight: Operand) -> Cause | None:
    kernel = weight.shape[2:]
    fits = all(size >= length for size, length in zip(x.shape[-len(kernel) :], kernel, strict=True))
    if "transpose" in scene.call or fits:
        return None
    layer, name = layer_of(weight, scene), name_in_layer(x)
    text = f"the kernel {shape_text(kernel)} of {layer} is larger than {name} {shape_text(x.shape)}"
    return Cause(KERNEL, text, sides=(side(x, -1, name), side(weight, -1, layer)), divisor=kernel[-1])
