"""Models as those had them whose figures published_memory.py compares with."""

from __future__ import annotations

import torch
from torch import nn


def attend_as_in_2022(self: nn.Module, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    """timm's attention of releases 0.4 to 0.6: it scales the scores, not the query."""
    batch, count, width = x.shape
    qkv = self.qkv(x).reshape(batch, count, 3, self.num_heads, width // self.num_heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    attn = (q @ k.transpose(-2, -1)) * self.scale
    attn = self.attn_drop(attn.softmax(dim=-1))
    x = (attn @ v).transpose(1, 2).reshape(batch, count, width)
    return self.proj_drop(self.proj(x))


def masked_autoencoder() -> nn.Module:
    """MAE ViT-B/16 with attention that is not fused."""
    import transformers

    config = transformers.ViTMAEConfig(attn_implementation="eager")
    return transformers.ViTMAEForPreTraining(config)
