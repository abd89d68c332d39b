"""Single calls of torch functions with random arguments: `STEPS` maps a step's name to (function, draws arguments)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from helpers.draws import Draw, Drawn
from helpers.odd_steps import MORE_STEPS


def _x(d: Draw) -> tuple[Any, ...]:
    return (d.tensor(),)


def _two(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    first = d.tensor(shape)
    return first, (d.tensor(d.alike(shape)) if d.chance(0.8) else d.pick(2, 0.5, True))


def _x_dim(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.dim(len(x.shape))


def _two_dims(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.dim(len(x.shape)), d.dim(len(x.shape))


def _matmul(d: Draw) -> tuple[Any, ...]:
    a, b, c = d.shape(3, 3)
    kind = d.random.randrange(5)
    shapes = [((a, b), (b, c)), ((2, a, b), (2, b, c)), ((2, a, b), (b, c)), ((b,), (b, c)), ((a, b), (b,))][kind]
    return d.tensor(shapes[0]), d.tensor(shapes[1])


def _conv(dims: int, transposed: bool = False) -> Callable[[Draw], tuple[Any, ...]]:
    def draw(d: Draw) -> tuple[Any, ...]:
        groups = d.pick(1, 1, 2)
        inward, outward = groups * d.pick(1, 2, 3), groups * d.pick(1, 2, 3)
        space = tuple(d.pick(4, 5, 6, 3) for _ in range(dims))
        kernel = tuple(d.pick(1, 2, 3) for _ in range(dims))
        x = d.tensor((*((2,) if d.chance(0.8) else ()), inward, *space))
        filters = (inward, outward // groups, *kernel) if transposed else (outward, inward // groups, *kernel)
        bias = d.tensor((outward,)) if d.chance(0.6) else None
        more = (d.pick(1, 2), d.pick(0, 1), *((d.pick(0, 1),) if transposed else ()))
        return (x, d.tensor(filters), bias, *more, *((groups,) if transposed else (1, groups)))

    return draw


def _pool(dims: int) -> Callable[[Draw], tuple[Any, ...]]:
    def draw(d: Draw) -> tuple[Any, ...]:
        space = tuple(d.pick(2, 4, 5, 6) for _ in range(dims))
        return d.tensor((*((2,) if d.chance(0.8) else ()), 3, *space)), d.pick(1, 2, 3)

    return draw


def _norm(d: Draw) -> tuple[Any, ...]:
    shape = d.shape(1, 4)
    last = shape[-d.random.randint(1, len(shape)) :]
    return d.tensor(shape), last, d.tensor(last) if d.chance(0.7) else None, d.tensor(last) if d.chance(0.6) else None


def _batch_norm(d: Draw) -> tuple[Any, ...]:
    shape = (2, *d.shape(1, 3))
    four = [d.tensor(shape[1:2]) for _ in range(4)]
    return (d.tensor(shape), *four) if d.chance(0.7) else (d.tensor(shape), *four[:2])


def _group_norm(d: Draw) -> tuple[Any, ...]:
    groups = d.pick(1, 2, 3)
    channels = groups * d.pick(1, 2)
    x = d.tensor((2, channels, *d.shape(0, 2)))
    return (x, groups, d.tensor((channels,)), d.tensor((channels,))) if d.chance(0.7) else (x, groups)


def _linear(d: Draw) -> tuple[Any, ...]:
    inward, outward = d.pick(1, 2, 3, 4), d.pick(1, 2, 3)
    x = d.tensor((*d.shape(0, 3), inward))
    return x, d.tensor((outward, inward)), d.tensor((outward,)) if d.chance(0.6) else None


def _embedding(d: Draw) -> tuple[Any, ...]:
    return d.index(d.shape(1, 3)), d.tensor(d.shape(2, 2))


def _attention(d: Draw) -> tuple[Any, ...]:
    b, n, m, e = (d.pick(1, 2, 3, 4) for _ in range(4))
    heads = (2,) if d.chance(0.8) else ()
    mask = d.tensor((n, m), d.pick(torch.bool, d.common)) if d.chance(0.4) else None
    return d.tensor((b, *heads, n, e)), d.tensor((b, *heads, m, e)), d.tensor((b, *heads, m, e)), mask


def _indexed(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    dim = d.dim(len(shape))
    return d.tensor(shape), dim, d.index(d.shape(1, 1))


def _gathered(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return d.tensor(shape), d.dim(len(shape)), d.index(shape)


def _scattered(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return d.tensor(shape), d.dim(len(shape)), d.index(shape), d.tensor(shape)


def _index_added(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    dim = d.random.randrange(len(shape))
    return d.tensor(shape), dim, d.index((shape[dim],)), d.tensor(shape)


def _masked(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return d.tensor(shape), d.tensor(d.alike(shape), torch.bool if d.chance(0.8) else None), d.pick(0, 0.5, True)


def _chosen(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return d.tensor(shape, torch.bool if d.chance(0.8) else None), d.tensor(d.alike(shape)), d.tensor(d.alike(shape))


def _several(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return [d.tensor(shape) for _ in range(d.pick(1, 2, 3))], d.dim(len(shape))


def _viewed(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    total = torch.Size(shape).numel()
    return d.tensor(shape), d.pick((total,), (-1, shape[-1]), (shape[0], -1), (*shape, 1), (2, -1), (3, total // 3))


def _order(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    order = list(range(len(x.shape)))
    d.random.shuffle(order)
    return x, tuple(order) if d.chance(0.9) else tuple(order[1:])


def _parts(d: Draw) -> tuple[Any, ...]:
    x, dim = _x_dim(d)
    return x, d.pick(1, 2, 3), dim


def _three(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return d.tensor(shape), d.tensor(d.alike(shape)), d.tensor(d.alike(shape))


def _added_product(d: Draw) -> tuple[Any, ...]:
    a, b, c = d.shape(3, 3)
    return d.tensor(d.alike((a, c))), d.tensor((a, b)), d.tensor((b, c))


def _batch_product(d: Draw) -> tuple[Any, ...]:
    a, b, c = d.shape(3, 3)
    return d.tensor((2, a, b)), d.tensor((2, b, c))


def _topk(d: Draw) -> tuple[Any, ...]:
    x, dim = _x_dim(d)
    return x, d.pick(1, 1, 2, 3), dim


def _padded(d: Draw) -> tuple[Any, ...]:
    x = d.tensor(d.shape(2, 4))
    return x, tuple(d.pick(0, 1, 2) for _ in range(d.pick(2, 2, 4))), d.pick("constant", "reflect", "replicate")


def _resized(d: Draw) -> tuple[Any, ...]:
    x = d.tensor((2, 3, *d.shape(1, 3)))
    return x, d.pick(4, 3), None, d.pick("nearest", "linear", "bilinear", "bicubic", "area")


def _vectors(d: Draw) -> tuple[Any, ...]:
    size = d.pick(2, 3, 4)
    return d.tensor((size,)), d.tensor((size,))


def _losses(d: Draw) -> tuple[Any, ...]:
    n, c = d.pick(2, 3), d.pick(2, 3)
    return d.tensor((n, c)), d.index((n,))


def _square(d: Draw) -> tuple[Any, ...]:
    return (d.tensor((*d.shape(0, 1), 3, 3)),)


def _subscript(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    parts = tuple(
        d.pick(0, slice(1, None), None, Drawn((2,), d.pick(torch.int64, torch.int64, d.common), whole=0), -1, 5)
        for _ in range(d.random.randint(1, 3))
    )
    return x, parts if len(parts) > 1 else parts[0]


def _einsum(d: Draw) -> tuple[Any, ...]:
    a, b, c = d.shape(3, 3)
    return d.pick("ij,jk->ik", "ij,kj->ik", "ij,jk->ijk"), d.tensor((a, b)), d.tensor((b, c))


def _gate(d: Draw) -> tuple[Any, ...]:
    x = d.tensor((*d.shape(0, 3), d.pick(2, 4, 4, 3)))
    return x, d.pick(-1, -1, 0, 3)


def _shuffled(d: Draw) -> tuple[Any, ...]:
    return d.tensor((2, d.pick(4, 8, 3), 4, 4)), 2


def _layer(make: Callable[[], nn.Module], *shape: int) -> tuple[Callable[..., Any], Callable[[Draw], tuple[Any, ...]]]:
    """A layer of float32 that is made on the device of what it is given."""

    def call(x: torch.Tensor) -> Any:
        with torch.device(x.device):
            return make().eval()(x)

    return call, lambda d: (d.tensor((2, *shape)),)


_ON_TENSORS = {
    _x: "abs exp log sqrt rsqrt sigmoid tanh sin cos neg sign floor ceil round isnan isfinite erf reciprocal square"
    " log1p expm1 bitwise_not logical_not relu t_ clone sum mean amax std var prod any all argmax max min median norm"
    " flatten nan_to_num frac trunc digamma lgamma logit log2 acos atan sinh sinc cumsum_ erfinv exp2 flip_"
    " fliplr flipud tril triu isinf aminmax angle positive exp_ sqrt_ sigmoid_ relu_ neg_ abs_ float half double"
    " long bool count_nonzero",
    _two: "add sub mul div pow remainder fmod floor_divide maximum minimum atan2 eq lt ge logical_and logical_or"
    " bitwise_and bitwise_or add_ mul_ sub_ div_ pow_ hypot copysign fmax heaviside __iadd__ __imul__ __itruediv__"
    " __radd__ __rsub__ isclose true_divide ne logaddexp xlogy nextafter expand_as copy_ __and__ __or__ __floordiv__"
    " __mod__ gcd ldexp outer dot kron",
    _x_dim: "softmax log_softmax sort argsort cumsum cumprod argmax sum mean amax amin logsumexp var std median mode"
    " unbind unsqueeze squeeze flip all any prod max min cummax cummin kthvalue logcumsumexp nansum nanmean diff"
    " softmax_ chunk roll aminmax argmin select size count_nonzero unique_consecutive",
    _two_dims: "transpose select narrow flatten swapaxes movedim diagonal transpose_ unfold",
    _matmul: "matmul mm mv bmm __matmul__ inner",
    _indexed: "index_select index_fill",
    _gathered: "gather take_along_dim",
    _scattered: "scatter scatter_add scatter_",
    _index_added: "index_add index_copy index_add_",
    _masked: "masked_fill masked_fill_",
    _viewed: "view reshape expand repeat tile",
    _order: "permute",
    _parts: "chunk split tensor_split repeat_interleave",
    _three: "addcmul addcdiv lerp clamp",
    _topk: "topk kthvalue",
    _added_product: "addmm addmm_",
    _batch_product: "bmm",
    _vectors: "dot outer inner cross",
    _square: "det logdet matrix_exp tril triu trace diag_embed",
    _subscript: "__getitem__",
}
_ON_FUNCTIONS: dict[Callable[[Draw], tuple[Any, ...]], str] = {
    _x: "gelu silu elu selu leaky_relu hardtanh hardswish hardsigmoid mish softplus logsigmoid softsign tanhshrink"
    " relu6 celu hardshrink softshrink threshold_ dropout alpha_dropout rrelu",
    _x_dim: "softmax log_softmax softmin normalize_ gumbel_softmax_",
    _norm: "layer_norm rms_norm_",
    _batch_norm: "batch_norm instance_norm",
    _group_norm: "group_norm",
    _linear: "linear",
    _embedding: "embedding",
    _attention: "scaled_dot_product_attention",
    _padded: "pad",
    _resized: "interpolate",
    _losses: "cross_entropy nll_loss",
    _two: "mse_loss l1_loss smooth_l1_loss huber_loss cosine_similarity prelu pairwise_distance kl_div",
    _gate: "glu",
    _shuffled: "pixel_shuffle pixel_unshuffle channel_shuffle",
    _pool(1): "max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d lp_pool1d",
    _pool(2): "max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d unfold lp_pool2d",
    _pool(3): "max_pool3d avg_pool3d adaptive_avg_pool3d",
    **{_conv(dims): f"conv{dims}d" for dims in (1, 2, 3)},
    **{_conv(dims, True): f"conv_transpose{dims}d" for dims in (1, 2, 3)},
}
_LAYERS = {
    "Linear": _layer(lambda: nn.Linear(4, 3), 5, 4),
    "Linear without bias": _layer(lambda: nn.Linear(4, 3, bias=False), 5, 4),
    "LayerNorm": _layer(lambda: nn.LayerNorm(4), 5, 4),
    "BatchNorm1d": _layer(lambda: nn.BatchNorm1d(5), 5, 4),
    "BatchNorm2d": _layer(lambda: nn.BatchNorm2d(3), 3, 4, 4),
    "GroupNorm": _layer(lambda: nn.GroupNorm(2, 4), 4, 3, 3),
    "InstanceNorm2d": _layer(lambda: nn.InstanceNorm2d(3, affine=True), 3, 4, 4),
    "RMSNorm": _layer(lambda: nn.RMSNorm(4), 5, 4),
    "Conv2d": _layer(lambda: nn.Conv2d(3, 6, 2, stride=2), 3, 4, 4),
    "ConvTranspose2d": _layer(lambda: nn.ConvTranspose2d(3, 6, 2, stride=2), 3, 4, 4),
    "Embedding": _layer(lambda: nn.Embedding(5, 3), 4),
    "PReLU": _layer(lambda: nn.PReLU(3), 3, 4),
    "LSTM": _layer(lambda: nn.LSTM(4, 3), 5, 4),
    "GRU": _layer(lambda: nn.GRU(4, 3, batch_first=True), 5, 4),
    "Bilinear": _layer(lambda: _Twice(nn.Bilinear(4, 4, 2)), 4),
    "TransformerEncoderLayer": _layer(lambda: nn.TransformerEncoderLayer(4, 2, 8), 5, 4),
    "Softmax2d": _layer(nn.Softmax2d, 3, 4, 4),
}


class _Twice(nn.Module):
    """A layer of two inputs that gets the same one twice."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x, x)


