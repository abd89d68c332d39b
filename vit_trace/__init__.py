"""vit-trace: follow a tensor's shape through any Vision Transformer.

    import vit_trace
    trace = vit_trace.trace(model, torch.empty(1, 3, 224, 224))
    print(trace)                       # the table; also trace["blocks.0.attn"], trace.find("*.attn"), trace.at(b=8)
    trace = vit_trace.trace("timm:vit_base_patch16_224", image_size=384)

    vit_trace.install()                # explain what ends this program
    print(vit_trace.explain(error))    # in an except block also without the error; after the fact the last one
    with vit_trace.explaining(): ...   # adds the explanation to what the block raises

Importing this package imports no torch; the first `trace` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from vit_trace.scripts.hooks import explained_error as explain
from vit_trace.scripts.hooks import explaining, install, uninstall
from vit_trace.scripts.hooks import load_ipython as load_ipython_extension  # noqa: F401
from vit_trace.scripts.hooks import unload_ipython as unload_ipython_extension  # noqa: F401
from vit_trace.version import __version__ as __version__

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.api.traced import Traced as Trace
    from vit_trace.check.sizes.report import SizesReport
    from vit_trace.weights.loading import Loaded

__all__ = ["Trace", "__version__", "explain", "explaining", "install", "load_state_dict", "sizes", "trace", "uninstall"]


def trace(model: nn.Module | Callable[..., Any] | str, *inputs: Any, formulas: bool = True, **kwargs: Any) -> Trace:
    """Run a model once and return every stage of it: `trace(model, images)`, or a spec, as on the command line.

    Real tensors in, a real forward; meta tensors in (for a model on meta), no memory. Runs without gradients and in
    evaluation mode; the model is left as it was. A forward that raises gives a trace whose `failure` says where and
    why, and what would work: changes are tried on copies on the meta device, at most a fixed number of them. Sizes get
    formulas over the batch and the sides of the image where the only input is a batch of images: copies on meta run at
    other sizes.

    Args:
        model: any torch.nn.Module, or a bound method of one (`vit.forward_features`); or a spec
            ("timm:vit_base_patch16_224", "model.py:ViT", a YAML file or config.json), built and fed without memory.
        inputs, kwargs: what its forward takes; for a spec, settings by name (`image_size=384`).
        formulas: whether to find the formula of each size.

    Raises:
        TypeError: model is none of these.
        ValueError: a spec that cannot be built; the message is the diagnostic.
    """
    from vit_trace.api.traced import Traced

    if isinstance(model, str):
        from vit_trace.api.spec import trace_spec

        if inputs:
            raise TypeError("what a spec names is fed by vit-trace: pass settings by name, image_size=384")
        return Traced.of(trace_spec(model, kwargs, formulas))
    from torch import nn

    from vit_trace.diagnose.diagnose import of_model
    from vit_trace.targets.methods import with_method

    owner = getattr(model, "__self__", None)
    if isinstance(owner, nn.Module):
        with with_method(owner, getattr(model, "__name__", "")):
            return Traced.of(of_model(owner, inputs, kwargs, formulas))
    if not isinstance(model, nn.Module):
        raise TypeError(f"vit_trace.trace takes a torch.nn.Module, got {type(model).__name__}")
    return Traced.of(of_model(model, inputs, kwargs, formulas))


def load_state_dict(model: nn.Module, path: str | PathLike[str], *, key: str = "") -> Loaded:
    """Load a checkpoint into a model as `vit-trace check --checkpoint` says it can be loaded; what was done.

    Tensors are renamed, joined, split, transposed and position tables interpolated as the diagnostics say, and loaded
    with strict=True: what the model has and the checkpoint lacks (a head) keeps the model's values. Values are read by
    torch's weights-only reader or by safetensors: nothing in the file is executed, and no file is changed.

    Args:
        model: the model to load into, on any device.
        path: a .safetensors, .pt or .npz file, an index of shards, or a directory with one.
        key: where the file holds several state dicts, which to take ("model_ema"); or a prefix of the names to take.

    Raises:
        ValueError: it cannot be loaded whole; the message has the diagnostics. The model is left as it was.
    """
    from vit_trace.base.refused import Refused
    from vit_trace.weights.loading import load_into

    try:
        return load_into(model, path if isinstance(path, str) else str(path), key)
    except Refused as refused:
        raise ValueError(str(refused)) from refused


def sizes(spec: str | None = None, *names: str, at: Sequence[str] = (), settings: Sequence[str] = ()) -> SizesReport:
    """Which values of each hyperparameter and input size work, as rules; what `vit-trace sizes` shows.

    Args:
        spec: the model, as on the command line: "timm:vit_tiny_patch16_224", "model.py:ViT"; else the reference ViT.
        names: hyperparameters, or "input"; all that change the model where none is named.
        at: values to judge, each as "image_size=500".
        settings: hyperparameters to set first, each as "depth=2".

    Raises:
        ValueError: the model cannot be built, or a name is none of its whole numbers; the message is the diagnostic.
    """
    from vit_trace.base.refused import Refused
    from vit_trace.check.sizes.sizes import size_report
    from vit_trace.diagnose.resolve import targeted
    from vit_trace.targets.request import Request

    try:
        return size_report(targeted(spec, Request(assignments=tuple(settings))), names, at)
    except Refused as refused:
        raise ValueError(str(refused)) from refused


def __getattr__(name: str) -> Any:
    if name == "Trace":
        from vit_trace.api.traced import Traced

        return Traced
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
