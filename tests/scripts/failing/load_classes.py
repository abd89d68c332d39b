# code: checkpoint-classes
# line: vit.load_state_dict(state)
# fix: classes=1000 => classes=10
from tiny import ViT
vit = ViT()
state = ViT(classes=1000).state_dict()
vit.load_state_dict(state)
