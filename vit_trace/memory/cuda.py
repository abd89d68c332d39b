"""Models what a GPU does otherwise than a CPU: dropout, attention, workspaces, the allocator. Read in torch's source.

Compared with training runs measured on an H200: tests/benchmarks/gpu_memory.py, docs/how-to/gpu-memory.md.

- Dropout keeps a mask of one byte an element: `is_fused_kernel_acceptable` in ATen/native/Dropout.cpp. In place it
  keeps a mask in the input's dtype, as on a CPU.
- `scaled_dot_product_attention` takes cuDNN's kernel where the card prefers it (Hopper and later), else flash, else the
  memory-efficient kernel, else plain functions ("math"): conditions in ATen/native/transformers/cuda/sdp_utils.cpp.
- cuDNN's kernel and flash keep q, k, v, their output and one float32 a row; the efficient kernel the same with rows in
  multiples of 32 (attention.cu). Their backward kernels need buffers of their own: flash_attn/flash_api.cpp,
  mem_eff_attention/kernel_backward.h; cuDNN's was measured. A mask of the efficient kernel is padded to 8 columns:
  `pad_bias` in transformers/attention.cpp.
- A sum over many rows, as of a bias' gradient, is split among blocks of threads, whose parts lie in a buffer that is
  largest where the card has many multiprocessors: `setReduceConfig` in ATen/native/cuda/Reduce.cuh.
- Softmax's backward makes gradient x output first: ATen/native/cuda/SoftMax.cu. Convolutions take copies with the
  channels last, padded; most of cuDNN's algorithms were seen to do so.
- cuBLAS has one workspace for the forward's thread and one for backward's: cuda/CublasHandlePool.cpp.
- Allocations are rounded, and cut from segments: c10/cuda/CUDACachingAllocator.cpp, without expandable segments.
- What a process takes beside them (CUDA's context, kernels that are loaded) is a reserve that the
  user states: it depends on the card, the driver and the libraries.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Card(NamedTuple):
    """What memory depends on in a card: multiprocessors, threads that each holds, bytes of a workspace of cuBLAS,
    whether attention prefers cuDNN's kernel, and bytes that a process takes beside the allocator's.
    """

    multiprocessors: int
    threads: int
    cublas: int
    cudnn: bool
    reserve: int


HOPPER = Card(132, 2048, 32 * 2**20, cudnn=True, reserve=768 * 2**20)
"""H100, H200: an empty process takes 619 MiB of an H200, one that trains 767."""
BEFORE_HOPPER = Card(82, 1536, (2 * 4096 + 8 * 16) * 1024, cudnn=False, reserve=512 * 2**20)
"""RTX 3090; an A100 has 108 multiprocessors of 2,048 threads."""

HALVES = (torch.float16, torch.bfloat16)

# -- functions ------------------------------------------------------------------------------------------------------


def drop(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """F.dropout."""
    if inplace or not training or not 0 < p < 1 or not x.numel():
        return F.dropout(x, p, training, inplace)
    return torch.native_dropout(x, p, True)[0]


class CudaAttention:
    """F.scaled_dot_product_attention by the kernel that CUDA takes, or by the one that the user asks for."""

    def __init__(self, asked: str | None = None, card: Card = HOPPER) -> None:
        self.asked, self.card = asked, card

    def __call__(self, query: Any, key: Any, value: Any, *more: Any, **about: Any) -> Tensor:
        about |= dict(zip(("attn_mask", "dropout_p", "is_causal"), more, strict=False))
        attn_mask = about.pop("attn_mask", None)
        how = (about.pop("dropout_p", 0.0), about.pop("is_causal", False))
        kernel = self.chosen(query, key, value, attn_mask, bool(about.get("enable_gqa")))
        if kernel == "math":
            return _math((query, key, value), attn_mask, how, about)
        if kernel == "flash":
            return _flash(query, key, value, how, about.get("scale"))
        fused = _cudnn if kernel == "cudnn" else _efficient
        return fused((query, key, value), _added(attn_mask, query), how, about.get("scale"))

    def chosen(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, grouped: bool = False) -> str:
        """Raises RuntimeError where the kernel that was asked for cannot take these tensors, as torch does."""
        three = (query, key, value)
        half = query.dtype in HALVES
        flash = half and mask is None and _fits_fused(three, grouped) and _heads(three, 1, 256)
        learnt = mask is not None and mask.requires_grad
        able = {
            "cudnn": self.card.cudnn and half and not learnt and _fits_fused(three, False) and _heads(three, 8, 256),
            "flash": flash,
            "efficient": _fits_fused(three, False) and _heads(three, 8 if half else 4, None),
            "math": True,
        }
        kernel = self.asked or next(name for name, can in able.items() if can)
        if not able[kernel]:
            masked = " with a mask" if mask is not None else ""
            name = str(query.dtype).removeprefix("torch.")
            raise RuntimeError(f"no {kernel} attention on CUDA for {name} heads of {query.shape[-1]}{masked}")
        return kernel


def _fits_fused(three: tuple[Tensor, ...], grouped: bool) -> bool:
    """What every fused kernel asks of query, key and value."""
    query, key, value = three
    return (
        query.dtype in (*HALVES, torch.float32)
        and all(one.ndim == 4 and one.numel() > 0 and one.dtype is query.dtype for one in three)
        and all(one.stride(-1) == 1 or one.shape[-1] == 1 for one in three)
        and all(query.shape[0] == one.shape[0] and (grouped or query.shape[1] == one.shape[1]) for one in three)
        and key.shape[2] == value.shape[2]
    )


def _heads(three: tuple[Tensor, ...], multiple: int, most: int | None) -> bool:
    """Whether the kernel takes the dimension of the heads."""
    query, key, value = (one.shape[-1] for one in three)
    if most is not None and not query == key == value <= most:
        return False
    return query == key and query % multiple == value % multiple == 0


def _added(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The mask as kernels add it."""
    if mask is None or mask.dtype is not torch.bool:
        return mask
    return torch.empty(mask.shape, dtype=query.dtype, device=mask.device)


