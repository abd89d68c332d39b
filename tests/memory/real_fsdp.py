"""Peak bytes of real steps under FSDP2, on a CPU, with a process group that only pretends to send. One process a run.

python real_fsdp.py GPUS ZERO BATCH    as --zero 3 or --zero 2; or the elements of the largest part of --zero 1
"""

import sys

import torch
import torch.distributed as dist
from test_memory import small
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor

from vit_trace.memory.blocks import blocks
from vit_trace.memory.meter import Meter, Where


class ShardMeter(Meter):
    """Sees the tensors below DTensor, and storages that FSDP2 empties and fills."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(issubclass(one, DTensor) for one in types):
            return NotImplemented
        return super().__torch_dispatch__(func, types, args, kwargs)

    def resized(self, storage):
        key, size = storage._cdata, storage.nbytes()
        number = self.live.get(key)
        if number is not None and self.bytes[number] != size:
            self.drop(key, number)
            if size:
                self.live[key] = self.noted(size, "activations")


def peak(gpus, reshards, batch):
    dist.init_process_group("fake", rank=0, world_size=gpus)
    mesh = init_device_mesh("cpu", (gpus,))
    model = small(dropout="0").build().train()
    for _, block in blocks(model):
        fully_shard(block, mesh=mesh, reshard_after_forward=reshards)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    image = torch.randn(batch, 3, 64, 64)
    original = torch.UntypedStorage.resize_
    for _ in range(2):
        meter = ShardMeter(Where(model), lambda func, args, kwargs: func(*args, **kwargs))

        def resize(storage, size, meter=meter):
            original(storage, size)
            meter.resized(storage)

        torch.UntypedStorage.resize_ = resize
        kept = [value for held in optimizer.state.values() for value in held.values()]
        held = [one.to_local() if isinstance(one, DTensor) else one for one in (*model.parameters(), *kept)]
        meter.add_all((*held, *model.buffers(), image), "held")
        with meter:
            out = model(image)
            out.sum().backward()
            optimizer.step()
        optimizer.zero_grad()
        del out
    return meter.tape(batch, ()).peak()[0]


def largest_part(gpus):
    """Elements of the parameters whose state the fullest GPU keeps."""
    dist.init_process_group("fake", rank=0, world_size=gpus)
    model = small(dropout="0").build()
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW)
    parts = [[one for group in part for one in group["params"]] for part in optimizer._partition_parameters()]
    return max(sum(one.numel() for one in part) for part in parts)


if __name__ == "__main__":
    gpus, zero, batch = map(int, sys.argv[1:])
    print(largest_part(gpus) if zero == 1 else peak(gpus, zero == 3, batch))
