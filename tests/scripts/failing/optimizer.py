# code: optimizer-state
# message: the saved state has 32 parameters in group 0, the optimizer has 44
# line: optimizer.load_state_dict(saved)
# fix: ViT(depth=3) => ViT(depth=2)
import torch
from tiny import ViT
saved = torch.optim.AdamW(ViT().parameters()).state_dict()
optimizer = torch.optim.AdamW(ViT(depth=3).parameters())
optimizer.load_state_dict(saved)
