"""Answers torch functions on meta tensors by rule, so that a meta forward never imports torch's compiler.

On meta, torch runs many functions (randn, cat, add, gelu, mm) as Python kernels whose first call imports torch._dynamo,
inductor and sympy: as long again as `import torch`. A rule gives what torch would give: shape, dtype, strides, the
identity of in-place results. Where it is not certain it says `NotImplemented`: torch answers, or raises the true error.
"""

from collections.abc import Callable, Container, Mapping
from typing import Any

import torch

from vit_trace.record.meta import arrange, contract, create, elementwise, reduce, window
from vit_trace.record.meta.core import Rule, table

_KINDS = (elementwise, contract, reduce, window, arrange, create)
RULES: dict[Any, Rule] = table({key: rule for kind in _KINDS for key, rule in kind.RULES.items()})

WRITTEN = {torch.linspace, torch.arange, torch.rand, torch.randint, torch.randperm, torch.logspace, torch.tensor}
WRITTEN |= {torch.zeros, torch.ones, torch.full, torch.randn, torch.eye}
"""Factories that write to all the memory of their tensor."""

_rule = RULES.get
_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_autocasts: Callable[[str], bool] = torch.is_autocast_enabled
_transforms: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack


def answer(func: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
    """What `func(*args, **kwargs)` returns, or NotImplemented where torch has to be asked."""
    rule = _rule(func)
    # under a dispatch mode or vmap others want to see the call, or a tensor's shape is not what it shows; autocast
    # decides on dtypes
    if rule is None or _dispatch_modes() or _transforms() is not None or _autocasts("cpu"):
        return NotImplemented
    try:
        return rule(*args, **kwargs) if kwargs else rule(*args)
    except Exception:  # a rule that stumbles over its arguments is as unsure as one that says so
        return NotImplemented


def values_written(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], usual: Container[object] = ()
) -> int:
    """How many values a factory of WRITTEN writes to memory. On the default device, only those in `usual` do."""
    device = kwargs.get("device")
    if func not in usual if device is None else str(device) == "meta":
        return 0
    out = answer(func, args, {**kwargs, "device": "meta"})
    return out.numel() if isinstance(out, torch.Tensor) else 0
