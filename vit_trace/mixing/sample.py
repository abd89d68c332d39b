"""A small copy of the model that is run for real: its constants made random, its input changed in one place."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vit_trace.targets.inputs import Inputs

SMALL = 1e-2
"""A parameter whose values are all the same and not larger than this says nothing: it is given random ones."""


def wake(model: nn.Module) -> None:
    """Give random values to parameters that are zero everywhere, or almost: what they multiply would not show."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            small = parameter.is_floating_point() and parameter.numel() and parameter.abs().max() <= SMALL
            if small and (parameter == parameter.flatten()[0]).all():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def filled(given: Inputs) -> Inputs:
    """The inputs with values: random ones for floats; masks and ids that are all ones leave out every second one."""

    def fill(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            return randomly(tensor, 3)
        tensor = torch.ones(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor
        some = torch.arange(tensor.shape[-1]) % 2 == 0 if tensor.ndim > 1 and (tensor == 1).all() else None
        return tensor if some is None else some.to(tensor.dtype).expand_as(tensor).clone()

    args, kwargs = tree_map_only(Tensor, fill, given)
    return args, kwargs


def with_other_image(given: Inputs, batch: int, counted: bool = False) -> Inputs:
    """The inputs with other values in the first image: at place 0 of each first axis that counts the batch.

    Masks leave out nothing there, or where `counted` as many as before.
    """

    def change(tensor: Tensor) -> Tensor:
        if tensor.is_complex() or not tensor.ndim or tensor.shape[0] != batch:
            return tensor
        changed = tensor.clone()
        first = tensor[0]
        other = first.roll(1, -1) if first.ndim else 1 - first.long()
        if first.ndim and not counted and ((first == 0) | (first == 1)).all():
            other = torch.ones_like(first) if first.dtype is torch.bool else 1 - first
        changed[0] = randomly(first, 4) if tensor.is_floating_point() else other
        return changed

    args, kwargs = tree_map_only(Tensor, change, given)
    return args, kwargs


def with_opposite_masks(given: Inputs) -> Inputs:
    """The inputs with masks, and ids that are 0 or 1, turned into their opposites."""

    def opposite(tensor: Tensor) -> Tensor:
        mask = tensor.ndim > 1 and not tensor.is_floating_point() and ((tensor == 0) | (tensor == 1)).all()
        return (1 - tensor.long()).to(tensor.dtype) if mask else tensor

    args, kwargs = tree_map_only(Tensor, opposite, given)
    return args, kwargs


def with_equal_images(given: Inputs, batch: int) -> Inputs:
    """The inputs with the first image in the place of each."""

    def same(tensor: Tensor) -> Tensor:
        return tensor[:1].expand_as(tensor) if tensor.ndim and tensor.shape[0] == batch else tensor

    args, kwargs = tree_map_only(Tensor, same, given)
    return args, kwargs


def randomly(tensor: Tensor, seed: int) -> Tensor:
    """Random values in the shape and dtype of a tensor, the same for one seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
