"""Causes of a failing call: small functions from a Scene to a Cause, or None where they do not apply. No torch.

They look at shapes, dtypes and numbers, never at the text of torch's message, which differs between devices and
releases. The first that finds a disagreement says what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vit_trace.diagnose.causes import arrange, combine, layers, lookups, python
from vit_trace.diagnose.causes import einops as patterns
from vit_trace.diagnose.scene import Cause, Scene

Finder = Callable[[Scene], Cause | None]

FINDERS: tuple[Finder, ...] = (
    python.wrong_call,
    patterns.pattern,
    python.unpacked,
    python.not_a_tensor,
    python.float_sizes,
    lookups.subscript,
    layers.dtypes,
    layers.linear,
    layers.convolution,
    layers.attention_width,
    layers.batches_apart,
    layers.padding,
    layers.normalisation,
    lookups.embedding,
    lookups.gathering,
    lookups.selecting,
    lookups.most,
    lookups.indexing,
    combine.matrix_product,
    combine.einsum,
    combine.attention,
    combine.concatenation,
    arrange.reshaping,
    arrange.splitting,
    arrange.expansion,
    arrange.axes_named,
    arrange.strided,
    combine.broadcasting,
    python.assertion,
    python.unknown,
)


def cause_of(scene: Scene) -> Cause:
    """What went wrong in the failing call."""
    return next(causes(scene))


def causes(scene: Scene) -> Iterator[Cause]:
    for finder in FINDERS:
        found = finder(scene)
        if found is not None:
            yield found
