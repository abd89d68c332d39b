# slow
# code: loss-labels
# line: loss = F.cross_entropy(logits, y)
# note: logits 2×10 is the output of ViT (self.net)
# fix: logits, y) => logits, y.squeeze(1))
import lightning
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from tiny import ViT
class Lit(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = ViT()
    def training_step(self, batch, index):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
data = TensorDataset(torch.rand(4, 3, 32, 32), torch.randint(10, (4, 1)))
lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(Lit(), DataLoader(data, batch_size=2))
