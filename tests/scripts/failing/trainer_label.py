# slow
# code: loss-labels
# message: takes class numbers from 0 to 4; target are all 5
# fix: "labels": 5 => "labels": 4
import tempfile
import torch
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification
sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
model = ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=8, num_labels=5))
data = [{"pixel_values": torch.rand(3, 32, 32), "labels": 5} for i in range(4)]
with tempfile.TemporaryDirectory() as folder:
    settings = dict(num_train_epochs=1, per_device_train_batch_size=2, report_to=[], save_strategy="no", use_cpu=True)
    Trainer(model, TrainingArguments(folder, **settings, disable_tqdm=True), train_dataset=data).train()
