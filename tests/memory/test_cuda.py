"""The model of CUDA: which kernel attention takes, what it and dropout keep, what the allocator makes of sizes."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.targets import library_target
from test_memory import MODELS, TRACKED, small

from vit_trace.memory.cuda import BEFORE_HOPPER, HOPPER, CudaAttention, Reduction, allocate, drop, workspaces
from vit_trace.memory.functions import Functions
from vit_trace.memory.judge import Run, memory_report
from vit_trace.memory.options import Training
from vit_trace.memory.subject import Unmeasured, Way, run_step

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from gpu_memory import predicted, predicted_largest
from gpu_runs import GpuRun

MIB = 2**20
HALF, FULL = torch.bfloat16, torch.float32


def heads(width, dtype, rows=9, count=4):
    return torch.empty(2, count, rows, width, dtype=dtype, device="meta")


CHOICES = [
    (24, HALF, None, "cudnn", "flash"),
    (64, HALF, None, "cudnn", "flash"),
    (72, HALF, None, "cudnn", "flash"),
    (62, HALF, None, "flash", "flash"),
    (256, HALF, None, "cudnn", "flash"),
    (288, HALF, None, "efficient", "efficient"),
    (64, HALF, "added", "cudnn", "efficient"),
    (64, HALF, "learnt", "efficient", "efficient"),
    (64, HALF, "bool", "cudnn", "efficient"),
    (62, HALF, "added", "math", "math"),
    (288, HALF, "bool", "efficient", "efficient"),
    (64, FULL, None, "efficient", "efficient"),
    (24, FULL, "bool", "efficient", "efficient"),
    (288, FULL, "learnt", "efficient", "efficient"),
    (62, FULL, None, "math", "math"),
    (64, torch.float64, None, "math", "math"),
]
"""Head dimension, dtype, mask: what torch._fused_sdp_choice answered on an H200 (torch 2.11) with 49, 197 and 256 rows,
and what ATen/native/transformers/cuda/sdp_utils.cpp lets through first before Hopper.
"""

MASKS = {
    "added": lambda dtype: torch.empty(9, 9, dtype=dtype, device="meta"),
    "learnt": lambda dtype: torch.empty(9, 9, dtype=dtype, device="meta", requires_grad=True),
    "bool": lambda dtype: torch.empty(9, 9, dtype=torch.bool, device="meta"),
}


@pytest.mark.parametrize(("width", "dtype", "mask", "hopper", "before"), CHOICES)
def test_the_kernel_of_attention(width, dtype, mask, hopper, before):
    held = MASKS[mask](dtype) if mask else None
    three = [heads(width, dtype)] * 3
    assert CudaAttention().chosen(*three, held) == hopper
    assert CudaAttention(card=BEFORE_HOPPER).chosen(*three, held) == before
    assert CudaAttention("math").chosen(*three, held) == "math"
    for card in (HOPPER, BEFORE_HOPPER):
        assert CudaAttention(card=card)(*three, held).shape == three[0].shape


SUMS = [
    ((12608, 1536), [0], 138412032),
    ((12608, 384), [0], 38731776),
    ((6304, 3072), [0], 138412032),
    ((6304, 768), [0], 38928384),
    ((32, 197, 768), [0, 1], 38928384),
    ((32, 197, 768), None, 2112),
    ((32, 1000), None, 0),
    ((32, 197, 768), [1], 0),
    ((32, 1000), [0], 0),
]
"""A sum of float32: bytes of its buffer on an H200, by torch.cuda.memory._record_memory_history."""


@pytest.mark.parametrize(("shape", "dims", "count"), SUMS)
def test_the_buffer_of_a_sum(shape, dims, count):
    assert Reduction.of(torch.empty(shape, device="meta"), dims).buffer(HOPPER) == count


KERNELS = [
    ("efficient", FULL, (32, 12, 197, 64), [(19365888, 302592), (302592, 25190400)]),
    ("efficient", FULL, (32, 12, 197, 80), [(24207360, 302592), (302592, 50356224)]),
    ("efficient", FULL, (8, 6, 1374, 64), [(16883712, 263808), (263808, 17318400)]),
    ("efficient", HALF, (32, 12, 197, 64), [(302592, 25190400)]),
    ("efficient", HALF, (32, 12, 197, 72), [(302592, 50343936)]),
    ("flash", HALF, (32, 12, 197, 64), [(393216, 25165824)]),
    ("flash", HALF, (32, 12, 197, 72), [(393216, 37748736)]),
    ("cudnn", HALF, (32, 12, 197, 64), [(19668736,)]),
    ("cudnn", HALF, (8, 6, 1374, 64), [(17147776,)]),
]
"""Buffers of the backward kernel of attention on an H200, float32 and bfloat16."""


@pytest.mark.parametrize(("kernel", "dtype", "shape", "groups"), KERNELS)
def test_the_buffers_of_attentions_backward(kernel, dtype, shape, groups):
    backward = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}_attention_backward").default
    query = torch.empty(shape, dtype=dtype, device="meta")
    assert workspaces()[backward](query, query) == groups


CONVOLUTIONS = [
    ((64, 3, 224, 224), (384, 3, 16, 16), FULL, 16, 72220688),
    ((32, 3, 224, 224), (768, 3, 16, 16), HALF, 16, 38469648),
    ((16, 64, 56, 56), (128, 64, 3, 3), HALF, 2, 9781264),
    ((16, 64, 56, 56), (256, 64, 1, 1), HALF, 1, 0),
    ((16, 96, 56, 56), (96, 1, 7, 7), HALF, 1, 0),
]
"""Input, weight, dtype and stride of a convolution: cuDNN's workspace on an H200, but for its last 16 bytes."""