def _cudnn(
    three: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, how: tuple[float, bool], scale: float | None
) -> Tensor:
    rows = torch.is_grad_enabled() and any(one.requires_grad for one in three)
    out: Tensor = torch.ops.aten._scaled_dot_product_cudnn_attention(*three, mask, rows, *how, scale=scale)[0]
    return out


def _flash(query: Tensor, key: Tensor, value: Tensor, how: tuple[float, bool], scale: float | None) -> Tensor:
    width = query.shape[-1]
    if width % 8:
        query, key, value = (F.pad(one, (0, 8 - width % 8)) for one in (query, key, value))
        scale = scale if scale is not None else width**-0.5
    out: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, *how, scale=scale)[0]
    return out[..., :width]


def _efficient(
    three: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, how: tuple[float, bool], scale: float | None
) -> Tensor:
    query, key, _ = three
    if mask is not None:
        columns = mask.shape[-1]
        if mask.stride(-1) != 1 or any(step % 8 for step in mask.stride()[:-1]):
            mask = F.pad(mask, (0, 8 - columns % 8))[..., :columns]
        mask = mask.expand(*query.shape[:3], key.shape[2])
    rows = torch.is_grad_enabled() and any(one.requires_grad for one in three)
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    out: Tensor = kernel(*three, mask, rows, *how, scale=scale)[0]
    return out


