"""A ViT on nn.TransformerEncoder: positions by nn.Embedding, registers beside the class token."""

import torch
from torch import nn


class PatchEmbedding(nn.Module):
    def __init__(self, image_size, patch_size, channels, dim):
        super().__init__()
        self.num_patches = (image_size // patch_size) ** 2
        self.unfold = nn.Unfold(kernel_size=patch_size, stride=patch_size)
        self.linear = nn.Linear(channels * patch_size * patch_size, dim)

    def forward(self, x):
        x = self.unfold(x)
        x = x.transpose(1, 2)
        return self.linear(x)


class ViTEncoder(nn.Module):
    def __init__(
        self, image_size=32, patch_size=8, channels=3, num_classes=10, dim=48, depth=2, heads=4, num_registers=2
    ):
        super().__init__()
        self.patch_embedding = PatchEmbedding(image_size, patch_size, channels, dim)
        self.position_embedding = nn.Embedding(self.patch_embedding.num_patches, dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim))
        self.registers = nn.Parameter(torch.randn(1, num_registers, dim))
        self.num_registers = num_registers
        layer = nn.TransformerEncoderLayer(
            d_model=dim,
            nhead=heads,
            dim_feedforward=dim * 4,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim)
        self.fc = nn.Linear(dim * 2, num_classes)

    def forward(self, x):
        x = self.patch_embedding(x)
        batch_size, num_patches, _ = x.shape
        positions = torch.arange(num_patches, device=x.device)
        x = x + self.position_embedding(positions)
        class_tokens = self.class_token.expand(batch_size, -1, -1)
        registers = self.registers.expand(batch_size, -1, -1)
        x = torch.cat([class_tokens, registers, x], dim=1)
        x = self.encoder(x)
        x = self.norm(x)
        cls, patches = x[:, 0], x[:, 1 + self.num_registers :]
        features = torch.cat([cls, patches.mean(dim=1)], dim=-1)
        return self.fc(features)


def example(batch=3):
    return (torch.randn(batch, 3, 32, 32),)
