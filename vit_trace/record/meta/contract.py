"""Rules for functions that multiply and sum: linear, matrix products, einsum and attention."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from vit_trace.record.meta.core import (
    Shape,
    broadcast,
    fresh,
    fresh_strided,
    require,
    strides_in_order,
    sure,
    sure_alike,
    sure_float,
)


def linear(input: Any, weight: Any, bias: Any = None) -> torch.Tensor:
    dtype = sure_float(input).dtype
    shape, (rows, columns) = input.shape, sure_alike(weight, dtype).shape
    require(len(shape) > 0 and shape[-1] == columns)
    require(bias is None or sure_alike(bias, dtype).shape == (rows,))
    return fresh((*shape[:-1], rows), dtype)


def _product_shape(a: Shape, b: Shape) -> tuple[int, ...]:
    """The shape of `a @ b`."""
    require(len(a) > 0 and len(b) > 0)
    require(a[-1] == (b[-2] if len(b) > 1 else b[0]))
    batch = a[:-2] if a[:-2] == b[:-2] else broadcast(a[:-2], b[:-2])
    return (*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


def matmul(input: Any, other: Any) -> torch.Tensor:
    dtype = sure_float(input).dtype
    sure_alike(other, dtype)
    return fresh(_product_shape(input.shape, other.shape), dtype)


def mm(input: Any, mat2: Any) -> torch.Tensor:
    require(input.ndim == mat2.ndim == 2)
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> torch.Tensor:
    require(input.ndim == mat2.ndim == 3 and input.shape[0] == mat2.shape[0])
    return matmul(input, mat2)


def _added_to(start: Any, result: torch.Tensor) -> torch.Tensor:
    require(broadcast(sure_alike(start, result.dtype).shape, result.shape) == result.shape)
    return result


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> torch.Tensor:
    return _added_to(input, mm(mat1, mat2))


def einsum_labels(equation: Any) -> tuple[str, str, str]:
    """The labels of a product of two tensors, each label at most once per tensor."""
    require(type(equation) is str)
    inputs, out = equation.replace(" ", "").split("->")
    left, right = inputs.split(",")
    require((left + right).isalpha() and set(out) <= set(left + right))
    require(all(len(set(labels)) == len(labels) for labels in (left, right, out)))
    return left, right, out


def _einsum_order(a: Mapping[str, int], b: Mapping[str, int], out: str) -> list[str]:
    """The result's labels as the matrix product has them: the batch first, then rows, then columns."""
    rows = [label for label in out if a.get(label, 1) != 1 and b.get(label, 1) == 1]
    columns = [label for label in out if b.get(label, 1) != 1 and a.get(label, 1) == 1]
    batch = [label for label in out if label not in rows and label not in columns]
    # torch swaps the factors where that spares it the permutation
    swapped = bool(rows and columns) and out.index(columns[-1]) < out.index(rows[0])
    return [*batch, *columns, *rows] if swapped else [*batch, *rows, *columns]


def einsum(equation: Any, *operands: Any) -> torch.Tensor:
    a, b = operands[0] if len(operands) == 1 else operands
    dtype = sure_float(a).dtype
    left, right, out = einsum_labels(equation)
    rows = dict(zip(left, a.shape, strict=True))
    columns = dict(zip(right, sure_alike(b, dtype).shape, strict=True))
    require(0 not in a.shape and 0 not in b.shape)
    require(all(columns.get(label, size) in (size, 1) or size == 1 for label, size in rows.items()))
    summed = (set(left) | set(right)) - set(out)
    # torch sums a label of one tensor alone beforehand, and multiplies element by element where nothing is summed
    require(any(rows.get(label, 1) > 1 for label in summed))
    require(all(rows.get(label) == columns.get(label) for label in summed))
    shape = [max(rows.get(label, 1), columns.get(label, 1)) for label in out]
    order = [out.index(label) for label in _einsum_order(rows, columns, out)]
    return fresh_strided(shape, strides_in_order(shape, order), dtype)


def attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    dtype = sure_float(query).dtype
    q, k, v = query.shape, sure_alike(key, dtype).shape, sure_alike(value, dtype).shape
    require(len(q) >= 3 and q[:-2] == k[:-2] == v[:-2] and q[-1] == k[-1] and k[-2] == v[-2])
    require(not enable_gqa and 0 <= dropout_p <= 1 and 0 not in q and 0 not in k and 0 not in v)
    if attn_mask is not None:
        scores = (*q[:-1], k[-2])
        require(not is_causal and sure(attn_mask).dtype in (torch.bool, dtype))
        require(broadcast(attn_mask.shape, scores) == scores)
    return fresh((*q[:-1], v[-1]), dtype)


def recurrent(gates: int) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The rule of torch.gru, lstm, rnn_tanh or rnn_relu, by the matrices that a layer stacks in each weight."""

    def rule(
        input: Any, hx: Any, weights: Any, has_biases: bool, layers: int, dropout: float, train: bool,
        bidirectional: bool, batch_first: bool,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        states = (hx,) if isinstance(hx, torch.Tensor) else tuple(hx)
        dtype, directions = sure_float(input).dtype, 1 + bidirectional
        width, dim = (sure_alike(one, dtype).shape[-1] for one in (states[0], states[-1]))
        batch = input.shape[0 if batch_first else 1]
        require(input.ndim == 3 and 0 not in input.shape)
        require(
            len(states) == 1 + (gates == 4) and all(one.shape[:-1] == (layers * directions, batch) for one in states)
        )
        biases, projection = [(gates * dim,)] * 2 * has_biases, [(width, dim)] * (width != dim)
        sizes = [input.shape[-1], *[width * directions] * (layers - 1)]
        expected = [
            shape
            for size in sizes
            for _ in range(directions)
            for shape in ((gates * dim, size), (gates * dim, width), *biases, *projection)
        ]
        require([tuple(sure_alike(one, dtype).shape) for one in weights] == expected)
        shape = (*input.shape[:-1], width * directions)
        out = fresh_strided(shape, strides_in_order(shape, (1, 0, 2) if batch_first else (0, 1, 2)), dtype)
        return (out, *(fresh(one.shape, dtype) for one in states))

    return rule


RULES: dict[Any, Any] = {
    "matmul __matmul__": matmul,
    "__rmatmul__": lambda input, other: matmul(other, input),
    "mm": mm,
    "bmm": bmm,
    "addmm": addmm,
    "baddbmm": lambda input, batch1, batch2, *, beta=1, alpha=1: _added_to(input, bmm(batch1, batch2)),
    F.linear: linear,
    torch.einsum: einsum,
    F.scaled_dot_product_attention: attention,
    torch.gru: recurrent(3),
    torch.lstm: recurrent(4),
    torch.rnn_tanh: recurrent(1),
    torch.rnn_relu: recurrent(1),
}
