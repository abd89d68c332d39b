import torch
batch = {"image": torch.rand(2, 3)}
print(batch["image"].shape)
batch["label"]
