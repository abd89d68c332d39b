# Training under the usual frameworks, each for two steps.
import logging, os, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
data = TensorDataset(torch.rand(8, 4), torch.randint(2, (8,)))
def accelerated():
    accelerator = Accelerator(cpu=True)
    net = nn.Linear(4, 2)
    net, optimizer, loader = accelerator.prepare(net, torch.optim.SGD(net.parameters(), 0.1), DataLoader(data, batch_size=4))
    for x, y in loader:
        loss = nn.functional.cross_entropy(net(x), y)
        accelerator.backward(loss)
        optimizer.step()
    print("accelerate", round(loss.item(), 5))
def distributed():
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29581", "RANK": "0", "WORLD_SIZE": "1"}
    dist.init_process_group("gloo")
    net = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    net(torch.ones(1, 4)).sum().backward()
    print("ddp", net.module.weight.grad.sum().item())
    dist.destroy_process_group()
def compiled():
    net = torch.compile(nn.Linear(4, 2), backend="eager")
    print("compile", net(torch.ones(1, 4)).shape)
def lightning():
    import lightning
    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 2)
        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)
    model = Lit()
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(model, DataLoader(data, batch_size=4))
    print("lightning", model.global_step)
accelerated()
distributed()
compiled()
lightning()
