"""Models to be weighed: two inputs, no gradient, some parameters frozen, a branch on values."""

import torch
from torch import nn


class TwoInputs(nn.Module):
    def __init__(self, dim: int = 16, num_classes: int = 4) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, dim, 16, 16)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        tokens = self.one(image).flatten(2).transpose(1, 2)
        return {"logits": self.head(tokens.mean(1)), "tokens": tokens}


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.norm(self.one(image.mean((2, 3))))


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 16, 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.one(image).detach()


class HalfFrozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(16, 16, bias=False)
        self.two = nn.Linear(16, 8, bias=False)
        self.one.requires_grad_(False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.two(self.one(image.flatten(1)[:, :16]))


class Branching(nn.Module):
    """Its forward asks for values twice; the second answer has to be no."""

    def __init__(self, asks: bool = True) -> None:
        super().__init__()
        self.one = nn.Linear(3, 8)
        self.asks = asks

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.one(image.mean((2, 3)))
        if self.asks and not torch.isfinite(x).all():
            x = x.clamp(-1, 1)
        if self.asks and bool((x > 1e9).any()):
            raise ValueError("too large")
        return x.relu()
