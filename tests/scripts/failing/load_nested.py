# code: checkpoint-nested
# line: vit.load_state_dict(checkpoint)
# help: load_state_dict(checkpoint['model']) (tried: every tensor fits)
# fix: (checkpoint) => (checkpoint["model"])
from tiny import ViT
vit = ViT()
checkpoint = {"model": ViT().state_dict(), "epoch": 3, "optimizer": {"state": {}, "lr": 0.1}}
vit.load_state_dict(checkpoint)
