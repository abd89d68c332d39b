"""Whether a checkpoint fits a target: one diagnostic for each cause, with remedies that were tried.

Builds the target, and it again at other values, without memory. Imports torch, late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.roles import ROLES, SETTINGS
from vit_trace.base.trace import Diagnostic, Source, Value
from vit_trace.config.words import cut
from vit_trace.targets.target import value_words
from vit_trace.weights.causes import Cause, causes, other_causes
from vit_trace.weights.compare import Comparison, compared
from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.describe import Description, description

if TYPE_CHECKING:
    from vit_trace.targets.target import Target
    from vit_trace.weights.model import Model

NAMES = ROLES | SETTINGS
"""Names of what a cause would set, whatever the library."""

PAIRS = ("image", "patch")
STRANGERS = 0.3
"""Share of a model's tensors below which a checkpoint is not of that model at all."""

WHOLE = ("int", "uint", "qint", "quint", "float8", "float4", "float6", "bits")


def fit(checkpoint: Checkpoint, target: Target, places: Mapping[str, Source] | None = None) -> list[Diagnostic]:
    """What keeps the checkpoint from being loaded into the target; nothing where it fits. `places` of the values given.

    Raises what the target's constructor raises.
    """
    from vit_trace.weights.model import model_of

    model = model_of(target)
    found = nearest(checkpoint.entries, model)
    ours, theirs = descriptions(checkpoint, found, target)
    told = why(found, ours, theirs)
    if not any(cause.code == "checkpoint-model" for cause in told):
        told = [*naming(found, model), *told]
    remedies = Remedies(checkpoint, target, told)
    diagnostics = [remedies.diagnostic(cause, places or {}) for cause in told]
    diagnostics += heads(ours, target, places or {})
    return diagnostics + dtypes(checkpoint, model)


def nearest(entries: Mapping[str, Entry], model: Model) -> Comparison:
    """The comparison with the model under its own names, or under those it is saved with where they are nearer."""
    if model.saved and sum(name in model.saved for name in entries) > sum(name in model.entries for name in entries):
        return compared(entries, model.saved)
    return compared(entries, model.entries)


def descriptions(
    checkpoint: Checkpoint, found: Comparison, target: Target
) -> tuple[Description | None, Description | None]:
    """What both are, where both are Vision Transformers and do not simply agree."""
    from vit_trace.weights.describe import described

    ours = description(found.ours, checkpoint.config) if found.ours else described(checkpoint)
    if found.theirs is None:
        return ours, None
    size = target.expected[2:] if target.expected and len(target.expected) == 4 else None
    return ours, description(found.theirs, {"image_size": list(size)} if size else None)


def why(found: Comparison, ours: Description | None, theirs: Description | None) -> list[Cause]:
    """The causes of all that differs."""
    if not found.items:
        return []
    if found.ours is None and found.common < STRANGERS * found.total:
        message = f"checkpoint is of another model: {found.common} of this model's {found.total} tensors are in it"
        note = f"the checkpoint has {cut(', '.join(item.ours for item in found.items if item.ours)[:120], 120)}"
        return [Cause("checkpoint-model", message, found.items, notes=(note,))]
    if ours is not None and theirs is not None and found.theirs is not None:
        if found.ours is not None and found.ours.layout == found.theirs.layout:
            ours = replace(ours, channels=theirs.channels, patch=theirs.patch) if same_patch(found) else ours
        return list(causes(found, ours, theirs))
    return list(other_causes(found))


def same_patch(found: Comparison) -> bool:
    """Whether flattened patches are as wide in both: then channels and patch are what the model says."""
    return not any({"patch_dim", "patch", "channels"} & set(item.axes) for item in found.items)


