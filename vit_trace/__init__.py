"""vit-trace: follow a tensor's shape through any Vision Transformer.

    import vit_trace
    trace = vit_trace.trace(model, torch.empty(1, 3, 224, 224))
    print(trace)                       # the table; also trace["blocks.0.attn"], trace.find("*.attn"), trace.at(b=8)
    trace = vit_trace.trace("timm:vit_base_patch16_224", image_size=384)
    with vit_trace.recording() as trace: ...   # any code: a training step, several forwards
    print(vit_trace.check("configs", memory="24GiB"))

    vit_trace.install()                # explain what ends this program
    print(vit_trace.explain(error))    # in an except block also without the error; after the fact the last one
    with vit_trace.explaining(): ...   # adds the explanation to what the block raises

Importing this package imports no torch; the first `trace` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from vit_trace.scripts.hooks import explained_error as explain
from vit_trace.scripts.hooks import explaining, install, uninstall
from vit_trace.scripts.hooks import load_ipython as load_ipython_extension  # noqa: F401
from vit_trace.scripts.hooks import unload_ipython as unload_ipython_extension  # noqa: F401
from vit_trace.version import __version__ as __version__

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.api.checked import Checked
    from vit_trace.api.traced import Traced as Trace
    from vit_trace.base.trace import Trace as BareTrace
    from vit_trace.check.sizes.report import SizesReport
    from vit_trace.weights.loading import Loaded

__all__ = ["Trace", "__version__", "check", "explain", "explaining"]
__all__ += ["install", "load_state_dict", "recording", "sizes", "trace", "uninstall"]


def trace(
    model: nn.Module | Callable[..., Any] | str,
    *inputs: Any,
    formulas: bool = True,
    source: bool = False,
    **kwargs: Any,
) -> Trace:
    """Run a model once and return every stage of it: `trace(model, images)`, or a spec, as on the command line.

    Real tensors in, a real forward; meta tensors in (for a model on meta), no memory. Runs without gradients and in
    evaluation mode; the model is left as it was. A forward that raises gives a trace whose `failure` says where and
    why, and what would work: changes are tried on copies on the meta device, at most a fixed number of them. Formulas
    come from copies on meta that run at other sizes: other hyperparameters where the model can be built again from
    its config, or from what it keeps of its constructor's arguments; else the batch and the sides of the image.

    A function (a training step, a loss) runs once and as it is: with gradients, in the modes its modules are in. Its
    sizes have formulas over the batch and the sides of the image where it does no more than call modules and torch.

    Args:
        model: any torch.nn.Module, or a bound method of one (`vit.forward_features`); a function that runs modules; or
            a spec ("timm:vit_base_patch16_224", "model.py:ViT", a YAML file or config.json), built without memory.
        inputs, kwargs: what it is called with; for a spec, settings by name (`image_size=384`).
        formulas: whether to find the formula of each size.
        source: whether to keep the lines of code that ran, for `Trace.source()`.

    Raises:
        TypeError: model is none of these.
        ValueError: a spec that cannot be built; the message is the diagnostic.
    """
    from vit_trace.api.traced import Traced
    from vit_trace.api.tracing import trace_of_call, trace_of_spec
    from vit_trace.record.source.listing import listed

    def found() -> BareTrace:
        if isinstance(model, str):
            return trace_of_spec(model, inputs, kwargs, formulas)
        return trace_of_call(model, inputs, kwargs, formulas, _cause)

    return Traced.of(listed(found) if source else found())


@contextmanager
def recording() -> Iterator[Trace]:
    """Record whatever runs in a `with` block: several models, training steps, what is computed between them.

    The trace is empty until the block ends. It runs as it would without us. An exception leaves the block as it came;
    the trace then holds the stages up to there, and its `failure` the cause.
    """
    from vit_trace.api.around import recorded_block

    with recorded_block(_cause) as found:
        yield found


def _cause(error: BaseException) -> BareTrace | None:
    """The trace of the call that raised, with its cause."""
    found = explain(error)
    return found.trace if found is not None else None


import_module("vit_trace.check")  # before there is a function of its name: the package would take that later


def check(*specs: str | PathLike[str], settings: Sequence[str] = (), **options: Any) -> Checked:
    """Judge configs before a training run: what `vit-trace check` finds; `print` shows it.

    Args:
        specs: YAML files, directories, globs, config.json, "timm:NAME", "FILE.py:NAME"; else the reference ViT.
        settings: hyperparameters to set first, each as "depth=2".
        options: those of the command line by name: `memory="24GiB"`, `optimizer="sgd"`, `suggest=("heads",)`,
            `checkpoint="weights.safetensors"`; `jobs` is 1 without it.

    Raises:
        TypeError: there is no such option.
        ValueError: an option or a spec that means nothing; the message is the diagnostic.
    """
    from vit_trace.api.checked import checked

    return checked([fspath(one) for one in specs], tuple(settings), options)


def load_state_dict(model: nn.Module, source: str | PathLike[str] | Mapping[str, Any], *, key: str = "") -> Loaded:
    """Load a checkpoint into a model as `vit-trace check --checkpoint` says it can be loaded; what was done.

    Tensors are renamed, joined, split, transposed and position tables interpolated as the diagnostics say, and loaded
    with strict=True: what the model has and the checkpoint lacks (a head) keeps the model's values. Values are read by
    torch's weights-only reader or by safetensors: nothing in the file is executed, and no file is changed.

    Args:
        model: the model to load into, on any device.
        source: a .safetensors, .pt or .npz file, an index of shards, or a directory with one; or a state dict.
        key: where it holds several state dicts, which to take ("model_ema"); or a prefix of the names to take.

    Raises:
        ValueError: it cannot be loaded whole; the message has the diagnostics. The model is left as it was.
    """
    from vit_trace.base.refused import value_errors
    from vit_trace.weights.loading import load_into

    with value_errors():
        return load_into(model, source, key)


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
    from vit_trace.base.refused import value_errors
    from vit_trace.check.sizes.sizes import size_report
    from vit_trace.diagnose.resolve import targeted
    from vit_trace.targets.request import Request

    with value_errors():
        return size_report(targeted(spec, Request(assignments=tuple(settings))), names, at)


def __getattr__(name: str) -> Any:
    if name == "Trace":
        from vit_trace.api.traced import Traced

        return Traced
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
