"""Plans the inputs of a Hugging Face model from its forward's parameters and its config's sizes."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from vit_trace.base.limits import require_within
from vit_trace.base.refused import refuse
from vit_trace.base.roles import ROLES
from vit_trace.targets.inputs import Feed, Inputs, Plan, Sizes, height_width
from vit_trace.targets.knobs import is_config
from vit_trace.targets.request import Request

SIDE = 224
OTHER_SIDES = (512, 1024, 1536)
"""Image sizes to try where the config has none."""

GRIDS = ("image_grid_thw", "grid_thw", "image_grid_hw")
"""Arguments with the grid of patches of each image, whose patches stand in one row."""

PAIR = 2
"""Images in a pair, for a model that compares two."""

TOKENS = 8
"""Text tokens, where a model reads text too."""

VISION = ("vision_config", "backbone_config", "encoder_config", "encoder", "image_encoder", "vision_encoder")


def hf_plans(built: Any, config: Any, request: Request) -> list[Plan]:
    """Ways to feed the model, the likeliest first. Raises Refused where its forward needs what nobody can guess."""
    model, vision = built.model, _vision_part(config)
    parameters = inspect.signature(model.forward).parameters
    names = set(parameters)
    given = request.image or _side_of(vision) or _side_of(config)
    height, width = given or (SIDE, SIDE)
    channels = first(vision, ROLES["channels"], 3)
    sizes = {"b": request.batch, "c": channels, "H": height, "W": width, "p": first(vision, ROLES["patch"], 16)}
    frames = first(vision, ROLES["frames"], 0)  # 0: a model of images, not of videos
    if (grid := next((name for name in GRIDS if name in names), None)) is not None:
        return [_grid_plan(config, vision, names, grid, sizes)]
    if frames:
        sizes |= {"T": frames, "pt": first(vision, ROLES["frame_patch"], 1)}
    read = [name for name in ("input_ids", "attention_mask") if name in names]
    texts = [Feed(name, ("b", TOKENS), "int64") for name in read if "input_ids" in names]
    if "decoder_input_ids" in names and "input_ids" not in names and is_config(getattr(config, "decoder", None)):
        texts = [Feed("decoder_input_ids", ("b", TOKENS), "int64")]  # what a decoder of texts has written so far
    plans = []
    for feed in _image_feeds(model, names, vision, frames, channels):
        plans.append(Plan((feed, *_masks(parameters, vision, sizes), *texts), sizes))
        if texts:
            plans.append(Plan((feed,), sizes))
    if plans and given is None:
        plans += [Plan(plans[0].feeds, {**sizes, "H": side, "W": side}) for side in OTHER_SIDES]
    if not plans:
        needed = [name for name, one in parameters.items() if one.default is inspect.Parameter.empty and one.kind < 2]
        message = f"forward of {type(model).__name__} takes {', '.join(needed or list(parameters)[:4])}, not images"
        help = (" ".join(f"--input {name}=2x16" for name in needed or ["NAME"]),)
        raise refuse("needs-input", message, help=help)
    return plans


def _vision_part(config: Any) -> Any:
    """The config of the part that takes the images."""
    part = next((part for name in VISION if is_config(part := getattr(config, name, None))), None)
    return config if part is None else _vision_part(part)


def _side_of(config: Any) -> tuple[int, int] | None:
    return next((found for name in ROLES["image"] if (found := height_width(getattr(config, name, None)))), None)


def first(config: Any, names: tuple[str, ...], default: int) -> int:
    """The first of these fields that is a whole number."""
    return next((value for name in names if isinstance(value := getattr(config, name, None), int)), default)


def _image_feeds(model: Any, names: set[str], vision: Any, frames: int, channels: int) -> Iterator[Feed]:
    """The image, under the name and with the axes that the model takes."""
    main = getattr(model, "main_input_name", "pixel_values")
    order = [main, "pixel_values", "pixel_values_videos", "images", "pixel_values_images", "image"]
    name = next((one for one in order if one in names and one not in ("input_ids", "input_values")), None)
    if name is None:
        return
    image, video = Feed(name, ("b", "c", "H", "W")), Feed(name, ("b", "T", "c", "H", "W"))
    if "spatial_shapes" in names:
        yield Feed(name, ("b", first(vision, ("num_patches",), 256), first(vision, ROLES["patch"], 16) ** 2 * channels))
    if frames or "video" in name:
        yield video
    yield image
    yield Feed(name, ("b", "c", "T", "H", "W") if frames else ("b", PAIR, "c", "H", "W"))


def _masks(parameters: Mapping[str, inspect.Parameter], vision: Any, sizes: Sizes) -> Iterator[Feed]:
    """Masks that a forward requires."""
    import torch

    def half_masked(shape: tuple[int, ...]) -> torch.Tensor:
        mask = torch.zeros(shape, dtype=torch.bool, device="cpu")
        mask[:, : shape[1] // 2] = True
        return mask

    if "bool_masked_pos" in parameters and parameters["bool_masked_pos"].default is inspect.Parameter.empty:
        time = "T//pt*" if "T" in sizes else ""
        yield Feed("bool_masked_pos", ("b", f"{time}(H//p)*(W//p)"), "bool", half_masked)
    if "spatial_shapes" in parameters:
        count = first(vision, ("num_patches",), 256)
        side = torch.tensor(round(count**0.5), dtype=torch.int64, device="cpu")
        yield Feed("pixel_attention_mask", ("b", count), "int64")
        yield Feed("spatial_shapes", ("b", 2), "int64", lambda shape: side.repeat(shape))


def _grid_plan(config: Any, vision: Any, names: set[str], grid: str, sizes: dict[str, int]) -> Plan:
    """Images as rows of patches with the grid of each, and as many image tokens in the text."""
    patch, merge = first(vision, (*ROLES["patch"], "spatial_patch_size"), 14), first(vision, ("spatial_merge_size",), 2)
    depth = sizes["c"] * first(vision, ("temporal_patch_size",), 1) * patch * patch
    main = "hidden_states" if "hidden_states" in names and "pixel_values" not in names else "pixel_values"
    image = first(config, ("image_token_id", "image_token_index"), 0)

    def make(at: Sizes) -> Inputs:
        import torch

        unit = patch * merge
        rows, columns = max(at["H"] // unit, 1) * merge, max(at["W"] // unit, 1) * merge
        require_within("values", at["b"] * rows * columns)
        patches = torch.empty(at["b"] * rows * columns, depth, device="meta")
        side = [rows, columns] if grid.endswith("_hw") else [1, rows, columns]
        rows_by_name = {grid: side}
        if "input_ids" in names:
            tokens = rows * columns // merge**2
            rows_by_name["input_ids"] = [image] * tokens + [1] * TOKENS
            if "mm_token_type_ids" in names:
                rows_by_name["mm_token_type_ids"] = [1] * tokens + [0] * TOKENS
        whole = {name: torch.tensor([row] * at["b"], device="cpu") for name, row in rows_by_name.items()}
        return (), {main: patches, **whole}

    return Plan((), sizes, make)
