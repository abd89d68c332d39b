"""Counts the forward FLOPs of one torch function call, as torch.utils.flop_counter counts them on meta.

Only matrix products and convolutions count: two per multiplication and addition.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from vit_trace.record.meta.contract import einsum_labels
from vit_trace.record.meta.core import product, table

Formula = Callable[..., int]


def _matrix_product(out: Any, shared: int) -> int:
    return 2 * int(out.numel()) * shared


def _folds(input: Any) -> bool:
    """Whether torch multiplies a batch of matrices with a vector as one matrix: its rows must lie evenly in memory."""
    shape, strides = input.shape, input.stride()
    return input.numel() == 0 or all(strides[i] == strides[i + 1] * shape[i + 1] for i in range(len(shape) - 2))


def matmul(out: Any, input: Any, other: Any) -> int:
    if other.ndim == 1:
        # a matrix times a vector is not a matrix product to the counter; a batch of them that cannot be folded is
        return 0 if input.ndim < 3 or other.requires_grad or _folds(input) else _matrix_product(out, other.shape[0])
    if input.ndim == 1 and other.ndim > 2 and (input.requires_grad or _folds(other.mT)):
        return 0
    return _matrix_product(out, input.shape[-1])


def mm(out: Any, input: Any, mat2: Any) -> int:
    return _matrix_product(out, mat2.shape[-2])


def einsum(out: Any, equation: str, *operands: Any) -> int:
    a, b = operands[0] if len(operands) == 1 else operands
    left, right, kept = einsum_labels(equation)
    rows, columns = dict(zip(left, a.shape, strict=True)), dict(zip(right, b.shape, strict=True))
    # torch sums what only one tensor has beforehand, and where nothing is left to sum it just multiplies
    summed = [size for label, size in rows.items() if label not in kept and columns.get(label, 1) == size != 1]
    return _matrix_product(out, product(summed)) if summed else 0


def attention(out: Any, query: Any, key: Any, value: Any, *options: Any, **more: Any) -> int:
    scores = int(product(query.shape[:-1]) * key.shape[-2])
    return 2 * scores * int(query.shape[-1] + value.shape[-1])


def _convolution(out: Any, input: Any, weight: Any, *options: Any, **more: Any) -> int:
    """All filters, at each place of the result."""
    dims = weight.ndim - 2
    batch = 1 if out.ndim == dims + 1 else out.shape[0]
    return 2 * int(product(weight.shape) * product(out.shape[-dims:]) * batch)


def _recurrent(out: Any, input: Any, hx: Any, weights: Any, *options: Any) -> int:
    """Each matrix of weights, at each place of the sequences."""
    return 2 * int(product(input.shape[:-1]) * sum(weight.numel() for weight in weights if weight.ndim == 2))


FORMULAS: dict[Any, Formula] = table(
    {
        F.linear: lambda out, input, weight, bias=None: mm(out, input, weight.mT) if weight.ndim == 2 else 0,
        "matmul __matmul__": matmul,
        "__rmatmul__": lambda out, input, other: matmul(out, other, input),
        "mm bmm": mm,
        "addmm addmm_": lambda out, input, mat1, mat2, **scales: mm(out, mat1, mat2),
        "baddbmm baddbmm_": lambda out, input, batch1, batch2, **scales: mm(out, batch1, batch2),
        torch.einsum: einsum,
        F.scaled_dot_product_attention: attention,
        "conv1d conv2d conv3d": _convolution,
        "conv_transpose1d conv_transpose2d conv_transpose3d": lambda out, input, weight, *options, **more: _convolution(
            input, input, weight
        ),
        torch.gru: _recurrent,
        torch.lstm: _recurrent,
        torch.rnn_tanh: _recurrent,
        torch.rnn_relu: _recurrent,
    }
)


def flops(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, out: Any) -> int:
    """The FLOPs of `out = func(*args, **kwargs)`; 0 for whatever is not counted, or too odd to be sure about."""
    formula = FORMULAS.get(func)
    if formula is None:
        return 0
    try:
        return formula(out, *args, **(kwargs or {}))
    except Exception:  # a count is no reason to lose a trace
        return 0
