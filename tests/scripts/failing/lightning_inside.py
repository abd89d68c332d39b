# slow
# code: broadcast
# line: x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
# help: an input of 32×32
# fix: 3, 24, 24 => 3, 32, 32
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
        return F.cross_entropy(self.net(x), y)
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
data = TensorDataset(torch.rand(4, 3, 24, 24), torch.randint(10, (4,)))
lightning.Trainer(max_epochs=1, accelerator="cpu", precision="bf16-mixed", **quiet).fit(Lit(), DataLoader(data, batch_size=2))
