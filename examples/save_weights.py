"""Writes weights.pt: a ViT-S/16 for images of 384×384, as timm names it."""

import timm
import torch

torch.save(timm.create_model("vit_small_patch16_384", depth=2).state_dict(), "weights.pt")
