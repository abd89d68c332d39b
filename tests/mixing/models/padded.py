"""Sequences of patches of different lengths: padded keys are masked, the mean is taken over what is there."""

import torch
from torch import nn


class MaskedAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dense = nn.Linear(dim, dim)

    def transpose_for_scores(self, x):
        new_shape = x.size()[:-1] + (self.heads, x.size(-1) // self.heads)
        return x.view(new_shape).permute(0, 2, 1, 3)

    def forward(self, hidden, padding):
        q = self.transpose_for_scores(self.query(hidden))
        k = self.transpose_for_scores(self.key(hidden))
        v = self.transpose_for_scores(self.value(hidden))
        scores = torch.matmul(q, k.transpose(-1, -2)) / q.size(-1) ** 0.5
        scores = scores.masked_fill(padding[:, None, None, :], -1e4)
        probs = nn.functional.softmax(scores, dim=-1)
        context = torch.matmul(probs, v).permute(0, 2, 1, 3).contiguous()
        context = context.view(context.size()[:-2] + (hidden.size(-1),))
        return self.dense(context)


class Layer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attention = MaskedAttention(dim, heads)
        self.norm_before = nn.LayerNorm(dim)
        self.intermediate = nn.Linear(dim, dim * 4)
        self.output = nn.Linear(dim * 4, dim)
        self.norm_after = nn.LayerNorm(dim)

    def forward(self, hidden, padding):
        attended = self.attention(self.norm_before(hidden), padding)
        hidden = hidden + attended
        layer_output = self.output(torch.relu(self.intermediate(self.norm_after(hidden))))
        return layer_output + hidden


class PaddedViT(nn.Module):
    def __init__(self, patch_size=4, channels=3, max_patches=20, dim=48, depth=2, heads=4, num_classes=10):
        super().__init__()
        self.projection = nn.Linear(channels * patch_size**2, dim)
        self.positions = nn.Embedding(max_patches, dim)
        self.layers = nn.ModuleList([Layer(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, patches, padding):
        ids = torch.arange(patches.shape[1], device=patches.device)
        hidden = self.projection(patches) + self.positions(ids)
        for layer in self.layers:
            hidden = layer(hidden, padding)
        hidden = self.norm(hidden)
        valid = (~padding).unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * valid).sum(dim=1) / valid.sum(dim=1)
        return self.classifier(pooled)


def example(batch=3):
    lengths = torch.arange(batch) % 5 + 9
    return torch.randn(batch, 13, 48), torch.arange(13)[None] >= lengths[:, None]
