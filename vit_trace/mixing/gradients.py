"""Asks the gradients of a small copy what its outputs, and what tensors on the way, depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vit_trace.mixing.measure import CopyRun, Measured, asked_once, on_one_thread
from vit_trace.mixing.sample import randomly

MANY = 0.2
"""Share of the rows of a weight from which on it is asked whether they have an effect."""


@dataclass(frozen=True)
class Gradients:
    """Names of trainable parameters that no gradient reaches; how much each value of an input counts, by its path.

    `still` are weights of linear layers, with those of their rows that have a gradient of 0, if these are many.
    """

    unreached: tuple[str, ...]
    inputs: Mapping[str, Tensor]
    still: Mapping[str, Tensor]


@asked_once
def gradients(measured: Measured) -> Gradients | None:
    """The gradients of a sum of all outputs, each weighed at random; None where nothing can be differentiated."""
    graph = measured.graph
    made = [one for one in graph.outputs if one.requires_grad] if graph is not None else []
    if graph is None or not made:
        return None
    parameters = {name: one for name, one in measured.model.named_parameters() if one.requires_grad}
    starts = {path: one for path, one in graph.starts.items() if one.requires_grad}
    total = torch.stack([(one * _weights(one, seed)).sum() for seed, one in enumerate(made)]).sum()
    try:
        with on_one_thread():
            wanted = [*parameters.values(), *starts.values()]
            found = torch.autograd.grad(total, wanted, retain_graph=True, allow_unused=True)
    except Exception:  # an in-place change, or a function without a gradient
        return None
    reached = dict(zip(parameters, found, strict=False))
    pairs = zip(starts.items(), found[len(parameters) :], strict=True)
    inputs = {path: torch.zeros_like(start) if one is None else one.abs() for (path, start), one in pairs}
    still = {}
    for name, one in reached.items():
        if one is not None and one.ndim == 2 and name.endswith("weight") and one.shape[0] > 2:
            rows = (one == 0).all(1)
            if MANY <= rows.float().mean() < 1:
                still[name] = rows
    return Gradients(tuple(name for name, one in reached.items() if one is None), inputs, still)


def _weights(made: Tensor, seed: int = 0) -> Tensor:
    return randomly(made.detach(), 5 + seed)


def depends(graph: CopyRun, made: Tensor, on: Tensor) -> Tensor | None:
    """How much values, weighed at random, depend on each value of another tensor of the graph; None for not at all."""
    if not made.requires_grad or not on.requires_grad:
        return None
    try:
        with on_one_thread():
            total = (made * _weights(made)).sum()  # a plain sum may cancel out
            (found,) = torch.autograd.grad(total, [on], retain_graph=True, allow_unused=True)
    except Exception:
        return None
    return found.abs() if found is not None else None
