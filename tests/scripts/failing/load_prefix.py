# code: checkpoint-prefix
# line: vit.load_state_dict(nn.DataParallel(ViT()).state_dict())
# help: take module. off (tried: all
# fix: nn.DataParallel(ViT()) => ViT()
from torch import nn
from tiny import ViT
vit = ViT()
vit.load_state_dict(nn.DataParallel(ViT()).state_dict())
