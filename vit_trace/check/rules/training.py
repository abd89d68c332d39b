"""Rules about the image and the run: one token, lost pixels, everything dropped, a misspelt field."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from vit_trace.check.rules.facts import Change, Facts, Finding, Quantity
from vit_trace.config import near_divisors, near_multiples


def sides(quantity: Quantity) -> tuple[int, int] | None:
    """(height, width) of an image or patch, given as one number or two."""
    value = quantity.value
    if isinstance(value, int):
        return value, value
    return (value[0], value[1]) if isinstance(value, tuple) and len(value) == 2 else None


def one_token(facts: Facts) -> Iterator[Finding]:
    """The patch is as large as the image: attention has one patch to look at."""
    for network in facts.networks:
        patch = network.get("patch")
        size = sides(patch) if patch is not None else None
        if patch is None or size is None or facts.image is None or not all(size):
            continue
        height, width = facts.image
        if (height // size[0], width // size[1]) != (1, 1):
            continue
        image = network.get("image")
        smaller = near_divisors(height, size[0])[:1] if height == width else []
        yield Finding(
            f"the image {height}×{width} is one patch of {size[0]}×{size[1]}",
            tuple(one for one in (patch, image) if one is not None),
            ("attention has no second patch to look at",),
            tuple({patch.name: one} for one in smaller),
        )
        return


def lost_pixels(facts: Facts) -> Iterator[Finding]:
    """The trace dropped pixels: said where the config gives the image size."""
    trace = facts.trace
    found = next((one for one in trace.diagnostics if one.code == "pixels-dropped"), None) if trace else None
    if found is None:
        return
    for network in facts.networks:
        image, patch = network.get("image"), network.get("patch")
        if image is None or patch is None:
            continue
        size, step = sides(image), sides(patch)
        blame = (image, patch)
        changes: tuple[Change, ...] = ()
        if size and step and size[0] == size[1] and step[0] == step[1] and isinstance(image.value, int):
            changes = tuple({image.name: one} for one in near_multiples(size[0], step[0]))
        yield Finding(found.message, blame, found.notes, changes)
        return
    yield Finding(found.message, (), found.notes)


def all_dropped(facts: Facts) -> Iterator[Finding]:
    """A share of 1 drops everything while training."""
    for rate in facts.rates:
        if isinstance(rate.value, (int, float)) and rate.value >= 1:
            note = "while training every value there becomes 0, and no gradient passes"
            yield Finding(f"{rate.name} {rate.value:g} drops everything", (rate,), (note,), ({rate.name: 0.1},))


def misspelt(facts: Facts) -> Iterator[Finding]:
    """A field that the config class does not know and that is spelt almost like one it does: silently ignored."""
    absent = [name for name in facts.known if name not in facts.fields]
    for name, place in facts.fields.items():
        near = get_close_matches(name, absent, 1, 0.85) if name not in facts.known else []
        if near:
            note = f"it is ignored, and {near[0]} keeps its default; did you mean {near[0]}?"
            yield Finding(f"{name} is no field of this config", (Quantity("field", name, 0, place),), (note,))
