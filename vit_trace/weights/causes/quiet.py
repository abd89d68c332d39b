"""Finds what loads without an error and computes something else: other heads, quantised weights."""

from collections.abc import Iterator

from vit_trace.base.words import first_few
from vit_trace.targets.target import Target
from vit_trace.weights.causes import Misfit, MisfitKind
from vit_trace.weights.data import Checkpoint
from vit_trace.weights.describe import Description
from vit_trace.weights.model import Model, name_in
from vit_trace.weights.remedy import is_buffer

HEADS = MisfitKind(
    "checkpoint-heads",
    """
    Queries, keys and values are split into another number of heads. Every shape agrees: loading works, and every
    output is wrong. A checkpoint's number of heads is known only from a config.json beside it, from JAX kernels, from
    tables of relative positions or from norms of the queries.
    """,
)
DTYPE = MisfitKind(
    "checkpoint-dtype",
    """
    The checkpoint keeps weights as integers or in eight bits, the model does not: it was quantised. Copying its values
    without their scales gives a model that computes nonsense. Half precision is fine: loading converts it.
    """,
    severity="warning",
)

GLOBALS = MisfitKind(
    "checkpoint-globals",
    """
    Beside the tensors the file holds objects of plain classes (argparse.Namespace, pathlib.PosixPath). torch.load with
    weights_only=True, its default, refuses them until they are named with torch.serialization.safe_globals.
    vit_trace.load_state_dict reads the tensors without making such an object.
    """,
    severity="warning",
)
SHARDED = MisfitKind(
    "checkpoint-sharded",
    """
    The checkpoint is a directory of torch.distributed.checkpoint, as FSDP saves it: names and shapes are in .metadata,
    the values in one file for each process. dcp_to_torch_save writes one file of them.
    """,
    severity="warning",
)
TAKEN = MisfitKind(
    "checkpoint-taken",
    "The file holds more than one thing: which state dict was taken, and what was left. --key NAME takes another.",
    severity="note",
)

WHOLE = ("int", "uint", "qint", "quint", "float8_", "float4_", "float6_", "bits")
"""Beginnings of dtypes that weights are quantised to."""


def other_heads(ours: Description, target: Target) -> Iterator[Misfit]:
    """Another number of heads where every shape agrees."""
    name = name_in(target, "heads") or ""
    value = target.hyperparameters.get(name)
    each = target.hyperparameters.get(name_in(target, "dim_head") or "")
    if ours.heads is None or not isinstance(value, int) or value == ours.heads:
        return
    if isinstance(each, int) and each * value != ours.inner:  # then shapes differ, which is another misfit
        return
    message = f"checkpoint has {ours.heads} heads, this model has {value}: every shape agrees, the result would not"
    notes = (f"the checkpoint's: {ours.how['heads']}",) if "heads" in ours.how else ()
    yield Misfit(HEADS, message, help=(f"set {name} {ours.heads}",), notes=notes)


def other_dtypes(checkpoint: Checkpoint, model: Model) -> Iterator[Misfit]:
    """Weights kept as whole numbers or in eight bits: loading copies them without their scales."""
    kept = {
        one.dtype
        for name, one in checkpoint.entries.items()
        if one.dtype.startswith(WHOLE) and len(one.shape) > 1 and not is_buffer(name)
    }
    wanted = {one.dtype for one in model.entries.values() if len(one.shape) > 1}
    if quantised := sorted(kept - wanted):
        dtypes = ", ".join(sorted(wanted))
        message = f"checkpoint keeps weights as {', '.join(quantised)}, this model as {dtypes}: quantised"
        yield Misfit(DTYPE, message, help=("load the weights it was quantised from; copying these loses their scales",))


def packed(checkpoint: Checkpoint, model: Model) -> Misfit | None:
    """Layers that torch.ao has quantised: in place of a weight they have a scale, a zero point and a packed tensor."""
    names = checkpoint.entries
    layers = [name.removesuffix(".zero_point") for name in names if name.endswith(".zero_point")]
    layers = [
        one for one in layers if f"{one}.scale" in names and f"{one}.weight" in model.entries.keys() - names.keys()
    ]
    if not layers:
        return None
    message = f"checkpoint keeps packed weights in {len(layers)} layers, {first_few(layers, 2)}: quantised by torch.ao"
    help = "load the weights it was quantised from, or quantise the model in the same way before it is loaded"
    return Misfit(DTYPE, message, help=(help,), severity="error")


def about_file(checkpoint: Checkpoint, notes: bool = True) -> Iterator[Misfit]:
    """What the file needs to be loaded at all, and what else is in it."""
    trusted = "if you trust it, load it once with weights_only=False and save only its state dict"
    if checkpoint.needs and checkpoint.weights_only:
        needs = [name.replace("pathlib._local.", "pathlib.") for name in checkpoint.needs]  # as Python 3.13 saves them
        names = ", ".join(map(_safe, needs))
        message = f"torch.load refuses the file as it is: it also holds {first_few(needs, 3)}"
        help = f"with torch.serialization.safe_globals([{names}]): torch.load(FILE)"
        yield Misfit(GLOBALS, message, help=(help,))
    elif not checkpoint.weights_only:
        what = (
            f"it also holds {first_few(checkpoint.needs, 3)}"
            if checkpoint.needs
            else "its pickle is of a later protocol"
        )
        message = f"torch.load(weights_only=True) cannot read the file: {what}"
        yield Misfit(GLOBALS, message, help=(trusted,))
    if checkpoint.format == "torch.distributed.checkpoint":
        message = "its values lie in shards of several processes, which torch.load does not read"
        how = f"dcp_to_torch_save({checkpoint.path!r}, 'whole.pt')"
        help = f"from torch.distributed.checkpoint.format_utils import dcp_to_torch_save; {how}"
        yield Misfit(SHARDED, message, help=(help,))
    for note in checkpoint.notes if notes else ():
        yield Misfit(TAKEN, note)


def _safe(name: str) -> str:
    """How a name is said to be safe: with the name in the pickle, where Python has another one by now."""
    if name.startswith("numpy.core."):
        return f'(numpy._core.{name.removeprefix("numpy.core.")}, "{name}")'
    return name.removeprefix("builtins.")
