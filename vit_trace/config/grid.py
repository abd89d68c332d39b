"""Checks that patches tile the image, and finds the nearest sizes that do.

The only check of two settings against each other.
"""

from collections.abc import Mapping

from vit_trace.base.numbers import divisors
from vit_trace.base.trace import Diagnostic
from vit_trace.config.hyperparameters import MAX_COUNT, REFERENCE, Setting
from vit_trace.config.words import axis_span, cut, diagnostic, is_typed, value_text, where


def grid_problems(given: Mapping[str, Setting], rank: Mapping[str, int]) -> list[Diagnostic]:
    """One problem for each axis where patches do not tile the image; one in all where both are square."""
    image, patch = (_size(given, name) for name in ("image_size", "patch_size"))
    axes = list(zip(("height", "width"), image, patch, strict=True))
    if image[0] == image[1] and patch[0] == patch[1]:
        axes = axes[:1]
    # The setting that came later is blamed; of two in one file the image, since weights fix the patch.
    blamed = "image_size" if rank.get("image_size", -1) >= rank.get("patch_size", -1) else "patch_size"
    return [_grid_problem(axis, i, p, blamed, given) for axis, i, p in axes if i % p]


def _size(given: Mapping[str, Setting], name: str) -> tuple[int, int]:
    value = given[name].value if name in given else getattr(REFERENCE, name)
    assert isinstance(value, tuple)
    return value


def _grid_problem(axis: str, image: int, patch: int, blamed: str, given: Mapping[str, Setting]) -> Diagnostic:
    other = "patch_size" if blamed == "image_size" else "image_size"
    origin = f"{other} {_origin(other, given)}"
    span = axis_span(given[blamed].span, axis)
    if patch > image:
        message = f"patch {axis} {patch} is larger than image {axis} {image}"
        return diagnostic("patch-exceeds-image", message, span, (origin,), (_advice(image, patch),))
    message = f"image {axis} {image} is not a multiple of patch {axis} {patch}"
    sum_ = f"{image} = {image // patch} · {patch} + {image % patch}"
    return diagnostic("patch-divides-image", message, span, (sum_, origin), (_advice(image, patch),))


def _advice(image: int, patch: int) -> str:
    """The nearest values that work: multiples of the patch, and divisors of the image."""
    multiples, dividing = near_multiples(image, patch), near_divisors(image, patch)
    many = "are the nearest multiples" if len(multiples) > 1 else "is the nearest multiple"
    other = f"; or patch {' or '.join(map(str, dividing))} divides {image}" if dividing else ""
    return f"{' and '.join(map(str, multiples))} {many} of {patch}{other}"


def near_multiples(image: int, patch: int) -> list[int]:
    """The multiples of `patch` just below and just above `image` that are sizes."""
    below = image // patch * patch
    return [size for size in (below, below + patch) if 1 <= size <= MAX_COUNT]


def near_divisors(image: int, patch: int) -> list[int]:
    """The patches just below and just above `patch` that divide `image`, leaving out 1 and the whole image."""
    inner = divisors(image)[1:-1]
    return [size for size in inner if size < patch][-1:] + [size for size in inner if size > patch][:1]


def _origin(name: str, given: Mapping[str, Setting]) -> str:
    if name not in given:
        return f"{value_text(getattr(REFERENCE, name))} is the default: it was not given"
    value, span = given[name].value, given[name].span
    return f"{value_text(value)} comes from {cut(span.text) if is_typed(span) else where(span)}"
