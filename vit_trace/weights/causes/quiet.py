"""Finds what loads without an error and computes something else: other heads, quantised weights."""

from collections.abc import Iterator

from vit_trace.targets.target import Target
from vit_trace.weights.causes import Misfit, MisfitKind
from vit_trace.weights.data import Checkpoint
from vit_trace.weights.describe import Description
from vit_trace.weights.model import Model, name_in

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

WHOLE = ("int", "uint", "qint", "quint", "float8", "float4", "float6", "bits")
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
    kept = {one.dtype for one in checkpoint.entries.values() if one.dtype.startswith(WHOLE) and len(one.shape) > 1}
    wanted = {one.dtype for one in model.entries.values() if len(one.shape) > 1}
    if quantised := sorted(kept - wanted):
        dtypes = ", ".join(sorted(wanted))
        message = f"checkpoint keeps weights as {', '.join(quantised)}, this model as {dtypes}: quantised"
        yield Misfit(DTYPE, message, help=("load the weights it was quantised from; copying these loses their scales",))
