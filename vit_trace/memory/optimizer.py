"""Computes what an optimizer adds to a step: its state, and its temporaries. Tested against torch's own.

AdamW keeps two tensors like each parameter that has a gradient; its foreach form, which torch takes on a GPU, makes a
third one of each for the square root. Its step counters lie on the CPU and are not counted. SGD without momentum keeps
nothing and works in place. https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
"""

from __future__ import annotations

from typing import NamedTuple

from vit_trace.memory.options import Optimizer


class Needs(NamedTuple):
    """Bytes of state, and of temporaries while it steps."""

    state: int
    moment: int


def needs(optimizer: Optimizer, trained: int) -> Needs:
    """For `trained` bytes of parameters that have gradients."""
    return Needs(2 * trained, trained) if optimizer == "adamw" else Needs(0, 0)
