"""Measures training steps on a GPU and compares them with `check --memory`: predicted, measured, difference.

    python tests/benchmarks/gpu_memory.py                    12 models, 3 precisions, 2 kernels of attention
    python tests/benchmarks/gpu_memory.py --only vit_base    models whose name has this

Needs a GPU and timm. Each line compares torch.cuda.max_memory_allocated and max_memory_reserved of the second and
third step of AdamW with what is predicted. docs/how-to/gpu-memory.md says whether this was done.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent.parent), str(Path(__file__).resolve().parent.parent)]

BATCHES = {
    "vit_tiny_patch16_224": 128,
    "vit_small_patch16_224": 64,
    "vit_base_patch16_224": 32,
    "vit_large_patch16_224": 8,
    "vit_base_patch16_384": 8,
    "vit_base_patch16_clip_224": 32,
    "vit_small_patch14_reg4_dinov2": 8,
    "deit3_small_patch16_224": 64,
    "beit_base_patch16_224": 32,
    "eva02_tiny_patch14_224": 64,
    "swin_tiny_patch4_window7_224": 32,
    "vit_base_patch16_siglip_224": 32,
}
"""Model of timm -> images."""

PRECISIONS = ("fp32", "bf16-mixed", "bf16")
FUSED = (True, False)
MIB = 2**20


def measured(name: str, batch: int, precision: str) -> tuple[int, int]:
    """Bytes allocated and reserved at most by steps on the GPU."""
    import timm
    import torch

    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = timm.create_model(name).to("cuda", dtype).train()
    optimizer = torch.optim.AdamW(model.parameters())
    size = model.patch_embed.img_size
    images = torch.rand(batch, 3, *size, device="cuda", dtype=dtype)
    around = torch.autocast("cuda", torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
    for _ in range(3):
        with around:
            out = model(images)
        out.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        del out
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def predicted(name: str, batch: int, precision: str) -> tuple[int, int]:
    from helpers.targets import library_target

    from vit_trace.memory.judge import memory_report
    from vit_trace.memory.options import Training

    report = memory_report(library_target(f"timm:{name}"), Training(batch, precision=precision), None)
    return report.allocated, report.reserved


def lines(part: str) -> Iterator[float]:
    """Prints a line for each run; gives the differences of what is allocated, in percent."""
    import torch
    from timm.layers import set_fused_attn

    runs = ((name, precision, fused) for name in BATCHES for precision in PRECISIONS for fused in FUSED if part in name)
    for name, precision, fused in runs:
        set_fused_attn(fused)
        ours = predicted(name, BATCHES[name], precision)
        try:
            theirs = measured(name, BATCHES[name], precision)
        except torch.OutOfMemoryError:
            print(f"{name} {precision}: out of memory on this card")
            continue
        more = [100 * (one - other) / other for one, other in zip(ours, theirs, strict=True)]
        sizes = "   ".join(
            f"{what} {one // MIB:6} predicted {other // MIB:6} measured {percent:+5.1f} %"
            for what, one, other, percent in zip(("allocated", "reserved"), ours, theirs, more, strict=True)
        )
        print(f"{name:32} {precision:10} {'fused' if fused else 'plain'}   {sizes}", flush=True)
        yield more[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="models whose name has this")
    asked = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        print("there is no GPU here: nothing was measured")
        return 2
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "MiB")
    found = [abs(one) for one in lines(asked.only)]
    print(f"allocated differs by {statistics.median(found):.1f} % at the median, {max(found):.1f} % at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
