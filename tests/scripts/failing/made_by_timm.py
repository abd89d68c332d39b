# code: assertion
# message: Input height (64) doesn't match model (32).
# help: img_size=64 in timm.create_model(…) (tried: runs, output 2×10)
# fix: img_size=32 => img_size=64
import timm
import torch
SIZES = dict(embed_dim=48, num_heads=3, depth=1, num_classes=10)
class Trainer:
    def __init__(self):
        self.model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32, **SIZES)
    def run(self):
        return self.model(torch.rand(2, 3, 64, 64))
Trainer().run()
