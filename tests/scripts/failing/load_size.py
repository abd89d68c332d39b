# code: checkpoint-image-size
# line: vit.load_state_dict(ViT(image=64).state_dict())
# fix: ViT(image=64) => ViT(image=32)
from tiny import ViT
vit = ViT()
vit.load_state_dict(ViT(image=64).state_dict())