@pytest.mark.parametrize(("x", "weight", "dtype", "stride", "count"), CONVOLUTIONS)
def test_the_workspace_of_a_convolution(x, weight, dtype, stride, count):
    x, weight = (torch.empty(shape, dtype=dtype, device="meta") for shape in (x, weight))
    groups = x.shape[1] // weight.shape[1]
    pad = [weight.shape[2] // 2 * (weight.shape[2] < 16)] * 2
    asked = (None, [stride] * 2, pad, [1] * 2, False, [0] * 2, groups)
    sizes = workspaces()[torch.ops.aten.convolution.default](x, weight, *asked)
    assert sum(map(sum, sizes)) == max(count - 16, 0)


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
        ("cudnn", HALF, 2 * OUT + 4 * BATCH * HEADS * ROWS + 2 * 8),
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


# -- a real GPU ----------------------------------------------------------------------------------------------------

GPU = json.loads((Path(__file__).parent / "gpu.json").read_text())
"""Steps measured by tests/benchmarks/gpu_memory.py on an H200."""


def measured_runs():
    """All runs; each eighth by default, the others only in the long sweep."""
    for place, (*fields, allocated, reserved) in enumerate(GPU["runs"]):
        marks = [] if place % 8 == 0 else [pytest.mark.slow]
        yield pytest.param(GpuRun(*fields), allocated, reserved, marks=marks, id=f"{place} {fields[0]}")


@pytest.mark.parametrize(("run", "allocated", "reserved"), measured_runs())
def test_a_step_takes_what_it_takes_on_a_gpu(run, allocated, reserved):
    ours = predicted(run)
    assert ours[0] == pytest.approx(allocated, rel=0.014)
    assert ours[1] == pytest.approx(reserved, rel=0.08)


@pytest.mark.parametrize("row", GPU["largest"], ids=lambda row: f"{row[1]} {row[0]} GiB")
def test_the_largest_batch_is_the_largest_on_a_gpu(row):
    gib, *fields, count = row
    assert predicted_largest(GpuRun(*fields), gib) == pytest.approx(count, rel=0.015)


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
    assert abs(saved["flash"] - saved[None]) <= 12 * RNG  # cuDNN's has another random state
    with pytest.raises(Unmeasured, match="no flash attention"):
        Run(target, Training(2, attention="flash")).tape(2)


def test_the_reserve_counts():
    more = memory_report(small(), Training(2, reserve=3 * 2**30), None)
    less = memory_report(small(), Training(2, reserve=0), None)
    assert more.peak.bytes - less.peak.bytes == 3 * 2**30
    assert less.peak.bytes == less.reserved >= less.allocated >= 2 * HOPPER.cublas
