"""Rule: the image is a multiple of the patch; says where the config sets the sizes."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Network
from vit_trace.check.rules import Change, Finding, rule
from vit_trace.config import near_multiples

DROPPED = "pixels-dropped"


@rule(DROPPED, "warning", shared=True)
def whole_patches(facts: Facts) -> Iterator[Finding]:
    """Points the warning of the trace at the image size in the config."""
    found = next((one for one in facts.trace.diagnostics if one.code == DROPPED), None) if facts.trace else None
    if found is None:
        return
    network = next((one for one in facts.networks if "image" in one and "patch" in one), None)
    if network is None:
        yield Finding(found.message, (), found.notes)
    else:
        yield Finding(found.message, (network["image"], network["patch"]), found.notes, _whole(network))


def _whole(network: Network) -> tuple[Change, ...]:
    """The nearest images that are multiples of the patch, where both are square."""
    image, size, step = network["image"], network["image"].whole, network["patch"].sides
    if not size or not step or step[0] != step[1]:
        return ()
    return tuple({image.name: one} for one in near_multiples(size, step[0]))
