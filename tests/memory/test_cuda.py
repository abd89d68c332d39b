"""The model of CUDA: which kernel attention takes, what it and dropout keep, what the allocator makes of sizes."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers.targets import library_target
from test_memory import MODELS, TRACKED, small

from vit_trace.memory.cuda import CUBLAS, CudaAttention, allocate, drop
from vit_trace.memory.functions import Functions
from vit_trace.memory.judge import Run, memory_report
from vit_trace.memory.options import Training
from vit_trace.memory.subject import Unmeasured, Way, run_step

MIB = 2**20
HALF, FULL = torch.bfloat16, torch.float32


def heads(width, dtype, rows=9, count=4):
    return torch.empty(2, count, rows, width, dtype=dtype, device="meta")


CHOICES = [
    (64, HALF, None, "flash"),
    (72, HALF, None, "flash"),
    (36, HALF, None, "flash"),  # padded to 40
    (256, HALF, None, "flash"),
    (264, HALF, None, "efficient"),
    (64, HALF, (9, 9), "efficient"),
    (64, FULL, None, "efficient"),
    (68, FULL, (9, 9), "efficient"),
    (66, FULL, None, "math"),
    (36, HALF, (9, 9), "math"),
    (64, torch.float64, None, "math"),
]
"""Head dimension, dtype, mask: the kernel that ATen/native/transformers/cuda/sdp_utils.cpp lets through first."""


@pytest.mark.parametrize(("width", "dtype", "mask", "kernel"), CHOICES)
def test_the_kernel_of_attention(width, dtype, mask, kernel):
    held = torch.empty(mask, dtype=dtype, device="meta") if mask else None
    three = [heads(width, dtype)] * 3
    assert CudaAttention().chosen(*three, held) == kernel
    assert CudaAttention("math").chosen(*three, held) == "math"
    assert CudaAttention()(*three, held).shape == three[0].shape


def test_a_kernel_that_cannot_take_it_is_refused():
    with pytest.raises(RuntimeError, match="no flash attention on CUDA for float32 heads of 64"):
        CudaAttention("flash")(*[heads(64, FULL)] * 3)


def kept(function, *tensors):
    """Bytes that autograd keeps besides the function's own arguments."""
    given = {one.untyped_storage()._cdata for one in tensors}
    found = {}

    def pack(tensor):
        if tensor.untyped_storage()._cdata not in given:
            found[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = function(*tensors)
    assert out.requires_grad
    return sum(one.untyped_storage().nbytes() for one in found.values())


BATCH, HEADS, ROWS = 2, 4, 9
OUT = BATCH * HEADS * ROWS * 64
RNG = 3 * 8
"""Bytes of flash's random state: two numbers and an offset."""


@pytest.mark.parametrize(
    ("attention", "dtype", "count"),
    [
        ("flash", HALF, 2 * OUT + 4 * BATCH * HEADS * ROWS + RNG),
        ("efficient", FULL, 4 * OUT + 4 * BATCH * HEADS * 32 + 2 * 8),
        ("efficient", HALF, 2 * OUT + 4 * BATCH * HEADS * 32 + 2 * 8),
    ],
)
def test_what_a_fused_kernel_keeps(attention, dtype, count):
    """Its output, one float32 a row, and the state of the random numbers."""
    three = [heads(64, dtype).requires_grad_() for _ in range(3)]
    assert kept(CudaAttention(attention), *three) == count


@pytest.mark.parametrize(("p", "count"), [(0.1, 1), (0.0, 0), (1.0, 1)])
def test_dropout_keeps_a_byte_an_element(p, count):
    x = torch.empty(3, 5, device="meta", requires_grad=True)
    assert kept(partial(drop, p=p), x) == (15 * count if p < 1 else kept(partial(F.dropout, p=p), x))


@pytest.mark.parametrize("p", [0.0, 0.2])
def test_plain_attention_with_dropout_keeps_what_torchs_keeps_but_for_the_mask(p):
    """torch's own on meta drops as a CPU does: the mask is as large as the scores, and the scores are kept twice."""
    three = [heads(64, FULL).requires_grad_() for _ in range(3)]
    scores = BATCH * HEADS * ROWS * ROWS
    ours = kept(partial(CudaAttention("math"), dropout_p=p), *three)
    theirs = kept(partial(F.scaled_dot_product_attention, dropout_p=p), *three)
    assert theirs - ours == (3 * scores if p else 0)


@pytest.mark.parametrize("name", TRACKED)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kernels_of_cuda_by_rule_and_torchs_own_give_the_same_tape(name, precision):
    make, shape = MODELS[name]
    dtype = HALF if precision == "bf16" else FULL
    with torch.device("meta"):
        model = make().train().to(dtype)
    functions = Functions(None, {F.scaled_dot_product_attention: CudaAttention(), F.dropout: drop})
    fed = (torch.empty(shape, device="meta", dtype=dtype),), {}
    ruled, plain = (run_step(model, fed, shape[0], Way(functions.on, rules)) for rules in (True, False))
    assert (ruled.bytes, ruled.saved, ruled.peak()[0]) == (plain.bytes, plain.saved, plain.peak()[0])


# -- the allocator -------------------------------------------------------------------------------------------------

SIZES = [
    ([1], 512, 2 * MIB),
    ([513], 1024, 2 * MIB),
    ([MIB], MIB, 2 * MIB),
    ([MIB] * 3, 3 * MIB, 4 * MIB),
    ([MIB + 1], MIB + 512, 20 * MIB),
    ([2 * MIB] * 10, 20 * MIB, 20 * MIB),
    ([2 * MIB] * 11, 22 * MIB, 40 * MIB),
    ([10 * MIB], 10 * MIB, 10 * MIB),
    ([11 * MIB + MIB // 2], 12 * MIB, 12 * MIB),  # what is left over is too small to split off
    ([33 * MIB + 7], 34 * MIB, 34 * MIB),
]
"""Requests, bytes allocated, bytes reserved: by c10/cuda/CUDACachingAllocator.cpp."""


@pytest.mark.parametrize(("sizes", "allocated", "reserved"), SIZES)
def test_sizes_are_rounded(sizes, allocated, reserved):
    assert allocate(range(len(sizes)), sizes, 0)[1] == (allocated, reserved)


def test_a_freed_block_is_used_again():
    sizes = [12 * MIB, 12 * MIB, 12 * MIB]
    assert allocate([0, ~0, 1, ~1, 2], sizes, 0)[1] == (12 * MIB, 12 * MIB)
    assert allocate([0, 1, ~0, 2], sizes, 0)[1].reserved == 24 * MIB


def test_neighbours_are_joined():
    sizes = [6 * MIB] * 3 + [18 * MIB]
    assert allocate([0, 1, 2, ~1, ~0, ~2, 3], sizes, 0)[1].reserved == 20 * MIB


def test_segments_are_given_back_at_the_limit():
    sizes = [30 * MIB, 40 * MIB]
    assert allocate([0, ~0, 1], sizes, 0)[1].reserved == 70 * MIB
    assert allocate([0, ~0, 1], sizes, 0, 40 * MIB)[1].reserved == 40 * MIB
    assert allocate([0, 1], sizes, 0, 60 * MIB) is None


# -- reports -------------------------------------------------------------------------------------------------------


def test_masks_take_a_quarter_of_the_cpus():
    cuda, cpu = (memory_report(small(), Training(2, device=device), None) for device in ("cuda", "cpu"))
    assert cpu.dropout_masks == 4 * cuda.dropout_masks > 0


def test_math_attention_keeps_the_scores():
    target = library_target("timm:vit_tiny_patch16_224")
    runs = {name: Run(target, Training(2, precision="bf16", attention=name)) for name in ("math", "flash", None)}
    saved = {name: run.tape(2).saved_bytes for name, run in runs.items()}
    scores = 12 * 2 * 3 * 197 * 197
    assert saved["math"] - saved["flash"] > 4 * scores
    assert saved["flash"] == saved[None]
    with pytest.raises(Unmeasured, match="no flash attention"):
        Run(target, Training(2, attention="flash")).tape(2)


def test_the_reserve_counts():
    more = memory_report(small(), Training(2, reserve=3 * 2**30), None)
    less = memory_report(small(), Training(2, reserve=0), None)
    assert more.peak.bytes - less.peak.bytes == 3 * 2**30
    assert less.peak.bytes == less.reserved >= less.allocated >= CUBLAS
