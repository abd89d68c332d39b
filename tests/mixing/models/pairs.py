"""A training step on pairs of images and captions, as in CLIP: two towers, a contrastive loss over the batch."""

import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 2), nn.GELU(), nn.Linear(dim * 2, dim))

    def forward(self, x, key_padding_mask=None):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, key_padding_mask=key_padding_mask, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class ImageTower(nn.Module):
    def __init__(self, image_size, patch_size, dim, depth, heads, embed_dim):
        super().__init__()
        self.conv1 = nn.Conv2d(3, dim, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(dim) * 0.02)
        self.positional_embedding = nn.Parameter(torch.randn((image_size // patch_size) ** 2 + 1, dim) * 0.02)
        self.layers = nn.ModuleList([Layer(dim, heads) for _ in range(depth)])
        self.ln_post = nn.LayerNorm(dim)
        self.proj = nn.Parameter(torch.randn(dim, embed_dim) * dim**-0.5)

    def forward(self, x):
        x = self.conv1(x)
        x = x.reshape(x.shape[0], x.shape[1], -1).permute(0, 2, 1)
        cls = self.class_embedding.expand(x.shape[0], 1, -1)
        x = torch.cat([cls, x], dim=1) + self.positional_embedding
        for layer in self.layers:
            x = layer(x)
        x = self.ln_post(x[:, 0, :])
        return x @ self.proj


class TextTower(nn.Module):
    def __init__(self, vocabulary, context, dim, depth, heads, embed_dim):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(context, dim)
        self.layers = nn.ModuleList([Layer(dim, heads) for _ in range(depth)])
        self.ln_final = nn.LayerNorm(dim)
        self.text_projection = nn.Linear(dim, embed_dim, bias=False)

    def forward(self, text):
        padding = text == 0
        x = self.token_embedding(text)
        x = x + self.positions(torch.arange(text.shape[1], device=text.device))
        for layer in self.layers:
            x = layer(x, padding)
        x = self.ln_final(x)
        x = x[torch.arange(x.shape[0]), text.argmax(dim=-1)]
        return self.text_projection(x)


class Pairs(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=48, depth=2, heads=4, embed_dim=20, vocabulary=30, context=11):
        super().__init__()
        self.visual = ImageTower(image_size, patch_size, dim, depth, heads, embed_dim)
        self.text = TextTower(vocabulary, context, dim, depth, heads, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images, captions):
        image_features = F.normalize(self.visual(images), dim=-1)
        text_features = F.normalize(self.text(captions), dim=-1)
        logits = self.logit_scale.exp() * image_features @ text_features.t()
        labels = torch.arange(logits.shape[0], device=logits.device)
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2
        return {"image_features": image_features, "text_features": text_features, "loss": loss}


def example(batch=3):
    captions = torch.randint(1, 29, (batch, 11))
    captions *= torch.arange(11) < 8 + torch.arange(batch)[:, None] % 3
    captions[torch.arange(batch), torch.arange(batch) % 3 + 4] = 29
    return torch.randn(batch, 3, 32, 32), captions
