"""Guesses the input of an unknown model from its forward's parameters, its arguments and its first layer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vit_trace.base.limits import require_within
from vit_trace.base.refused import refuse
from vit_trace.targets.assignments import named, open_ended, signature_of
from vit_trace.targets.complaints import did_you_mean
from vit_trace.targets.inputs import Feed, Inputs, Plan, Sizes, height_width, image_plan
from vit_trace.targets.knobs import depth_of, image_places, integer_of
from vit_trace.targets.request import Request
from vit_trace.targets.tokens import tokens_fed

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.record.build.anyhow import Built

SIDE = 224
OTHER_SIDES = (256, 384)
"""Image sizes to try where the model's is unknown."""

FRAMES = 16
"""Frames of a clip where the model's number is unknown."""

CHANNELS, FEW_CHANNELS = 3, 4
"""Channels of an image; the most at which the first convolution is taken to see images."""


def guessed_plans(built: Built, request: Request, side: Any = None) -> list[Plan]:
    """Ways to feed the model, the likeliest first. Raises Refused where its forward needs more than an image."""
    from vit_trace.record.build.captured import program_of

    if (program := program_of(built.model)) is not None and program.shapes:
        return [Plan(tuple(Feed(None, shape) for shape in program.shapes))]
    arguments = built.call.arguments if built.call else {}
    one_value = [one for one in (signature_of(built.model.forward) or {}).values() if not str(one).startswith("*")]
    needed = [one.name for one in one_value if one.default is inspect.Parameter.empty]
    tokens = tokens_fed(built, needed or [one.name for one in one_value[:1]], request.batch)
    listed = bool(one_value) and "list" in str(one_value[0].annotation).lower()
    if len(needed) > 1 and tokens.plans:
        return [*tokens.plans]
    if len(needed) > 1:
        message = f"forward of {type(built.model).__name__} needs {', '.join(needed)}"
        first = f"2x196x{tokens.features}" if tokens.features else "2x3x224x224"
        rest = "".join(f" --input {name}=2x196x{tokens.features or 768}" for name in needed[1:])
        help = f"--input {needed[0]}={first}{rest}"
        raise refuse("needs-input", message, help=(help,))
    size = request.image or image_size_of(arguments) or height_width(side)
    guessed, rank = _first_layer(built.model)
    # the first convolution may well come after patches were cut out
    channels = list(dict.fromkeys((guessed, CHANNELS) if guessed <= FEW_CHANNELS else (CHANNELS, guessed)))
    if (said := integer_of(arguments, "channels")) is not None:
        channels = [said]
    if (axes := _other_axes(arguments)) is not None:
        given = {"b": request.batch, **axes}
        return [Plan((Feed(None, ("b", "c", *axes)),), {**given, "c": one}) for one in channels]
    frames = integer_of(arguments, "frames")
    kinds = [IMAGE, IMAGES, VIDEO, FRAMES_FIRST]
    if listed:
        kinds = [VOLUMES, IMAGES] if frames else [IMAGES, IMAGE]
    elif rank == 3 or frames:
        kinds = [VIDEO, FRAMES_FIRST, VOLUMES, IMAGE]
    height, width = size or (SIDE, SIDE)
    sizes = {"b": request.batch, "H": height, "W": width, "T": frames or depth_of(arguments) or FRAMES}
    plans = [_plan_of(kind, {**sizes, "c": one}) for one in channels for kind in kinds]
    if size is None and kinds[0] == IMAGE:
        plans[1:1] = [image_plan(request.batch, channels[0], side, side) for side in OTHER_SIDES]
    return [*tokens.plans, *plans] if tokens.first else [*plans, *tokens.plans]


IMAGE, VIDEO, FRAMES_FIRST, IMAGES, VOLUMES = "b c H W", "b c T H W", "b T c H W", "c H W", "c T H W"
"""Axes of each kind of input. The last two have no axis for the batch: images or volumes are given as a list."""


def _plan_of(kind: str, sizes: Mapping[str, int]) -> Plan:
    """The plan for one kind of input, at these sizes."""
    axes = tuple(kind.split())
    sizes = {axis: size for axis, size in sizes.items() if axis != "T" or "T" in axes}
    if "b" in axes:
        return Plan((Feed(None, axes),), sizes)

    def listed(at: Sizes) -> Inputs:
        require_within("steps", at["b"])  # a forward takes one for each image at least
        return ([Feed(None, axes).tensor(at) for _ in range(at["b"])],), {}

    return Plan((), sizes, listed)


def _other_axes(arguments: Mapping[str, Any]) -> dict[str, int] | None:
    """The axes after the channels where the input is not an image, with their sizes: a series, a volume of any rank."""
    shape, length = arguments.get("input_shape"), integer_of(arguments, "length")
    if isinstance(shape, (tuple, list)) and shape and all(isinstance(one, int) for one in shape):
        return {f"side{place}": one for place, one in enumerate(shape, 1)}
    return {"L": length} if length is not None and image_size_of(arguments) is None else None


def refuse_unknown_inputs(model: nn.Module, names: Sequence[str]) -> None:
    """Refuse --input for arguments that forward does not take. Raises Refused."""
    parameters = signature_of(model.forward)
    if parameters is None:
        return
    known = named(parameters)
    for name in names:
        instead = "" if open_ended(parameters) else f"it takes {', '.join(known[:12])}"
        if name not in known and (help := did_you_mean(name, known, otherwise=instead)):
            raise refuse("bad-input", f"--input {name}: forward of {type(model).__name__} takes no {name}", help=help)


def image_size_of(arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """The image size among the arguments, as one argument or one each for height and width."""
    values = {path[-1]: value for path, value in image_places(arguments)}
    if "image_height" in values and "image_width" in values:
        return values["image_height"], values["image_width"]
    return next((found for value in values.values() if (found := height_width(value))), None)


def _first_layer(model: nn.Module) -> tuple[int, int]:
    """(channels, dimensions) of the first convolution; (3, 2) without one."""
    layers = ((getattr(one, "in_channels", None), getattr(one, "kernel_size", None)) for one in model.modules())
    return next(((c, len(kernel)) for c, kernel in layers if isinstance(c, int) and isinstance(kernel, tuple)), (3, 2))