def naming(found: Comparison, model: Model) -> list[Cause]:
    """What is the same tensors under other names: a prefix, q, k and v apart or together, another library."""
    one, two = found.ours, found.theirs
    fits = (
        f"all {found.total} tensors fit"
        if not found.items
        else f"{found.common} of the model's {found.total} names then agree"
    )
    if one is not None and two is not None and one.layout != two.layout:
        message = f"checkpoint is named as in {one.layout.words}, this model as in {two.layout.words}"
        notes = tuple(f"{name} → {', '.join(names)}" for name, names in examples(found.renamed))
        shape = "the shapes agree" if not found.items else "what else differs is told apart"
        help = (f"rename {len(found.renamed)} tensors so (tried: {shape} under these names)",)
        return [Cause("checkpoint-naming", message, notes=(*notes, *turned(found)), help=help)]
    causes = []
    if found.strip or found.add:
        causes.append(prefix(found, model, fits))
    if one is not None and two is not None and one.fused != two.fused and found.renamed:
        kept, wanted = ("one tensor", "three") if one.fused else ("three tensors", "one")
        message = f"checkpoint keeps q, k and v as {kept}, this model as {wanted}"
        way = "split each into thirds" if one.fused else "join them, q before k before v"
        split = [pair for pair in found.renamed if one.fused == (len(pair[1]) > 1)] or list(found.renamed)
        notes = tuple(f"{name} → {', '.join(names)}" for name, names in split[:2])
        causes.append(Cause("checkpoint-qkv", message, notes=notes, help=(f"{way} (tried: {fits})",)))
    elif one is not None and two is not None and not causes and found.renamed and moved(found):
        message = f"checkpoint has the names of another version of {two.layout.words}"
        notes = tuple(f"{name} → {', '.join(names)}" for name, names in examples(found.renamed))
        help = (f"rename {len(found.renamed)} tensors so (tried: {fits})",)
        causes.append(Cause("checkpoint-naming", message, notes=notes, help=help))
    return causes


def moved(found: Comparison) -> bool:
    return any(name not in names for name, names in found.renamed)


def prefix(found: Comparison, model: Model, fits: str) -> Cause:
    """A prefix too many or too few; only a note where the model's library sees to it."""
    if found.strip:
        message = f"checkpoint's names start with {found.strip}, this model's do not"
        help = f"take {found.strip} off (tried: {fits})"
    else:
        message = f"this model's names start with {found.add}, the checkpoint's do not"
        help = f"put {found.add} before them (tried: {fits})"
    if found.strip and found.add:
        message = f"checkpoint's names start with {found.strip}, this model's with {found.add}"
        help = f"put {found.add} for {found.strip} (tried: {fits})"
    if model.base and {found.strip, found.add} <= {"", model.base}:
        notes = ("from_pretrained sees to it, load_state_dict does not",)
        return Cause("checkpoint-prefix", message, notes=notes, help=(help,), severity="note")
    return Cause("checkpoint-prefix", message, help=(help,))


def examples(renamed: tuple[tuple[str, tuple[str, ...]], ...]) -> list[tuple[str, tuple[str, ...]]]:
    """One renaming of each kind: of the layers only the first is shown."""
    kinds = ("pos", "patch", "embedding", "qkv", "query", "q_proj", "in_proj", "fc1", "Dense_0", "net", "head")
    chosen = {
        name: pair for kind in kinds if (pair := next((p for p in renamed if kind in p[0]), None)) for name in pair[:1]
    }
    return list(chosen.values())[:5] or list(renamed[:3])


def turned(found: Comparison) -> list[str]:
    """What besides the names is different between two libraries."""
    one, two = found.ours, found.theirs
    notes = []
    if one is not None and two is not None:
        if "jax" in (one.layout.name, two.layout.name):
            notes.append("kernels of linear layers are (in, out) in JAX and (out, in) in torch: transpose them")
        if ("flat.weight" in one.pieces) != ("flat.weight" in two.pieces):
            notes.append("a flattened patch is ordered (row column channel), a convolution (channel row column)")
    return notes


def heads(ours: Description | None, target: Target, places: Mapping[str, Source]) -> list[Diagnostic]:
    """Another number of heads: every shape agrees, the result would be wrong."""
    name = named("heads", target)
    value = target.hyperparameters.get(name) if name else None
    if ours is None or ours.heads is None or not isinstance(value, int) or value == ours.heads or name is None:
        return []
    width = named("dim_head", target)
    each = target.hyperparameters.get(width) if width else None
    if isinstance(each, int) and each * value != ours.inner:  # then shapes differ, and that is told already
        return []
    message = f"checkpoint has {ours.heads} heads, this model has {value}: every shape agrees, the result would not"
    notes = (f"the checkpoint's: {ours.how['heads']}",) if "heads" in ours.how else ()
    return [Diagnostic("checkpoint-heads", "error", message, places.get(name), notes, (f"set {name} {ours.heads}",))]


