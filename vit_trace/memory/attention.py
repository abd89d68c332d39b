"""Runs scaled_dot_product_attention on tensors without memory as torch runs it on a CPU.

On meta torch chooses the plain kernel, which keeps the n×n matrix for backward. Real devices choose a fused one where
they can, which torch itself decides here. A GPU has several fused kernels, which do not keep that matrix either.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FUSED = 1
"""What `torch._fused_sdp_choice` answers for a CPU's fused kernel."""


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """F.scaled_dot_product_attention, by the kernel that torch chooses for CPU tensors of these shapes."""
    about: dict[str, Any] = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
    if not query.is_meta or chosen_kernel(query, key, value, attn_mask, about) != FUSED:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, **about)
    mask = attn_mask
    if mask is not None and mask.dtype is torch.bool:
        mask = torch.empty(mask.shape, dtype=query.dtype, device=query.device)  # the kernel adds it
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out: Tensor = kernel(query, key, value, dropout_p, is_causal, attn_mask=mask, scale=scale)[0]
    return out


def chosen_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, about: dict[str, Any]) -> int:
    """The kernel that torch would choose on a CPU."""
    stood_in = [stand_in(tensor) for tensor in (query, key, value)]
    choice: Any = torch._fused_sdp_choice
    found: int = choice(*stood_in, None if mask is None else stand_in(mask), **about)
    return found


def stand_in(tensor: Tensor) -> Tensor:
    """A CPU tensor of the same shape and dtype, and contiguous in its last dim if the tensor is; one row, repeated."""
    dense = tensor.ndim > 0 and tensor.stride(-1) == 1
    row = torch.empty(tensor.shape[-1:] if dense else (1,), dtype=tensor.dtype, device="cpu")
    return row.expand(tensor.shape).requires_grad_(tensor.requires_grad)
