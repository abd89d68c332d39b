# slow
# code: assertion
# message: Input image size (40*40) doesn't match model (32*32).
# help: an input of 32×32
# fix: torch.rand(3, 40, 40) => torch.rand(3, 32, 32)
import tempfile
import torch
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification
sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
model = ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=8, num_labels=5))
data = [{"pixel_values": torch.rand(3, 40, 40), "labels": i % 5} for i in range(4)]
with tempfile.TemporaryDirectory() as folder:
    settings = dict(num_train_epochs=1, per_device_train_batch_size=2, report_to=[], save_strategy="no", use_cpu=True)
    Trainer(model, TrainingArguments(folder, **settings, disable_tqdm=True), train_dataset=data).train()
