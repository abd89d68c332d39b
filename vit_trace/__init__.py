"""vit-trace: follow a tensor's shape through any Vision Transformer.

    import vit_trace
    trace = vit_trace.trace(model, torch.empty(1, 3, 224, 224))
    print(trace.to_json())

Importing this package imports no torch; the first `trace` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vit_trace.version import __version__ as __version__

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.base.trace import Trace as Trace

__all__ = ["Trace", "__version__", "trace"]


def trace(model: nn.Module, *inputs: Any, **kwargs: Any) -> Trace:
    """Run `model(*inputs, **kwargs)` once and return every stage of it.

    Real tensors in, a real forward; meta tensors in (for a model on meta), no memory. Runs without gradients and in
    evaluation mode; the model is left as it was. A forward that raises gives a trace whose `failure` says where and
    why, and what would work: changes are tried on copies on the meta device, at most a fixed number of them.

    Args:
        model: any torch.nn.Module.
        inputs, kwargs: what its forward takes.

    Raises:
        TypeError: model is not a torch.nn.Module.
    """
    from torch import nn

    from vit_trace.diagnose.diagnose import of_model

    if not isinstance(model, nn.Module):
        raise TypeError(f"vit_trace.trace takes a torch.nn.Module, got {type(model).__name__}")
    return of_model(model, inputs, kwargs)


def __getattr__(name: str) -> Any:
    if name == "Trace":
        from vit_trace.base.trace import Trace

        return Trace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
