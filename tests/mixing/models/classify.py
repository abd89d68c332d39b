"""A training step of a classifier: forward takes images, labels and weights, and returns loss and accuracy."""

import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, image_size, patch_size, dim, depth, heads):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2 + 1, dim))
        layer = nn.TransformerEncoderLayer(dim, heads, dim * 2, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, depth)

    def forward(self, images):
        x = self.patch_embed(images).flatten(2).mT
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        return self.layers(x)[:, 0]


class Classifier(nn.Module):
    def __init__(self, image_size=32, patch_size=8, num_classes=10, dim=48, depth=2, heads=4):
        super().__init__()
        self.num_classes = num_classes
        self.encoder = Encoder(image_size, patch_size, dim, depth, heads)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(dim, num_classes)
        self.confidence = nn.Linear(dim, 1)

    def forward(self, images, labels, weights):
        features = self.dropout(self.encoder(images))
        logits = self.fc(features)
        log_probs = F.log_softmax(logits, dim=-1)
        losses = F.nll_loss(log_probs, labels, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        confidence = torch.sigmoid(self.confidence(features)).squeeze(1)
        correct = (logits.argmax(dim=1) == labels).float()
        loss = loss + F.binary_cross_entropy(confidence, correct)
        one_hot = F.one_hot(labels, self.num_classes).float()
        brier = ((log_probs.detach().exp() - one_hot) ** 2).sum(dim=1).mean()
        return {"loss": loss, "accuracy": correct.mean(), "brier": brier}


def example(batch=3):
    return (torch.randn(batch, 3, 32, 32), (torch.arange(batch) + 2) % 10, torch.rand(batch) + 0.5)
