"""Drawn calls of every torch function that has a shape rule: good and bad arguments, in all layouts and dtypes.

A tensor is drawn as a `T`, a description, so that meta and CPU get the same one. FAMILIES says which functions take
which kind of arguments; it knows nothing of the rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch.nn import init

FLOATS = (torch.float32, torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.float64)
ANY_DTYPE = (*FLOATS, torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64)


class Subclass(torch.Tensor):
    pass


@dataclass(frozen=True)
class T:
    """A tensor to be made on a device, so that meta and CPU get the same one."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    order: tuple[int, ...] = ()
    expanded: tuple[int, ...] = ()
    sliced: bool = False
    kind: str = "tensor"

    def make(self, device: str) -> torch.Tensor:
        order = self.order or tuple(range(len(self.shape)))
        sizes = [1 if dim in self.expanded else size for dim, size in enumerate(self.shape)]
        stored = [sizes[dim] for dim in order]
        if self.sliced and stored:
            stored[-1] *= 2
        tensor = torch.ones(stored, dtype=self.dtype, device="cpu" if self.kind == "cpu" else device)
        if self.sliced and stored:
            tensor = tensor[..., ::2]
        tensor = tensor.permute([order.index(dim) for dim in range(len(order))]).expand(self.shape)
        return KINDS.get(self.kind, lambda tensor: tensor)(tensor)


KINDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "grad": lambda tensor: tensor.requires_grad_() if tensor.is_floating_point() else tensor,
    "parameter": lambda tensor: torch.nn.Parameter(tensor, requires_grad=tensor.is_floating_point()),
    "subclass": lambda tensor: tensor.as_subclass(Subclass),
    "index": lambda tensor: tensor - tensor,
    "sparse": lambda tensor: tensor.to_sparse() if tensor.device.type == "cpu" else tensor.as_subclass(Subclass),
}


