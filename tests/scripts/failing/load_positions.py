# code: checkpoint-image-size
# line: model.load_state_dict(state)
# help: vit_trace.load_state_dict(model, state) does this: resize pos_embed (tried: it loads with strict=True)
# fix: model.load_state_dict(state) => __import__("vit_trace").load_state_dict(model, state)
from tiny import ViT
state = ViT(image=64).state_dict()
model = ViT()
model.load_state_dict(state)