def dtypes(checkpoint: Checkpoint, model: Model) -> list[Diagnostic]:
    """Weights kept as whole numbers or in eight bits: loading copies them without their scales."""
    kept = sorted(
        {one.dtype for one in checkpoint.entries.values() if one.dtype.startswith(WHOLE) and len(one.shape) > 1}
    )
    wanted = {one.dtype for one in model.entries.values() if len(one.shape) > 1}
    strange = [dtype for dtype in kept if dtype not in wanted]
    if not strange:
        return []
    message = f"checkpoint keeps weights as {', '.join(strange)}, this model as {', '.join(sorted(wanted))}: quantised"
    help = ("load the weights it was quantised from; copying these loses their scales",)
    return [Diagnostic("checkpoint-dtype", "warning", message, None, (), help)]


def named(role: str, target: Target) -> str | None:
    """The target's own name of a quantity."""
    return next((name for name in target.hyperparameters if name in NAMES.get(role, ())), None)


class Remedies:
    """The values that would take causes away, tried all together on the target."""

    def __init__(self, checkpoint: Checkpoint, target: Target, causes: list[Cause]) -> None:
        self.target = target
        self.changes = {cause.code: self.change(cause) for cause in causes}
        joint: dict[str, Value] = {}
        for change in self.changes.values():
            joint |= change
        self.left = self.tried(checkpoint, joint)

    def change(self, cause: Cause) -> dict[str, Value]:
        """The cause's values under the target's names; empty where one of them has none."""
        values: dict[str, Value] = {}
        for role, value in cause.roles.items():
            values |= self.setting(role, value, cause)
            if not values:
                return {}
        return values

    def setting(self, role: str, value: Value, cause: Cause) -> dict[str, Value]:
        name, held = named(role, self.target), self.target.hyperparameters
        if role == "inner":
            wide, many = named("dim_head", self.target), named("heads", self.target)
            each = held.get(wide) if wide else None
            if many and isinstance(each, int) and isinstance(value, int) and value % each == 0:
                return {many: value // each}
            return {}
        if role == "mlp_dim" and (name is None or held.get(name) is None):
            return self.ratio(value, cause)
        if name is None:
            return {}
        if role in PAIRS and isinstance(value, list):
            square = value[0] == value[1] and not isinstance(held[name], list)
            return {name: value[0] if square else value}
        if role == "heads" and (wide := named("dim_head", self.target)) and isinstance(each := held.get(wide), int):
            inner = cause.roles.get("dim")
            return {name: inner // each} if isinstance(inner, int) and inner % each == 0 else {}
        return {name: value}

    def ratio(self, value: Value, cause: Cause) -> dict[str, Value]:
        name, dim = named("mlp_ratio", self.target), named("dim", self.target)
        width = cause.roles.get("dim") or (self.target.hyperparameters.get(dim) if dim else None)
        if name is None or not isinstance(width, int) or not isinstance(value, int):
            return {}
        ratio = value / width
        return {name: int(ratio) if ratio == int(ratio) else ratio}

    def tried(self, checkpoint: Checkpoint, values: dict[str, Value]) -> set[str] | None:
        """Codes of the causes that stay with all these values; None where it cannot be built so."""
        if not values or self.target.variant is None:
            return None
        from vit_trace.weights.model import model_of

        try:
            target = self.target.variant(values)
            found = nearest(checkpoint.entries, model_of(target))
            return {cause.code for cause in why(found, *descriptions(checkpoint, found, target))}
        except Exception:  # a value that cannot be is none to offer
            return None

    def diagnostic(self, cause: Cause, places: Mapping[str, Source]) -> Diagnostic:
        change = self.changes[cause.code]
        help = list(cause.help)
        if change and self.left is not None and cause.code not in self.left:
            words = ", ".join(f"{name} {value_words(value)}" for name, value in change.items())
            others = sum(bool(one) for one in self.changes.values()) > 1
            told = f"with the other changes {self.outcome()}" if others else self.outcome()
            help.append(f"set {words} (tried: {told})")
        names = [name for role in cause.roles if (name := named(role, self.target))]
        span = next((places[name] for name in names if name in places), None)
        return Diagnostic(cause.code, cause.severity, cause.message, span, cause.notes, tuple(help))

    def outcome(self) -> str:
        return "every tensor fits" if not self.left else "its tensors fit"
