"""Learned queries look at image tokens by cross attention, as in DETR: classes and boxes for each query."""

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.dim_head = heads, dim // heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, self.dim_head).transpose(1, 2)

    def forward(self, queries, keys, values):
        q = self.split(self.to_q(queries))
        k = self.split(self.to_k(keys))
        v = self.split(self.to_v(values))
        scores = torch.matmul(q, k.transpose(2, 3)) / self.dim_head**0.5
        weights = scores.softmax(dim=-1)
        out = torch.matmul(weights, v)
        out = out.transpose(1, 2).flatten(2)
        return self.to_out(out)


class EncoderLayer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 2), nn.ReLU(), nn.Linear(dim * 2, dim))
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, src, pos):
        q = k = src + pos
        src = self.norm1(src + self.attn(q, k, src))
        return self.norm2(src + self.mlp(src))


class DecoderLayer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 2), nn.ReLU(), nn.Linear(dim * 2, dim))
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, tgt, query_pos, memory, pos):
        q = k = tgt + query_pos
        tgt = self.norm1(tgt + self.self_attn(q, k, tgt))
        tgt = self.norm2(tgt + self.cross_attn(tgt + query_pos, memory + pos, memory))
        return self.norm3(tgt + self.mlp(tgt))


class Detector(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=48, depth=2, heads=4, num_queries=5, num_classes=7):
        super().__init__()
        num_patches = (image_size // patch_size) ** 2
        self.backbone = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, num_patches, dim))
        self.query_embed = nn.Embedding(num_queries, dim)
        self.encoder = nn.ModuleList([EncoderLayer(dim, heads) for _ in range(depth)])
        self.decoder = nn.ModuleList([DecoderLayer(dim, heads) for _ in range(depth)])
        self.class_head = nn.Linear(dim, num_classes + 1)
        self.box_head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 4))

    def forward(self, images):
        memory = self.backbone(images).flatten(2).permute(0, 2, 1)
        for layer in self.encoder:
            memory = layer(memory, self.pos)
        query_pos = self.query_embed.weight.unsqueeze(0).repeat(images.shape[0], 1, 1)
        tgt = torch.zeros_like(query_pos)
        for layer in self.decoder:
            tgt = layer(tgt, query_pos, memory, self.pos)
        probabilities = self.class_head(tgt).softmax(-1)
        boxes = self.box_head(tgt).sigmoid()
        return {"classes": probabilities, "boxes": boxes}


def example(batch=3):
    return (torch.randn(batch, 3, 32, 32),)