class Drawer:
    """What the families below draw their arguments with."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def pick(self, *values: Any) -> Any:
        return self.data.draw(st.sampled_from(values))

    def chance(self, one_in: int) -> bool:
        return self.data.draw(st.integers(0, one_in - 1)) == one_in - 1

    def size(self) -> int:
        return self.data.draw(st.sampled_from((2, 3, 4, 6, 1, 2, 3, 4, 1, 0)))

    def dtype(self) -> torch.dtype:
        return self.pick(*FLOATS) if not self.chance(5) else self.pick(*ANY_DTYPE)

    def shape(self, low: int = 0, high: int = 4) -> tuple[int, ...]:
        return tuple(self.size() for _ in range(self.data.draw(st.integers(low, high))))

    def spoiled(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, or once in a while one that will not do."""
        if not self.chance(12):
            return tuple(shape)
        how = self.pick("size", "more", "less")
        if how == "size" and shape:
            at = self.data.draw(st.integers(0, len(shape) - 1))
            return (*shape[:at], self.size(), *shape[at + 1 :])
        return (self.size(), *shape) if how == "more" else tuple(shape[1:])

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> T:
        shape = self.spoiled(shape)
        order, expanded = tuple(range(len(shape))), ()
        layout = self.pick("dense", "dense", "permuted", "channels", "expanded", "mixed")
        if layout in ("permuted", "mixed"):
            order = tuple(self.data.draw(st.permutations(order)))
        if layout == "channels" and len(shape) > 1:
            order = (0, *order[2:], 1)
        if layout in ("expanded", "mixed") and shape:
            expanded = (self.data.draw(st.integers(0, len(shape) - 1)),)
        dtype = dtype if dtype is not None and not self.chance(15) else self.dtype()
        kind = self.pick("cpu", "grad", "parameter", "subclass", "sparse") if self.chance(8) else "tensor"
        return T(shape, dtype, order, expanded, self.chance(8), kind)

    def tensors(self, *shapes: tuple[int, ...]) -> list[T]:
        dtype = self.dtype()
        return [self.tensor(shape, dtype) for shape in shapes]

    def number(self) -> Any:
        return self.pick(1, 2, 0, 2.0, 0.5, -1, True, 1 + 0j, 2**40)

    def dim(self, rank: int) -> int:
        return self.data.draw(st.integers(-rank - 1, rank))

    def some(self, **options: tuple[Any, ...]) -> dict[str, Any]:
        """Each keyword with one of its values, or left out."""
        return {name: self.pick(*values) for name, values in options.items() if self.chance(3)}

    def small(self) -> int:
        return self.pick(1, 1, 2, 3, 4)

    def broadcastable(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        full = self.shape()

        def part() -> tuple[int, ...]:
            cut = full[self.data.draw(st.integers(0, len(full))) :] if self.chance(3) else full
            return tuple(1 if self.chance(5) else size for size in cut)

        return part(), part()


Call = tuple[list[Any], dict[str, Any]]


def binary(d: Drawer, dtype: torch.dtype | None = None) -> Call:
    a, b = (d.tensor(shape, dtype or common) for common in [d.dtype()] for shape in d.broadcastable())
    other = d.number() if d.chance(3) else b
    options = {"alpha": (1, 2)} if d.chance(10) else {"rounding_mode": ("floor", "trunc", None)} if d.chance(10) else {}
    return [a, other] if not d.chance(10) else [other, a], d.some(**options)


def unary(d: Drawer, dtype: torch.dtype | None = None) -> Call:
    return [d.tensor(d.shape(), dtype)], d.some(inplace=(True, False)) if d.chance(4) else {}


def scalars(d: Drawer) -> Call:
    return [d.tensor(d.shape()), *[d.number() for _ in range(d.pick(0, 1, 1, 2))]], d.some(inplace=(True, False))


def three(d: Drawer) -> Call:
    first, second = d.broadcastable()
    a, b, c = d.tensors(first, second, first)
    return [a, b, c], d.some(value=(1, 2.0)) if d.chance(5) else {}


def where(d: Drawer) -> Call:
    [a, b, c], _ = three(d)
    condition = T(b.shape, torch.bool, b.order, b.expanded, b.sliced, b.kind)
    return [condition, *((a, c) if d.chance(2) else (a, d.number()) if d.chance(2) else (d.number(), a))], {}


def masked_fill(d: Drawer) -> Call:
    a, b = d.broadcastable()
    return [d.tensor(a), d.tensor(b, torch.bool), d.number()], {}


def dropout(d: Drawer) -> Call:
    return [d.tensor(d.shape())], d.some(p=(0.0, 0.5, 1.0, 1.5), training=(True, False), inplace=(True, False))


def glu(d: Drawer) -> Call:
    return [d.tensor(d.shape()), *([d.dim(4)] if d.chance(2) else [])], {}


def gelu(d: Drawer) -> Call:
    return [d.tensor(d.shape())], d.some(approximate=("none", "tanh", "other"))


def linear(d: Drawer) -> Call:
    columns, rows = d.size(), d.size()
    x, weight, bias = d.tensors((*d.shape(0, 3), columns), (rows, columns), (rows,))
    return [x, weight, *([bias] if d.chance(2) else [])], {}


def matmul(d: Drawer) -> Call:
    (batch_a, batch_b), (i, j, k) = d.broadcastable(), (d.size(), d.size(), d.size())
    left = (j,) if d.chance(6) else (*batch_a[-3:], i, j)
    right = (j,) if d.chance(6) else (*batch_b[-3:], j, k)
    return list(d.tensors(left, right)), {}


def bmm(d: Drawer) -> Call:
    b, i, j, k = (d.size() for _ in range(4))
    return list(d.tensors((b, i, j), (b, j, k)) if d.chance(2) else d.tensors((i, j), (j, k))), {}


def addmm(d: Drawer) -> Call:
    b, i, j, k = (d.size() for _ in range(4))
    batch = (b,) if d.chance(2) else ()
    start = d.pick((*batch, i, k), (k,), (1, k), (i, 1), ())
    return list(d.tensors(start, (*batch, i, j), (*batch, j, k))), d.some(beta=(1, 0.5), alpha=(1, 2.0))


def einsum(d: Drawer) -> Call:
    equation = d.pick(
        "bhnd,bhmd->bhnm", "b h n m, b h m d -> b n h d", "byhwc,hkc->byhwk", "ij,jk->ik", "ij,jk->ki", "bi,bi->b",
        "bnd,d->bn", "ij,kl->ijkl", "bij,bjk->", "ii,ij->j", "bn...,bm...->bnm", "bij,bkj->bki", "ab,bc", "ij->ji",
    )  # fmt: skip
    size = {label: d.size() for label in "abcdhijklmnwy"}
    inputs = equation.replace(" ", "").replace("...", "d").split("->")[0].split(",")
    shapes = [tuple(1 if d.chance(10) else size[label] for label in labels) for labels in inputs]
    tensors = d.tensors(*shapes)
    return [equation, tensors] if d.chance(4) else [equation, *tensors], {}


def attention(d: Drawer) -> Call:
    batch, n, m, e, v = d.shape(0, 2), d.size(), d.size(), d.size(), d.size()
    tensors = d.tensors((*batch, n, e), (*batch, m, e), (*batch, m, v), d.pick((n, m), (1, m), (*batch, n, m), (m, n)))
    mask = d.pick(None, None, tensors[3], T(tensors[3].shape, torch.bool))
    options = d.some(dropout_p=(0.0, 0.5, 2.0), is_causal=(True, False), scale=(0.5, None), enable_gqa=(True, False))
    return tensors[:3], {**options, **({"attn_mask": mask} if mask else {})}


def softmax(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    return [x, d.pick(None, d.dim(4))] if d.chance(8) else [x, d.dim(len(x.shape))], d.some(
        dtype=(torch.float32, torch.float64, torch.int64)
    )


def normalised(d: Drawer) -> Call:
    shape = d.shape(1, 4)
    last = d.spoiled(shape[d.data.draw(st.integers(0, len(shape) - 1)) :])
    x, weight, bias = d.tensors(shape, last, last)
    return [x, last if d.chance(2) else list(last)], d.some(
        weight=(weight,), eps=(1e-6, 1), **({"bias": (bias,)} if d.chance(2) else {})
    )


def group_norm(d: Drawer) -> Call:
    groups, each = d.small(), d.small()
    x, weight, bias = d.tensors((d.size(), groups * each, *d.shape(0, 2)), (groups * each,), (groups * each,))
    return [x, groups], d.some(weight=(weight,), bias=(bias,), eps=(1e-6,))


def batch_norm(d: Drawer) -> Call:
    channels = d.size()
    x, *others = d.tensors((d.size(), channels, *d.shape(0, 3)), *[(channels,)] * 4)
    running = others[:2] if not d.chance(4) else [None, None]
    return [x, *running], d.some(weight=(others[2],), bias=(others[3],), training=(True, False), momentum=(0.1, 0.0))


def normalize(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    return [x], {"dim": d.dim(len(x.shape)), **d.some(p=(2, 2.0, 1.0), eps=(1e-6,))}


def reduction(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    rank = len(x.shape)
    dim = d.pick(None, (), d.dim(rank), d.dim(rank), (d.dim(rank), d.dim(rank)), [d.dim(rank)], True)
    positional = [] if d.chance(6) else [dim, *([d.pick(True, False, 1)] if d.chance(3) else [])]
    options = d.some(keepdim=(True, False)) if d.chance(2) else {}
    extra = {"dtype": (torch.float32, torch.int64, torch.bool)} if d.chance(6) else {}
    extra |= {"correction": (0, 1, None), "unbiased": (True, False)} if d.chance(6) else {}
    return [x, *positional], {**options, **d.some(**extra)}


def norm(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    rank = len(x.shape)
    dim = d.pick(None, d.dim(rank), (d.dim(rank), d.dim(rank)))
    options = d.some(p=(2, "fro", 1, "nuc"), ord=(2, 1), keepdim=(True, False), dtype=(torch.float64,))
    return [x], {"dim": dim, **options}


def cumulative(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    dims = [] if d.chance(4) else [d.dim(len(x.shape))]
    return [x, *dims], d.some(dtype=(torch.float32, torch.int64, torch.bool))


def cat(d: Drawer) -> Call:
    shape, dtype = d.shape(0, 4), d.dtype()
    dim = d.dim(len(shape))
    at = dim % (len(shape) or 1)
    several = [
        d.tensor((*shape[:at], d.size(), *shape[at + 1 :]) if shape else (), dtype) for _ in range(d.pick(1, 2, 2, 3))
    ]
    return [tuple(several) if d.chance(3) else several], {"dim": dim}


def stack(d: Drawer) -> Call:
    shape = d.shape(0, 4)
    return [d.tensors(*[shape] * d.pick(1, 2, 3))], d.some(dim=(d.dim(len(shape) + 1),))


def contiguous(d: Drawer) -> Call:
    return [d.tensor(d.shape())], d.some(memory_format=(torch.contiguous_format, torch.channels_last))


def reshape(d: Drawer) -> Call:
    x = d.tensor(d.shape(1, 5))
    target = list(d.data.draw(st.permutations(x.shape)))
    while len(target) > 1 and d.chance(2):
        at = d.data.draw(st.integers(0, len(target) - 2))
        target[at : at + 2] = [target[at] * target[at + 1]]
    if target and not d.chance(3):
        at = d.data.draw(st.integers(0, len(target) - 1))
        target[at : at + 1] = d.pick([-1], [1, target[at]], [target[at], 1], [2, target[at] // 2])
    return [x, *(target if d.chance(2) else [d.pick(tuple, list)(target)])], {}


def flatten(d: Drawer) -> Call:
    x = d.tensor(d.shape(0, 5))
    return [x, *[d.dim(len(x.shape)) for _ in range(d.pick(0, 1, 2))]], {}


def getitem(d: Drawer) -> Call:
    x = d.tensor(d.shape(1, 4))
    shape = d.shape(0, 2)
    positions = T(shape, torch.int64, kind="index")
    kinds = [positions, positions, T(shape[-1:], torch.int64, kind="index"), T(shape, torch.int32, kind="index")]
    kinds += [slice(None), slice(None), slice(1, None), slice(None, None, 2), 0, -1, None, ...]
    kinds += [T(x.shape[:1], torch.bool)]
    index = tuple(d.pick(*kinds) for _ in range(d.pick(1, 1, 2, 3, 4)))
    return [x, index[0] if len(index) == 1 else index], {}


def embedding(d: Drawer) -> Call:
    indices = T(d.shape(0, 3), d.pick(torch.int64, torch.int64, torch.int32, torch.float32))
    return [indices, d.tensor((4, d.size()))], d.some(max_norm=(None, 1.0), padding_idx=(None, 9), sparse=(False,))


def gather(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    shape = d.spoiled(tuple(min(size, 2) for size in x.shape))
    index = T(shape, d.pick(torch.int64, torch.int64, torch.float32), kind="index")
    return [x, d.dim(len(x.shape)), index], {}


def roll(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    rank = len(x.shape)
    return d.pick(
        [x, 1], [x, 1, d.dim(rank)], [x, (1, -2), (d.dim(rank), d.dim(rank))], [x, (1, 2)], [x, [1], [d.dim(rank)]]
    ), {}


def flip(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    dims = [d.dim(len(x.shape)) for _ in range(d.pick(0, 1, 1, 2))]
    return [x, *dims] if d.chance(2) else [x, tuple(dims)], {}


def repeat(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    times = [d.pick(1, 2, 3, 0, -1) for _ in range(max(len(x.shape) + d.pick(0, 0, 1, -1), 0))]
    return [x, *times] if d.chance(2) else [x, times], {}


def repeat_interleave(d: Drawer) -> Call:
    x = d.tensor(d.shape())
    return [x, d.pick(1, 2, 3, 0, -1), *([d.dim(len(x.shape))] if not d.chance(4) else [])], {}


def convolution(d: Drawer, dims: int, transposed: bool) -> Call:
    groups, each, filters = d.pick(1, 1, 2, 3), d.small(), d.small()
    space = tuple(d.pick(5, 7, 8, 2, 0) if d.chance(3) else 6 for _ in range(dims))
    kernel = tuple(d.small() for _ in range(dims))
    batch = () if d.chance(6) else (d.size(),)
    outer = (groups * each, filters) if transposed else (groups * filters, each)
    x, weight, bias = d.tensors((*batch, groups * each, *space), (*outer, *kernel), (groups * filters,))
    several: tuple[Any, ...] = (1, 2, (2,) * dims, [1] * dims, 3, 0, (1, 2))
    options = d.some(bias=(bias,), stride=several, dilation=several, padding=(*several, -1))
    if transposed:
        options |= d.some(output_padding=(0, 1))
    elif d.chance(4):
        options["padding"] = d.pick("same", "valid", "other")
    return [x, weight], {**options, "groups": d.pick(1, 2) if d.chance(10) else groups}


def pool(d: Drawer, dims: int) -> Call:
    shape = (*(d.size() for _ in range(d.pick(2, 2, 2, 1, 0))), *(d.pick(4, 5, 6, 7, 1, 0) for _ in range(dims)))
    several: tuple[Any, ...] = (1, 2, (2,) * dims, [3] * dims, 3, 0)
    size = d.pick(*several) if not d.chance(12) else None
    options = d.some(stride=several, padding=(0, 1, 1, 2), ceil_mode=(True, False)) if d.chance(2) else {}
    if d.chance(4):
        options |= d.some(dilation=(1, 2), return_indices=(True, False), count_include_pad=(True, False))
    return [d.tensor(shape), size], options


def unfold(d: Drawer) -> Call:
    shape = (d.size(), d.size(), d.pick(4, 5, 6), d.pick(4, 5, 7))
    return [d.tensor(shape), d.pick(2, 3, (2, 1), (2,))], d.some(dilation=(1, 2), padding=(0, 1), stride=(1, 2, (2, 1)))


def fold(d: Drawer) -> Call:
    length = d.pick(4, 9, 16)
    return [d.tensor((d.size(), d.small() * 4, length)), d.pick(4, (4, 4), 3), 2], d.some(
        stride=(1, 2), padding=(0, 1), dilation=(1, 2)
    )


def interpolate(d: Drawer) -> Call:
    dims = d.pick(1, 2, 2, 2, 3)
    smooth = ("linear", "bilinear", "trilinear")[dims - 1]
    x = d.tensor((d.size(), d.size(), *(d.pick(3, 4, 5) for _ in range(dims))))
    size: dict[str, Any] = d.pick(
        {"size": 7}, {"size": (5,) * dims}, {"scale_factor": 2}, {"scale_factor": (1.5,) * dims}, {"size": (4, 5)},
        {"scale_factor": 0.3}, {}, {"size": 2, "scale_factor": 2.0},
    )  # fmt: skip
    mode = d.pick("nearest", smooth, "bicubic", "bilinear", "area", "nearest-exact", "other")
    return [x], {**size, "mode": mode, **d.some(align_corners=(True, False, None), antialias=(True, False))}


def factory_options(d: Drawer) -> dict[str, Any]:
    return d.some(
        dtype=(torch.float32, torch.float16, torch.int64, torch.bool, torch.complex64, None),
        device=("meta", "cpu", torch.device("meta"), None, "meta:0"),
        requires_grad=(True, False), pin_memory=(False,), layout=(torch.strided,),
    )  # fmt: skip


def sized(d: Drawer) -> Call:
    shape = d.shape() if not d.chance(10) else (2, -1)
    args = d.pick([*shape], [list(shape)], [shape], [2.0], None)
    return (args, factory_options(d)) if args is not None else ([], {"size": shape, **factory_options(d)})


def full(d: Drawer) -> Call:
    return [d.shape() if not d.chance(8) else 3, d.number()], factory_options(d)


def arange(d: Drawer) -> Call:
    several = (0, 1, 5, -3, 10, 2.5, 7)
    return [d.pick(*several) for _ in range(d.pick(1, 2, 3))], factory_options(d)


def linspace(d: Drawer) -> Call:
    return [d.number(), d.number(), d.pick(0, 1, 5, -1, 2.0)], factory_options(d)


def eye(d: Drawer) -> Call:
    return [d.pick(0, 3, -1, 2.0) for _ in range(d.pick(1, 2))], factory_options(d)


def like(d: Drawer) -> Call:
    return [d.tensor(d.shape()), *([d.number()] if d.chance(2) else [])], factory_options(d) if d.chance(2) else {}


def new(d: Drawer) -> Call:
    shape = d.shape()
    return [d.tensor(d.shape()), *(shape if d.chance(2) else [shape])], factory_options(d) if d.chance(2) else {}


def fill(d: Drawer) -> Call:
    several = (0, 1.0, 0.5, -1, 1e9, True)
    names: dict[str, tuple[Any, ...]] = dict.fromkeys(d.pick((), ("a", "b"), ("mean", "std"), ("from", "to")), several)
    return [d.tensor(d.shape()), *[d.pick(*several) for _ in range(d.pick(0, 0, 1, 2))]], d.some(**names)


def kaiming(d: Drawer) -> Call:
    return [d.tensor(d.shape(1, 4))], d.some(
        a=(0, 5**0.5), mode=("fan_in", "fan_out", "fan"), nonlinearity=("relu", "leaky_relu", "linear", "gelu")
    )


def named(*names: str) -> list[Any]:
    """The functions of torch and the methods of Tensor with these names."""
    several = " ".join(names).split()
    functions = [getattr(torch, name) for name in several if not name.startswith("_") and hasattr(torch, name)]
    return functions + [getattr(torch.Tensor, name) for name in several if hasattr(torch.Tensor, name)]


def functional(names: str) -> list[Any]:
    return [getattr(F, name) for name in names.split()]


UNARY = """exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan tanh sigmoid erf erfinv square reciprocal floor ceil
    relu abs neg"""
BINARY = """add mul multiply sub subtract rsub maximum minimum div divide true_divide pow fmod remainder floor_divide
    __add__ __radd__ __mul__ __rmul__ __sub__ __rsub__ __truediv__ __div__ __rtruediv__ __rdiv__ __pow__ __rpow__
    __mod__ __floordiv__"""
COMPARISON = "eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__"
LOGIC = "__and__ __or__ __xor__ bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor"
BINARY_ = "add_ mul_ sub_ div_ pow_ __iadd__ __imul__ __isub__ __itruediv__ __idiv__"

FAMILIES: dict[str, tuple[list[Any], Callable[[Drawer], Call]]] = {
    "binary": (named(BINARY), binary),
    "comparison": (named(COMPARISON), binary),
    "logic": (named(LOGIC), partial(binary, dtype=torch.bool)),
    "negation": (named("__invert__ bitwise_not logical_not"), partial(unary, dtype=torch.bool)),
    "binary in place": (named(BINARY_), binary),
    "unary": (named(UNARY, "absolute negative sign __abs__ __neg__"), unary),
    "unary in place": (named(" ".join(f"{name}_" for name in UNARY.split())), unary),
    "activation": (functional("relu silu mish hardswish hardsigmoid relu6 selu sigmoid tanh logsigmoid"), unary),
    "activation with numbers": (functional("leaky_relu elu hardtanh softplus"), scalars),
    "clamp": (named("clamp clip clamp_ clip_ clamp_min clamp_max clamp_min_ clamp_max_"), scalars),
    "gelu": ([F.gelu], gelu),
    "glu": ([F.glu], glu),
    "dropout": ([F.dropout], dropout),
    "addcmul": (named("addcmul"), three),
    "where": ([torch.where], where),
    "masked_fill": (named("masked_fill masked_fill_"), masked_fill),
    "linear": ([F.linear], linear),
    "matmul": (named("matmul __matmul__ __rmatmul__"), matmul),
    "bmm": (named("bmm mm"), bmm),
    "addmm": (named("addmm baddbmm"), addmm),
    "einsum": ([torch.einsum], einsum),
    "attention": ([F.scaled_dot_product_attention], attention),
    "softmax": ([*named("softmax log_softmax"), F.softmax, F.log_softmax], softmax),
    "layer_norm": ([F.layer_norm, torch.layer_norm, F.rms_norm], normalised),
    "group_norm": ([F.group_norm], group_norm),
    "batch_norm": ([F.batch_norm], batch_norm),
    "normalize": ([F.normalize], normalize),
    "reduction": (named("mean sum amax amin var std argmax argmin"), reduction),
    "norm": ([*named("norm"), torch.linalg.vector_norm], norm),
    "cumulative": (named("cumsum argsort"), cumulative),
    "cat": (named("cat concat concatenate"), cat),
    "stack": (named("stack"), stack),
    "contiguous": (named("contiguous"), contiguous),
    "reshape": (named("reshape"), reshape),
    "flatten": (named("flatten"), flatten),
    "getitem": (named("__getitem__"), getitem),
    "embedding": ([F.embedding], embedding),
    "gather": (named("gather"), gather),
    "roll": (named("roll"), roll),
    "flip": (named("flip"), flip),
    "repeat": (named("repeat"), repeat),
    "repeat_interleave": (named("repeat_interleave"), repeat_interleave),
    **{f"conv{n}d": ([getattr(torch, f"conv{n}d")], partial(convolution, dims=n, transposed=False)) for n in (1, 2, 3)},
    **{
        f"conv_transpose{n}d": ([getattr(torch, f"conv_transpose{n}d")], partial(convolution, dims=n, transposed=True))
        for n in (1, 2, 3)
    },
    **{
        f"{kind}_pool{n}d": ([getattr(F, f"{kind}_pool{n}d")], partial(pool, dims=n))
        for n in (1, 2)
        for kind in ("max", "avg", "adaptive_avg")
    },
    "unfold": ([F.unfold], unfold),
    "fold": ([F.fold], fold),
    "interpolate": ([F.interpolate], interpolate),
    "sized": ([torch.randn, torch.rand, torch.empty, torch.zeros, torch.ones], sized),
    "full": ([torch.full], full),
    "arange": ([torch.arange], arange),
    "linspace": ([torch.linspace], linspace),
    "eye": ([torch.eye], eye),
    "like": (named("empty_like zeros_like ones_like randn_like rand_like full_like"), like),
    "new": (named("new_empty new_zeros new_ones"), new),
    "fill": ([*named("fill_ zero_ normal_ uniform_"), init.uniform_, init.normal_, init.constant_], fill),
    "kaiming": ([init.kaiming_uniform_, init.kaiming_normal_], kaiming),
}
