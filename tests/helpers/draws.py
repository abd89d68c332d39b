"""Random shapes, dtypes and arguments, good and bad; the same ones for a seed.

A tensor is a `Drawn`, a description, so that meta and a real CPU get the same one.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

import torch

DTYPES = (torch.float32,) * 8 + (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.bool)
RARE = (torch.uint8, torch.int8, torch.complex64)


@dataclass(frozen=True)
class Drawn:
    """A tensor; `transposed` swaps its last two axes in memory, `stretched` repeats its first without memory.

    `whole` is the value of whole numbers: 0 in an index, which every axis has, else 1, which may be divided by.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    transposed: bool = False
    stretched: bool = False
    whole: int = 1

    def make(self, device: str) -> torch.Tensor:
        shape = (1, *self.shape[1:]) if self.stretched and self.shape else self.shape
        order = (*shape[:-2], shape[-1], shape[-2]) if self.transposed and len(shape) > 1 else shape
        if self.dtype.is_floating_point:
            made = (torch.rand(order) * 0.9 + 0.05).to(self.dtype)
        else:
            made = torch.full(order, self.whole or self.dtype is torch.bool, dtype=self.dtype)
        made = made.to(device)
        made = made.transpose(-1, -2) if self.transposed and len(shape) > 1 else made
        return made.expand(self.shape)


class Draw:
    """Random choices of one call."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sizes = (1, 2, 3, 4, 4, 6) if not self.chance(0.02) else (1, 40, 96)  # or too large to be made for real
        self.common = self.random.choice(DTYPES if self.random.random() < 0.95 else RARE)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *values: Any) -> Any:
        return self.random.choice(values)

    def shape(self, low: int = 1, high: int = 4) -> tuple[int, ...]:
        rank = self.random.randint(low, high if max(self.sizes) < 10 else max(low, min(high, 3)))
        return tuple(0 if self.chance(0.015) else self.random.choice(self.sizes) for _ in range(rank))

    def dtype(self) -> torch.dtype:
        return self.common if not self.chance(0.08) else self.random.choice(DTYPES)

    def spoiled(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not self.chance(0.08):
            return tuple(shape)
        if self.chance(0.5) and shape:
            at = self.random.randrange(len(shape))
            return (*shape[:at], self.random.choice((1, 2, 3, 5)), *shape[at + 1 :])
        return tuple(shape[1:]) if self.chance(0.5) else (2, *shape)

    def tensor(self, shape: tuple[int, ...] | None = None, dtype: torch.dtype | None = None) -> Drawn:
        shape = self.shape() if shape is None else self.spoiled(shape)
        return Drawn(shape, dtype or self.dtype(), self.chance(0.12), self.chance(0.05))

    def index(self, shape: tuple[int, ...]) -> Drawn:
        return replace(self.tensor(shape, torch.int64 if self.chance(0.85) else self.random.choice(DTYPES)), whole=0)

    def dim(self, rank: int) -> int:
        return self.random.randint(-rank, rank - 1) if self.chance(0.85) and rank else self.random.randint(-6, 6)

    def alike(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts with another."""
        cut = shape[self.random.randrange(len(shape)) :] if shape and self.chance(0.3) else shape
        return tuple(1 if self.chance(0.2) else size for size in cut)