_LAYERS["MultiheadAttention"] = (
    lambda x: _attended(x),
    lambda d: (d.tensor((2, 3, 4)),),
)


def _attended(x: torch.Tensor) -> Any:
    with torch.device(x.device):
        return nn.MultiheadAttention(4, 2, batch_first=True).eval()(x, x, x)[0]


def _steps() -> dict[str, tuple[Callable[..., Any], Callable[[Draw], tuple[Any, ...]]]]:
    found: dict[str, tuple[Callable[..., Any], Callable[[Draw], tuple[Any, ...]]]] = {}
    for owner, listed in ((torch.Tensor, _ON_TENSORS), (F, _ON_FUNCTIONS)):
        for draw, names in listed.items():
            for name in names.split():
                if hasattr(owner, name):
                    found[f"{owner.__name__}.{name} {draw.__name__}"] = (getattr(owner, name), draw)
    found["cat"], found["stack"] = (torch.cat, _several), (torch.stack, _several)
    found["where"], found["einsum"] = (torch.where, _chosen), (torch.einsum, _einsum)
    return found | _LAYERS | MORE_STEPS


STEPS = _steps()
NAMES = tuple(STEPS)


def step(seed: int) -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """(the name, the function, the arguments) of one call."""
    draw = Draw(seed)
    name = NAMES[seed % len(NAMES)]
    function, arguments = STEPS[name]
    return name, function, arguments(draw)
