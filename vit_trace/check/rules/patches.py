"""Rules: how the patches tile the image."""

from collections.abc import Iterator

from vit_trace.base.numbers import divisors
from vit_trace.check.facts import Facts, Network
from vit_trace.check.rules import Finding, rule
from vit_trace.config import near_divisors, near_multiples


@rule("one-token", "warning")
def one_token(facts: Facts) -> Iterator[Finding]:
    """The patch is as large as the image, so there is one patch: attention has nothing to compare it with.
    Example: image_size 32, patch_size 32.
    Choose a smaller patch. For small images (32×32 in CIFAR) patches of 4 or 8 are usual.
    """
    for network in facts.networks:
        patch, image = network.get("patch"), network.get("image")
        size = patch.sides if patch is not None else None
        if patch is None or size is None or facts.image is None or not all(size):
            continue
        height, width = facts.image
        if (height // size[0], width // size[1]) != (1, 1):
            continue
        smaller = near_divisors(height, size[0])[:1] if height == width else []
        yield Finding(
            f"the image {height}×{width} is one patch of {size[0]}×{size[1]}",
            (patch, image) if image is not None else (patch,),
            ("attention has no second patch to compare it with",),
            tuple({patch.name: one} for one in smaller),
        )
        return


FEW = 4
"""Patches of a whole image up to which attention has little to compare."""


@rule("few-patches", "warning")
def few_patches(facts: Facts) -> Iterator[Finding]:
    """The image is cut into four patches or fewer, most often because a patch size of ImageNet is used on small images.
    Example: image_size 32, patch_size 16.
    It runs, but attention compares at most four patches. For small images (32×32 in CIFAR) patches of 4 or 8 are usual.
    """
    for network in facts.networks:
        patch, image = network.get("patch"), network.get("image")
        step, size = (one.sides if one is not None else None for one in (patch, image))
        if patch is None or image is None or step is None or size is None or not all(step):
            continue
        rows, columns = size[0] // step[0], size[1] // step[1]
        if 1 < rows * columns <= FEW:
            smaller = [one for one in divisors(size[0]) if size[0] // 8 <= one < step[0] and one > 1]
            changes = tuple({patch.name: one} for one in smaller) if size[0] == size[1] else ()
            note = f"attention compares {rows * columns} patches of {step[0]}×{step[1]}"
            message = f"the image {size[0]}×{size[1]} is cut into {rows}×{columns} patches"
            yield Finding(message, (patch, image), (note,), changes)
            return


DROPPED = "pixels-dropped"


@rule(DROPPED, "warning", shared=True)
def whole_patches(facts: Facts) -> Iterator[Finding]:
    """Points the warning of the trace at the image size in the config."""
    found = next((one for one in facts.trace.diagnostics if one.code == DROPPED), None) if facts.trace else None
    if found is None:
        return
    network = next((one for one in facts.networks if "image" in one and "patch" in one), Network())
    size, step = (network[role].sides if role in network else None for role in ("image", "patch"))
    square = size and step and size[0] == size[1] and step[0] == step[1]
    near = near_multiples(size[0], step[0]) if size and step and square else []
    changes = tuple({network["image"].name: one} for one in near)
    yield Finding(found.message, network.present("image", "patch"), found.notes, changes)
