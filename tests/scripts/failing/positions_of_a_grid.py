# code: wrong-rank
# message: interpolate over height and width takes 4 axes, pos.transpose(1, 2) 1×48×17 has 3
# help: pos.transpose(1, 2)[:, :, 1:].reshape(-1, 48, 4, 4) instead of pos.transpose(1, 2) (tried: runs
# fix: F.interpolate(pos.transpose(1, 2), => F.interpolate(pos.transpose(1, 2)[:, :, 1:].reshape(-1, 48, 4, 4),
import torch.nn.functional as F
from tiny import ViT
pos = ViT().pos_embed
larger = F.interpolate(pos.transpose(1, 2), size=(6, 6), mode="bicubic")
