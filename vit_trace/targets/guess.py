"""What to feed a model that nobody described: its forward's parameters, its arguments and its first layer tell."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vit_trace.output import refuse
from vit_trace.targets.inputs import Feed, Plan, Sizes, image_plan, pair
from vit_trace.targets.knobs import image_places, number
from vit_trace.targets.request import Request
from vit_trace.targets.target import Inputs

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.tracing.ladder import Built

SIDE = 224
OTHER_SIDES = (256, 384)
"""Sides that are tried where nothing says what the image size is."""

FRAMES = 16


def guessed_plans(built: Built, request: Request, side: Any = None) -> list[Plan]:
    """Ways to feed the model, the likeliest first. Raises Refused where its forward needs more than an image."""
    arguments = built.call.arguments if built.call else {}
    needed, first = required(built.model)
    if len(needed) > 1:
        what = ", ".join(needed)
        help = tuple(
            f"--input {name}={'2x3x224x224' if place == 0 else '2x196x768'}" for place, name in enumerate(needed)
        )
        raise refuse("needs-input", f"forward of {type(built.model).__name__} needs {what}", help=(" ".join(help),))
    height, width = request.image or image_of(arguments) or pair(side) or (SIDE, SIDE)
    channels, rank = first_layer(built.model)
    channels = number(arguments, "channels") or channels
    frames = number(arguments, "frames") or FRAMES
    sizes = {"b": request.batch, "c": channels, "H": height, "W": width}
    image = image_plan(request.batch, channels, height, width)
    video = Plan((Feed(None, ("b", "c", "T", "H", "W")),), {**sizes, "T": frames})
    frames_first = Plan((Feed(None, ("b", "T", "c", "H", "W")),), {**sizes, "T": frames})
    listed = Plan((), sizes, list_of_images)
    if "list" in str(first).lower():
        return [listed, image]
    if rank == 3 or number(arguments, "frames"):
        return [video, frames_first, image]
    if request.image or image_of(arguments) or pair(side):
        return [image, listed, video, frames_first]
    others = [image_plan(request.batch, channels, side, side) for side in OTHER_SIDES]
    return [image, *others, listed, video, frames_first]


def required(model: nn.Module) -> tuple[list[str], Any]:
    """Names of forward's parameters that have to be given, and the annotation of the first."""
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return [], ""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_ONLY)
    plain = [one for one in parameters if one.kind in kinds]
    needed = [one.name for one in plain if one.default is inspect.Parameter.empty]
    return needed, plain[0].annotation if plain else ""


def image_of(arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """The image size among the arguments; height and width may have their own."""
    values = {path[-1]: value for path, value in image_places(arguments)}
    if "image_height" in values and "image_width" in values:
        return values["image_height"], values["image_width"]
    return next((found for value in values.values() if (found := pair(value))), None)


def first_layer(model: nn.Module) -> tuple[int, int]:
    """(channels, dimensions) of the first convolution; (3, 2) without one."""
    for module in model.modules():
        kernel = getattr(module, "kernel_size", None)
        channels = getattr(module, "in_channels", None)
        if isinstance(channels, int) and isinstance(kernel, tuple):
            return channels, len(kernel)
    return 3, 2


def list_of_images(sizes: Sizes) -> Inputs:
    """Images one by one, without an axis for the batch."""
    import torch

    shape = sizes["c"], sizes["H"], sizes["W"]
    return ([torch.empty(shape, device="meta") for _ in range(sizes["b"])],), {}