def _math(
    three: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, how: tuple[float, bool], about: dict[str, Any]
) -> Tensor:
    """torch's plain functions; with dropout written out, since on meta torch would drop as on a CPU."""
    dropout, causal = how
    if not dropout:
        return F.scaled_dot_product_attention(*three, mask, 0.0, causal, **about)
    if about.pop("enable_gqa", False):
        times = three[0].shape[1] // three[1].shape[1]
        three = (three[0], three[1].repeat_interleave(times, 1), three[2].repeat_interleave(times, 1))
    scale = about.get("scale") or three[0].shape[-1] ** -0.5
    wide = torch.float32 if three[0].dtype in HALVES else three[0].dtype
    query, key, value = (one.to(wide) for one in three)
    scores = (query * scale**0.5) @ (key.transpose(-2, -1) * scale**0.5)
    if causal:
        mask = torch.empty(scores.shape[-2:], dtype=wide, device=scores.device)
    if mask is not None:
        scores = scores + (mask if mask.dtype is not torch.bool else torch.empty_like(mask, dtype=wide))
    return (drop(scores.softmax(-1), dropout) @ value).to(three[0].dtype)


# -- kernels --------------------------------------------------------------------------------------------------------


def _ceil(size: int, step: int) -> int:
    return -(-size // step) * step


Buffers = list[tuple[int, ...]]
"""Bytes of buffers that are there together, one group after the other."""


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _flash_backward(grad: Tensor, query: Tensor, *rest: Any) -> Buffers:
    """One float32 a row, and a float32 gradient of the query; rows in multiples of 128."""
    batch, heads, rows, width = query.shape
    each = 4 * batch * heads * _ceil(rows, 128)
    return [(each, each * _ceil(width, 32 if width <= 128 else 64))]


def _cudnn_backward(grad: Tensor, query: Tensor, *rest: Any) -> Buffers:
    """A float32 gradient of the query, and one float32 a row."""
    batch, heads, rows, width = query.shape
    return [(4 * batch * heads * rows * (width + 1) + 256,)]


def _efficient_backward(grad: Tensor, query: Tensor, *rest: Any) -> Buffers:
    """One float32 a row, of a float32 product with the output, and a float32 gradient of the query."""
    batch, heads, rows, width = query.shape
    half = query.dtype in HALVES
    block = 128 if half and width > 64 else 64
    gradient = _ceil(rows, 64) * _ceil(width, 64) + 4 * -(-rows // block)
    each = 4 * batch * heads
    product = [] if half else [(_bytes(query), each * rows)]
    return [*product, (each * rows, each * gradient)]


def _softmax_backward(grad: Tensor, *rest: Any) -> Buffers:
    """Gradient x output."""
    return [(_bytes(grad),)]


def _rolled(x: Tensor, shifts: Any, dims: Sequence[int] = ()) -> Buffers:
    """The tensor rolled along the dims before the last one."""
    return [(_bytes(x),)] * (len(dims) - 1)


def _convolved(x: Tensor, weight: Tensor, *rest: Any) -> Buffers:
    """Input, weight and output with the channels last, in multiples of 16 bytes; none for 1x1 and in groups."""
    if prod(weight.shape[2:]) == 1 or x.shape[1] != weight.shape[1]:
        return []
    stride, padding, dilation = (list(one) for one in rest[1:4])
    sides = zip(x.shape[2:], weight.shape[2:], stride * 3, padding * 3, dilation * 3, strict=False)
    outer = [(side + 2 * pad - gap * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, gap in sides]
    shapes = (x.shape, weight.shape, (x.shape[0], weight.shape[0], *outer))
    channels = 16 // x.element_size()
    padded = ((shape[0], _ceil(shape[1], channels), *shape[2:]) for shape in shapes)
    return [(sum(map(prod, padded)) * x.element_size(),)]


def _convolved_backward(grad: Tensor, x: Tensor, weight: Tensor, sizes: Any, *rest: Any) -> Buffers:
    """The same, for the gradient of the input and for that of the weight."""
    wanted: int = sum(rest[-1][:2])
    return _convolved(x, weight, None, *rest) * wanted


class Reduction(NamedTuple):
    """A reduction as TensorIterator lays it out: (size, stride) of reduced dims and of kept ones, innermost first."""

    reduced: list[tuple[int, int]]
    kept: list[tuple[int, int]]

    @classmethod
    def of(cls, x: Tensor, dims: Sequence[int] | None) -> "Reduction":
        over = {dim % x.ndim for dim in dims or range(x.ndim)} if x.ndim else set()
        sizes = list(zip(range(x.ndim), x.shape, x.stride(), strict=True))
        reduced = [(size, stride) for dim, size, stride in sizes if dim in over and size > 1]
        kept = [(size, stride) for dim, size, stride in sizes if dim not in over and size > 1]
        return cls(_joined(reduced), _joined(kept))

    def buffer(self, card: Card) -> int:
        """Bytes of the partial sums that blocks of threads leave for each other: `setReduceConfig` in Reduce.cuh."""
        inputs, outputs = (prod(size for size, _ in dims) for dims in self)
        if inputs == 1 or not outputs:
            return 0
        inner = not self.kept or self.reduced[0][1] < self.kept[0][1]
        across, along, vector = (inputs, outputs, 1) if inner else (outputs, inputs, self.vector())
        if inner and self.reduced[0][1] == 1 and inputs > 128 and len(self.reduced) == 1 and not self.kept:
            across //= 4
        across //= vector
        width, height = _block(across, along, 512 // vector)
        values = -(-inputs // width) if inner else inputs
        columns = outputs // vector if inner else -(-(outputs // vector) // width)
        if values < 16 * height and values < 256:
            return 0
        values = -(-values // height)
        blocks = card.multiprocessors * (card.threads // (width * height))
        if values < 256 or columns > blocks:
            return 0
        split = max(min(-(-blocks // columns), -(-values // 16)), -(-values // 256))
        return 4 * outputs * split * (1 if inner else width * vector) if split > 1 else 0

    def vector(self) -> int:
        """Outputs that a thread reads at once."""
        if self.kept[0][1] != 1:
            return 1
        others = [stride for _, stride in (*self.reduced, *self.kept[1:])]
        return next(many for many in (4, 2, 1) if all(one % many == 0 for one in (self.kept[0][0], *others)))


def _joined(dims: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Dims by stride, those that lie beside each other in memory as one."""
    found: list[tuple[int, int]] = []
    for size, stride in sorted(dims, key=lambda one: one[1]):
        if found and found[-1][0] * found[-1][1] == stride:
            found[-1] = (found[-1][0] * size, found[-1][1])
        else:
            found.append((size, stride))
    return found


def _block(across: int, along: int, most: int) -> tuple[int, int]:
    """Width and height of a block of threads."""
    wide, high = (min(most, 1 << max(size, 1).bit_length() - 1) for size in (across, along))
    height = min(high, most // min(wide, 32))
    return min(wide, most // height), height


def workspaces(card: Card = HOPPER) -> dict[Any, Callable[..., Buffers]]:
    """What a kernel takes only while it runs, by kernel."""
    aten: Any = torch.ops.aten

    def reduced(x: Tensor, dims: Sequence[int] | None = None, *rest: Any, **more: Any) -> Buffers:
        return [(Reduction.of(x, dims).buffer(card),)]

    return {
        aten._scaled_dot_product_cudnn_attention_backward.default: _cudnn_backward,
        aten._scaled_dot_product_flash_attention_backward.default: _flash_backward,
        aten._scaled_dot_product_efficient_attention_backward.default: _efficient_backward,
        aten._softmax_backward_data.default: _softmax_backward,
        aten.convolution.default: _convolved,
        aten.convolution_backward.default: _convolved_backward,
        aten.roll.default: _rolled,
        **dict.fromkeys((aten.sum.default, aten.sum.dim_IntList, aten.mean.dim), reduced),
    }


# -- the allocator --------------------------------------------------------------------------------------------------

ROUND, SMALL, SMALL_SEGMENT = 512, 2**20, 2 * 2**20
LARGE_SEGMENT, LEAST_LARGE, ROUND_LARGE = 20 * 2**20, 10 * 2**20, 2 * 2**20


class OutOfMemory(Exception):
    """No segment for a request, although every segment that is free was given back."""


class Reached(NamedTuple):
    """The most that was allocated (torch.cuda.max_memory_allocated) and reserved (max_memory_reserved)."""

    allocated: int
    reserved: int


class _Block:
    """A part of a segment; `before` and `after` are its neighbours there."""

    __slots__ = ("address", "after", "before", "free", "size")

    def __init__(self, address: int, size: int) -> None:
        self.address, self.size, self.free = address, size, False
        self.before: _Block | None = None
        self.after: _Block | None = None


class Allocator:
    """torch's caching allocator, best fit on one stream.

    Args:
        limit: bytes that all segments may take.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.pools: tuple[list[tuple[int, int, _Block]], ...] = ([], [])
        self.allocated = self.reserved = self.addresses = 0
        self.reached = Reached(0, 0)

    def take(self, size: int) -> _Block | None:
        """The block for a request. Raises OutOfMemory."""
        if size <= 0:  # an empty tensor has no block
            return None
        size = _ceil(size, ROUND)
        small = size <= SMALL
        pool = self.pools[small]
        at = bisect_left(pool, (size,))
        block = pool.pop(at)[2] if at < len(pool) else self.segment(size)
        block.free = False
        left = block.size - size
        if left >= ROUND if small else left > SMALL:
            rest = _Block(block.address + size, left)
            rest.before, rest.after = block, block.after
            if block.after is not None:
                block.after.before = rest
            block.after, block.size, rest.free = rest, size, True
            insort(pool, (left, rest.address, rest))
        self.allocated += block.size
        if self.allocated > self.reached.allocated:
            self.reached = self.reached._replace(allocated=self.allocated)
        return block

    def segment(self, size: int) -> _Block:
        """A new segment that holds `size`, as one block. Raises OutOfMemory."""
        large = LARGE_SEGMENT if size < LEAST_LARGE else _ceil(size, ROUND_LARGE)
        whole = SMALL_SEGMENT if size <= SMALL else large
        if self.limit is not None and self.reserved + whole > self.limit:
            self.give_back()
            if self.reserved + whole > self.limit:
                raise OutOfMemory
        self.reserved += whole
        if self.reserved > self.reached.reserved:
            self.reached = self.reached._replace(reserved=self.reserved)
        self.addresses += whole
        return _Block(self.addresses - whole, whole)

    def give_back(self) -> None:
        """Free the segments that hold nothing."""
        for pool in self.pools:
            kept = [one for one in pool if one[2].before is not None or one[2].after is not None]
            self.reserved -= sum(one[0] for one in pool) - sum(one[0] for one in kept)
            pool[:] = kept

    def free(self, block: _Block | None, small: bool) -> None:
        """Free a block, joined with what is free beside it."""
        if block is None:
            return
        self.allocated -= block.size
        pool = self.pools[small]
        for other, first in ((block.before, True), (block.after, False)):
            if other is None or not other.free:
                continue
            del pool[bisect_left(pool, (other.size, other.address))]
            if first:
                block.address, block.before = other.address, other.before
                if other.before is not None:
                    other.before.after = block
            else:
                block.after = other.after
                if other.after is not None:
                    other.after.before = block
            block.size += other.size
        block.free = True
        insort(pool, (block.size, block.address, block))


def allocate(
    events: Sequence[int], sizes: Sequence[int], mark: int, limit: int | None = None
) -> tuple[Reached, Reached] | None:
    """What the events of a tape reach in the allocator, up to a mark and all; None where the limit is not kept to.

    Args:
        events: n where storage n is made, ~n where it is dropped.
        sizes: bytes by storage.
    """
    allocator = Allocator(limit)
    held: dict[int, _Block | None] = {}
    marked = allocator.reached
    try:
        for place, event in enumerate(events):
            if place == mark:
                marked = allocator.reached
            if event >= 0:
                held[event] = allocator.take(sizes[event])
            else:
                allocator.free(held.pop(~event), sizes[~event] <= SMALL)
    except OutOfMemory:
        return None
    return marked, allocator.reached
