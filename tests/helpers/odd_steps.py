"""Single calls with options: windows, reductions of several axes, indices, losses, products, spectra, empty sizes.

`MORE_STEPS` maps the name of a step to (function, what draws its arguments), as `single_steps.STEPS` does.
"""

from collections.abc import Callable
from typing import Any

import einops
import torch
import torch.nn.functional as F
from torch import nn

from helpers.draws import Draw, Drawn

Drawing = Callable[[Draw], tuple[Any, ...]]


def _dims(d: Draw, rank: int) -> Any:
    several = [d.dim(rank) for _ in range(d.pick(0, 1, 2, 2))]
    return d.pick(d.dim(rank), tuple(several), several, None)


def _reduced(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, _dims(d, len(x.shape)), d.pick(True, False)


def _reduced_one(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.dim(len(x.shape)), d.pick(True, False)


def _accumulated(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.dim(len(x.shape)), d.dtype()


def _window(d: Draw, dims: int) -> tuple[Drawn, Any]:
    space = tuple(d.pick(2, 3, 4, 6, 0 if d.chance(0.1) else 5) for _ in range(dims))
    x = d.tensor((*((2,) if d.chance(0.7) else ()), d.pick(2, 4), *space))
    kernel = d.pick(1, 2, 3, tuple(d.pick(1, 2, 3) for _ in range(dims)))
    return x, kernel


def _pooled(dims: int) -> Drawing:
    def draw(d: Draw) -> tuple[Any, ...]:
        x, kernel = _window(d, dims)
        return x, kernel, d.pick(None, 1, 2), d.pick(0, 0, 1), d.pick(True, False)

    return draw


def _max_pooled(dims: int) -> Drawing:
    def draw(d: Draw) -> tuple[Any, ...]:
        x, kernel = _window(d, dims)
        return x, kernel, d.pick(None, 1, 2), d.pick(0, 0, 1), d.pick(1, 1, 2), d.pick(True, False), d.pick(True, False)

    return draw


def _adaptive(dims: int) -> Drawing:
    def draw(d: Draw) -> tuple[Any, ...]:
        x, _ = _window(d, dims)
        return x, d.pick(1, 2, tuple(d.pick(1, 2, None) for _ in range(dims)), (2,), (1, 2))

    return draw


def _convolved(dims: int) -> Drawing:
    def draw(d: Draw) -> tuple[Any, ...]:
        x, _ = _window(d, dims)
        channels = x.shape[-dims - 1] if len(x.shape) > dims else 2
        groups = d.pick(1, 1, 2, channels, 3)
        kernel = tuple(d.pick(1, 2, 3) for _ in range(dims))
        weight = d.tensor((groups * d.pick(1, 2), max(channels // groups, 1), *kernel))
        bias = d.tensor((weight.shape[0],)) if d.chance(0.5) else None
        padding = d.pick("same", "valid", 0, 1, 2, (1,) * dims, (1, 0), "sames")
        return x, weight, bias, d.pick(1, 1, 2, (2,) * dims, 0), padding, d.pick(1, 1, 2, (1,) * dims), groups

    return draw


def _unfolded(d: Draw) -> tuple[Any, ...]:
    x, kernel = _window(d, 2)
    return x, kernel, d.pick(1, 1, 2), d.pick(0, 1), d.pick(1, 2)


def _folded(d: Draw) -> tuple[Any, ...]:
    kernel, stride = d.pick(2, (2, 2), (1, 2)), d.pick(1, 2)
    x = d.tensor((*((2,) if d.chance(0.7) else ()), d.pick(4, 8, 2, 3), d.pick(4, 9, 6)))
    return x, d.pick(4, (4, 4), 6), kernel, 1, d.pick(0, 1), stride


def _resized(d: Draw) -> tuple[Any, ...]:
    x = d.tensor((2, d.pick(3, 1), *d.shape(1, 3)))
    space = len(x.shape) - 2
    mode = d.pick("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact", "cubic")
    size, factor = d.pick((None, 2), (None, 0.5), (None, 1.5), ((3,) * space, None), (None, (2,) * space), (0, None))
    return x, size, factor, mode, d.pick(None, None, True, False), d.pick(None, None, True), d.pick(False, False, True)


def _padded(d: Draw) -> tuple[Any, ...]:
    x = d.tensor(d.shape(1, 4))
    pad = [d.pick(0, 1, 2, -1) for _ in range(d.pick(1, 2, 4, 6))]
    return x, pad, d.pick("constant", "reflect", "replicate", "circular"), d.pick(None, 0.5, 2)


def _subscripts(d: Draw) -> Any:
    index = Drawn(d.pick((2,), (1, 2), ()), d.pick(torch.int64, torch.int32, torch.bool, d.common), whole=0)
    parts = tuple(
        d.pick(0, -1, ..., None, slice(None, None, 2), slice(1, 9), slice(None, -1), index, True, [0, 0], 7)
        for _ in range(d.pick(1, 2, 3))
    )
    return parts if len(parts) > 1 else parts[0]


def _got(d: Draw) -> tuple[Any, ...]:
    return d.tensor(), _subscripts(d)


def _set(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, _subscripts(d), d.pick(0, 0.5, d.tensor(x.shape[1:]), d.tensor(()), d.tensor(x.shape))


def _put(x: torch.Tensor, at: Any, value: Any) -> torch.Tensor:
    x[at] = value
    return x


def _put_indexed(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, (d.index((2,)),), d.tensor(d.pick((2, *x.shape[1:]), (), x.shape[1:])), d.pick(True, False)


def _scattered(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    smaller = tuple(d.random.randint(0 if d.chance(0.1) else 1, max(size, 1)) for size in shape)
    index = d.index(smaller if d.chance(0.8) else d.alike(shape))
    return d.tensor(shape), d.dim(len(shape)), index, d.pick(d.tensor(shape), d.tensor(smaller), 1, 0.5)


def _scatter_reduced(d: Draw) -> tuple[Any, ...]:
    return *_scattered(d)[:3], d.tensor(d.shape()), d.pick("sum", "mean", "amax", "prod", "add")


def _gathered(d: Draw) -> tuple[Any, ...]:
    return _scattered(d)[:3]


def _embedded(d: Draw) -> tuple[Any, ...]:
    return d.index(d.shape(0, 3)), d.tensor(d.shape(1, 3)), d.pick(None, 0, -1, 9)


def _bagged(d: Draw) -> tuple[Any, ...]:
    return d.index(d.shape(1, 3)), d.tensor(d.shape(2, 2)), None if d.chance(0.7) else Drawn((2,), torch.int64, whole=0)


def _attention(d: Draw) -> tuple[Any, ...]:
    b, n, m, e, h = (d.pick(1, 2, 3, 4) for _ in range(5))
    kv = d.pick(h, h, 1, 2)
    mask = d.tensor(
        d.pick((n, m), (b, 1, n, m), (b, h, n, m), (m,), (n, 1)), d.pick(torch.bool, d.common, torch.float32)
    )
    q, k = d.tensor((b, h, n, e)), d.tensor((b, kv, m, e))
    v = d.tensor((b, kv, m, d.pick(e, e, 2)))
    return q, k, v, d.pick(None, mask), 0.0, d.pick(False, False, True), None, d.pick(False, True)


EQUATIONS = (
    *(
        "bhid,bhjd->bhij",
        "bij,bjd->bid",
        "bij->bji",
        "bii->bi",
        "bij->b",
        "...i,...i->...",
        "bij,jk",
        "b...d,de->b...e",
    ),
    *("b...d,de->b...e", "bij,bjk,bkl->bil", "bi,bj->bij", "bij,bij->", "bij,bkj->bik", "bij,ij->bx", "bij,j"),
)


def _einsum(d: Draw) -> tuple[Any, ...]:
    equation = d.pick(*EQUATIONS)
    sizes = {label: d.pick(1, 2, 3, 4) for label in "bhidjkle"}
    terms = equation.split("->")[0].split(",")
    dots = d.shape(0, 2)
    shapes = [
        tuple(size for label in term.replace("...", ".") for size in (dots if label == "." else (sizes[label],)))
        for term in terms
    ]
    return (equation, *(d.tensor(shape) for shape in shapes))


PATTERNS = (
    *("b n (h d) -> b h n d", "b (h w) c -> b c h w", "b n d -> (b n) d", "a b c -> c b a", "b ... -> ... b"),
    *("b n d -> b d", "b n d -> d", "b n -> b n 1", "b n d -> b n d h", "b n d -> b (n h) d"),
)


def _einops(d: Draw) -> tuple[Any, ...]:
    lengths = {"h": d.pick(1, 2, 3)} if d.chance(0.7) else {}
    shape = tuple(d.pick(2, 4, 6) for _ in range(d.pick(3, 3, 3, 2, 4)))
    return d.tensor(shape), d.pick(*PATTERNS), lengths


def _rearranged(x: torch.Tensor, pattern: str, lengths: dict[str, int]) -> torch.Tensor:
    return einops.rearrange(x, pattern, **lengths)


def _repeated(x: torch.Tensor, pattern: str, lengths: dict[str, int]) -> torch.Tensor:
    return einops.repeat(x, pattern, **lengths)


def _meaned(x: torch.Tensor, pattern: str, lengths: dict[str, int]) -> torch.Tensor:
    return einops.reduce(x, pattern, "mean", **lengths)


def _loss(d: Draw) -> tuple[Any, ...]:
    shape = d.shape(1, 3)
    return d.tensor(shape), d.tensor(d.pick(shape, shape, d.alike(shape)))


def _classed(d: Draw) -> tuple[Any, ...]:
    n, c, more = d.pick(2, 3), d.pick(2, 3), d.shape(0, 2)
    target = d.pick(d.index((n, *more)), d.tensor((n, c, *more)), d.index((n, 1)))
    return d.tensor((n, c, *more)), target, d.pick(None, d.tensor((c,)))


def _triple(d: Draw) -> tuple[Any, ...]:
    shape = d.shape(2, 2)
    return d.tensor(shape), d.tensor(shape), d.tensor(d.pick(shape, shape[:1]))


def _three(d: Draw) -> tuple[Any, ...]:
    shape = d.shape()
    return d.tensor(shape), d.tensor(d.alike(shape)), d.tensor(d.alike(shape))


def _x(d: Draw) -> tuple[Any, ...]:
    return (d.tensor(d.shape(0, 4)),)


def _two(d: Draw) -> tuple[Any, ...]:
    shape = d.shape(0, 4)
    return d.tensor(shape), d.tensor(d.alike(shape))


def _matrix(d: Draw) -> tuple[Any, ...]:
    n, m = d.pick(2, 3), d.pick(2, 3, 3)
    return (d.tensor((*d.shape(0, 1), n, d.pick(n, m))),)


def _matrices(d: Draw) -> tuple[Any, ...]:
    n, m, k = d.pick(2, 3), d.pick(2, 3), d.pick(1, 2)
    more = d.shape(0, 1)
    return d.tensor((*more, n, d.pick(n, n, m))), d.tensor((*d.pick(more, ()), d.pick(n, n, m), k))


def _points(d: Draw) -> tuple[Any, ...]:
    m, more = d.pick(2, 3), d.shape(0, 1)
    return d.tensor((*more, d.pick(2, 4), m)), d.tensor((*more, 3, m))


def _spectrum(d: Draw) -> tuple[Any, ...]:
    x = d.tensor(d.shape(1, 4))
    return x, d.pick(None, None, 4), d.dim(len(x.shape))


def _spectra(d: Draw) -> tuple[Any, ...]:
    x = d.tensor(d.shape(1, 4))
    return x, d.pick(None, None, (4, 4)), d.pick((-2, -1), (1, 2), (0, 1)), d.pick(None, "ortho", "forward", "x")


def _unflattened(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.dim(len(x.shape)), d.pick((2, -1), (-1, 1), (2, 2), (3, 2), (1,))


def _moved(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    rank = len(x.shape)
    return x, d.pick(d.dim(rank), (d.dim(rank), d.dim(rank))), d.pick(d.dim(rank), (d.dim(rank), d.dim(rank)))


def _rolled(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    rank = len(x.shape)
    return x, d.pick(1, -1, (1, 2), (1,)), d.pick(None, d.dim(rank), (d.dim(rank), d.dim(rank)))


def _list(d: Draw) -> tuple[Any, ...]:
    shape = d.shape(0, 3)
    return ([d.tensor(d.pick(shape, shape, d.alike(shape))) for _ in range(d.pick(1, 2, 3))],)


def _split(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.pick(1, 2, [1, 1], [1, 2], [2, 2], (1, 3), 0, -1), d.dim(len(x.shape))


def _strided(d: Draw) -> tuple[Any, ...]:
    return d.tensor(), d.pick((2, 2), (1,), (3, 2), (0, 2)), d.pick((2, 1), (1,), (1, 1), (4, 2)), d.pick(0, 1, 9)


def _dtype(d: Draw) -> tuple[Any, ...]:
    return d.tensor(), d.pick(torch.float32, torch.int64, torch.float16, torch.bool, torch.complex64, torch.float64)


def _quantiles(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.pick(0.5, 0.1, Drawn((2,), x.dtype)), d.dim(len(x.shape)), d.pick(True, False)


def _times(d: Draw) -> tuple[Any, ...]:
    return d.tensor(), d.pick((2,), (2, 1), (1, 2, 1, 1), (2, 2, 2), (0, 1, 1, 1, 1), (-1, 2))


def _interleaved(d: Draw) -> tuple[Any, ...]:
    x = d.tensor()
    return x, d.pick(2, 1, 0, -1), d.pick(None, d.dim(len(x.shape)))


def _summed_over(d: Draw) -> tuple[Any, ...]:
    a, b, c = d.shape(3, 3)
    return d.tensor((a, b, c)), d.tensor((b, c, 2)), d.pick(1, 2, ([1, 2], [0, 1]), ([0], [1]))


def _multihead(d: Draw) -> tuple[Any, ...]:
    n, m = d.pick(2, 3), d.pick(2, 3)
    lead = (2,) if d.chance(0.8) else ()
    q, kv = d.tensor((*lead, n, 4)), d.tensor((*lead, m, 4))
    padding = d.tensor((*lead, m), d.pick(torch.bool, d.common)) if d.chance(0.4) else None
    return q, kv, padding, d.tensor((n, m), d.pick(torch.bool, d.common)) if d.chance(0.4) else None


def _attend(q: torch.Tensor, kv: torch.Tensor, padding: Any, mask: Any) -> Any:
    with torch.device(q.device):
        inner = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    return inner(q, kv, kv, key_padding_mask=padding, attn_mask=mask)


def _decode(x: torch.Tensor, memory: torch.Tensor) -> Any:
    with torch.device(x.device):
        return nn.TransformerDecoderLayer(4, 2, 8, batch_first=True).eval()(x, memory)


def _cell(x: torch.Tensor, h: torch.Tensor) -> Any:
    with torch.device(x.device):
        return nn.GRUCell(4, 3)(x, h)


def _recurrent(x: torch.Tensor, h: torch.Tensor) -> Any:
    with torch.device(x.device):
        return nn.GRU(4, 3, batch_first=True)(x, h)


LISTED: tuple[tuple[Any, Drawing, str], ...] = (
    (torch.Tensor, _reduced, "sum mean amax amin std var all any logsumexp nansum nanmean norm count_nonzero"),
    (torch.Tensor, _reduced_one, "prod max min median argmax argmin mode cummax sort argsort nanmedian"),
    (torch.Tensor, _x, "sum mean max min prod std var norm erfc sgn square signbit nan_to_num isreal isneginf adjoint"),
    (torch.Tensor, _x, "squeeze ravel i0 arcsin arctanh rad2deg bitwise_not logical_not tril triu flatten conj"),
    (torch.Tensor, _x, "resolve_conj argsort cos_ tanh_ round_ zero_ contiguous corrcoef cov numel dim angle real"),
    (torch.Tensor, _two, "matmul __matmul__ eq __gt__ maximum fmod remainder_ fmin float_power bitwise_xor_ dist"),
    (torch.Tensor, _two, "bitwise_left_shift __lshift__ logical_xor sub_ div_ __isub__ __ixor__ greater less_equal"),
    (torch.Tensor, _two, "not_equal arctan2 lcm igamma view_as reshape_as type_as expand_as vdot logaddexp2 copysign_"),
    (torch.Tensor, _two, "mul_ add_ __truediv__ __rpow__ __rtruediv__ masked_fill_ copy_ where clamp_min clamp_max_"),
    (torch.Tensor, _unflattened, "unflatten"),
    (torch.Tensor, _moved, "movedim moveaxis"),
    (torch.Tensor, _rolled, "roll"),
    (torch.Tensor, _split, "split split_with_sizes tensor_split chunk narrow_copy select squeeze"),
    (torch.Tensor, _strided, "as_strided"),
    (torch.Tensor, _dtype, "to view type"),
    (torch.Tensor, _times, "repeat tile expand view reshape permute flip"),
    (torch.Tensor, _interleaved, "repeat_interleave"),
    (torch.Tensor, _put_indexed, "index_put index_put_"),
    (torch.Tensor, _scattered, "scatter scatter_ scatter_add scatter_add_"),
    (torch.Tensor, _scatter_reduced, "scatter_reduce"),
    (torch.Tensor, _gathered, "gather"),
    (torch.Tensor, _got, "__getitem__"),
    (torch.Tensor, _three, "lerp clip clamp_ addcmul_ addcdiv_"),
    (torch.Tensor, _quantiles, "quantile nanquantile"),
    (torch.Tensor, _accumulated, "softmax log_softmax"),
    (torch.Tensor, _matrix, "diagonal trace diag inverse slogdet det logdet pinverse cholesky qr svd mT mH"),
    (torch.Tensor, _matrices, "matmul"),
    *((F, _pooled(dims), f"avg_pool{dims}d") for dims in (1, 2, 3)),
    *((F, _max_pooled(dims), f"max_pool{dims}d") for dims in (1, 2, 3)),
    *((F, _adaptive(dims), f"adaptive_avg_pool{dims}d adaptive_max_pool{dims}d") for dims in (1, 2, 3)),
    *((F, _convolved(dims), f"conv{dims}d") for dims in (1, 2, 3)),
    (F, _unfolded, "unfold"),
    (F, _folded, "fold"),
    (F, _resized, "interpolate"),
    (F, _padded, "pad"),
    (F, _embedded, "embedding"),
    (F, _bagged, "embedding_bag"),
    (F, _attention, "scaled_dot_product_attention"),
    (F, _loss, "mse_loss l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy poisson_nll_loss"),
    (F, _loss, "binary_cross_entropy_with_logits soft_margin_loss hinge_embedding_loss cosine_similarity"),
    (F, _loss, "multilabel_soft_margin_loss"),
    (F, _classed, "cross_entropy nll_loss"),
    (F, _triple, "triplet_margin_loss margin_ranking_loss cosine_embedding_loss gaussian_nll_loss"),
    (F, _x, "relu gelu silu log_softmax softsign logsigmoid glu tanhshrink"),
    (torch.fft, _spectrum, "fft ifft rfft irfft hfft"),
    (torch.fft, _spectra, "fft2 ifft2 rfft2 irfft2 fftn rfftn"),
    (torch.fft, _x, "fftshift ifftshift"),
    (torch.linalg, _matrix, "inv det svdvals qr svd eigh eigvalsh cholesky matrix_norm pinv slogdet eig"),
    (torch.linalg, _matrices, "solve"),
    (torch.linalg, _two, "cross vecdot"),
    (torch.linalg, _reduced_one, "norm"),
    (torch, _list, "hstack vstack dstack column_stack block_diag cartesian_prod cat stack"),
    (torch, _points, "cdist"),
    (torch, _summed_over, "tensordot"),
    (torch, _loss, "complex polar heaviside"),
    (torch, _einsum, "einsum"),
    (torch, _three, "where"),
)

MORE_STEPS: dict[str, tuple[Callable[..., Any], Drawing]] = {
    f"{owner.__name__}.{name} {draw.__name__} with options": (getattr(owner, name), draw)
    for owner, draw, names in LISTED
    for name in names.split()
    if callable(getattr(owner, name, None))
} | {
    "__setitem__": (_put, _set),
    "rearrange": (_rearranged, _einops),
    "repeat": (_repeated, _einops),
    "reduce": (_meaned, _einops),
    "meshgrid": (lambda tensors: torch.meshgrid(*tensors, indexing="ij"), _list),
    "broadcast_tensors": (lambda tensors: torch.broadcast_tensors(*tensors), _list),
    "fill_diagonal": (lambda x: x.fill_diagonal_(1), _matrix),
    "MultiheadAttention with masks": (_attend, _multihead),
    "TransformerDecoderLayer": (_decode, lambda d: _multihead(d)[:2]),
    "GRUCell": (_cell, lambda d: (d.tensor((2, 4)), d.tensor((2, 3)))),
    "GRU with a state": (_recurrent, lambda d: (d.tensor((2, 5, 4)), d.tensor((1, 2, 3)))),
}
