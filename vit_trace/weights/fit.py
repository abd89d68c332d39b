"""Checks whether a checkpoint fits a target: one diagnostic for each cause, with remedies that were tried.

Builds the target, and it again at other values, without memory. Imports torch, late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from vit_trace.base.trace import Diagnostic, Source, Value
from vit_trace.targets.target import Target, value_words
from vit_trace.weights.causes import Misfit, MisfitKind, misfits_of
from vit_trace.weights.causes.names import MODEL, find_names, other_model, saved_names
from vit_trace.weights.causes.parts import adapter_alone, adapter_in, parts_of
from vit_trace.weights.causes.quiet import about_file, other_dtypes, other_heads, packed
from vit_trace.weights.compare import Comparison, compared
from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.describe import Description, description, description_of
from vit_trace.weights.mapping import Conversion
from vit_trace.weights.model import Model, loads, model_at_hand, model_of, name_in
from vit_trace.weights.published import published_like
from vit_trace.weights.remedy import remedy_for
from vit_trace.weights.wrapped import Unwrapped, unwrapped

if TYPE_CHECKING:
    from torch import nn


class Fit(NamedTuple):
    """What keeps a checkpoint from being loaded, and how it can be loaded nevertheless; None where it cannot."""

    diagnostics: list[Diagnostic]
    remedy: Conversion | None


def fit(checkpoint: Checkpoint, target: Target, places: Mapping[str, Source] | None = None) -> list[Diagnostic]:
    """What keeps the checkpoint from being loaded into the target; nothing where it fits.

    Args:
        places: where the values of the target were given.

    Raises what the target's constructor raises.
    """
    return judged(checkpoint, target, places).diagnostics


def judged(checkpoint: Checkpoint, target: Target, places: Mapping[str, Source] | None = None) -> Fit:
    """What keeps the checkpoint from being loaded, and the remedy. Raises what the target's constructor raises."""
    return _judged(checkpoint, target, model_of(target), places or {})


def about_module(checkpoint: Checkpoint, module: nn.Module) -> Fit:
    """The same for a model at hand, whatever device it is on; it is not built again."""
    name = type(module).__name__
    target = Target(name, name, {}, lambda: module, lambda: ((), {}))
    return _judged(checkpoint, target, model_at_hand(module), {})


def _judged(checkpoint: Checkpoint, target: Target, model: Model, places: Mapping[str, Source]) -> Fit:
    other = adapter_alone(checkpoint.entries, model.entries, checkpoint.config or {}, checkpoint.path)
    other = other or packed(checkpoint, model)
    if other is not None:
        return Fit([_as_diagnostic(other, None)], None)
    found, plain = _compared(checkpoint, model)
    ours, misfits = _differences(found, checkpoint, target, plain, model)
    stranger = any(misfit.kind is MODEL for misfit in misfits)
    if not stranger and not plain.adapters:
        misfits = [*find_names(found, model, plain.wrappers), *misfits]
    quantised = [*other_dtypes(checkpoint, model)]
    remedy = None if stranger or quantised else whole_remedy(checkpoint, model)
    if not misfits and remedy is not None and not remedy.is_identity:
        misfits = [saved_names(remedy)]
    remedies = _Remedies(checkpoint, target, misfits)
    diagnostics = [remedies.diagnostic(misfit, places) for misfit in misfits]
    like = published_like(ours) if ours else None
    if like is not None and any(misfit.roles.keys() & {"dim", "depth", "patch", "image"} for misfit in misfits):
        diagnostics[0] = replace(diagnostics[0], notes=(*diagnostics[0].notes, f"checkpoint: {like.words}"))
    span = places.get(name_in(target, "heads") or "")
    diagnostics += [_as_diagnostic(one, span) for one in (other_heads(ours, target) if ours else ())]
    if remedy is not None and not remedy.is_identity and loads(remedy, checkpoint, model):
        diagnostics = _with_remedy(diagnostics, remedy, checkpoint)
    diagnostics += [_as_diagnostic(one, None) for one in (*quantised, *about_file(checkpoint))]
    return Fit(diagnostics, remedy)


def _with_remedy(diagnostics: list[Diagnostic], remedy: Conversion, checkpoint: Checkpoint) -> list[Diagnostic]:
    """The first of the diagnostics with the help that removes all of them."""
    told = [place for place, one in enumerate(diagnostics) if one.severity != "note"] or [0]
    if not diagnostics or checkpoint.format == "torch.distributed.checkpoint":
        return diagnostics
    first = diagnostics[told[0]]
    key = f", key={checkpoint.asked!r}" if checkpoint.asked else ""
    source = checkpoint.asked if checkpoint.format == "memory" else f"{checkpoint.path!r}{key}"
    call = f"vit_trace.load_state_dict(model, {source})"
    help = f"{call} does {remedy.words} (tried: it loads with strict=True)"
    return [replace(one, help=(*one.help, help)) if one is first else one for one in diagnostics]


def _compared(checkpoint: Checkpoint, model: Model) -> tuple[Comparison, Unwrapped]:
    """The comparison with the model, and what was taken apart for it: nothing where the names agree as they are."""
    bare = Unwrapped(checkpoint.entries, {})
    found = _nearest(checkpoint.entries, model)
    plain = unwrapped(checkpoint.entries) if found.items else bare
    if not plain.is_changed:
        return found, bare
    other = _nearest(plain.entries, model)
    return (other, plain) if len(other.items) <= len(found.items) else (found, bare)


def whole_remedy(checkpoint: Checkpoint, model: Model) -> Conversion | None:
    """How the checkpoint is loaded into the model under its own names; None where it cannot be."""
    found, plain = _compared(checkpoint, replace(model, saved=None))
    if plain.adapters:
        return None
    sides: tuple[Description, ...] = ()
    if found.ours and found.theirs and found.ours.plain and found.theirs.plain:
        config = {"image_size": None} if checkpoint.config is None else checkpoint.config
        sides = description(found.ours, config), description(found.theirs)
    remedy = remedy_for(found, plain.entries, model.entries, sides)
    if remedy is None:
        return None
    named = plain.names
    tensors = tuple(
        replace(move, parts=tuple(replace(part, name=named.get(part.name, part.name)) for part in move.parts))
        for move in remedy.tensors
    )
    used = {part.name for move in tensors for part in move.parts}
    left_out = tuple(name for name in checkpoint.entries if name not in used)
    return replace(remedy, tensors=tensors, left_out=left_out, taken=checkpoint.taken)


def _as_diagnostic(misfit: Misfit, span: Source | None, *help: str) -> Diagnostic:
    return Diagnostic(
        misfit.kind.code,
        misfit.severity or misfit.kind.severity,
        misfit.message,
        span,
        misfit.notes,
        (*misfit.help, *help),
    )


def _differences(
    found: Comparison, checkpoint: Checkpoint, target: Target, plain: Unwrapped, model: Model
) -> tuple[Description | None, list[Misfit]]:
    """The checkpoint's description where it is a Vision Transformer, every misfit but names."""
    described = found.ours is not None and found.ours.plain
    ours = description(found.ours, checkpoint.config) if found.ours and described else description_of(checkpoint)
    apart = [*adapter_in(plain, model.entries), *parts_of(found, plain)]
    if not found.items:
        return ours, apart
    if (stranger := other_model(found)) is not None:
        return ours, [stranger]
    explained = {item for misfit in apart for item in misfit.items}
    found = replace(found, items=tuple(item for item in found.items if item not in explained))
    if ours is None or found.theirs is None or not found.theirs.plain or not found.items:
        return ours, [*apart, *misfits_of(found)]
    size = target.expected[2:] if target.expected and len(target.expected) == 4 else None
    theirs = description(found.theirs, {"image_size": list(size)} if size else None)
    same_patch = not any({"patch_dim", "patch", "channels"} & set(item.axes) for item in found.items)
    if same_patch and found.ours is not None and found.ours.layout == found.theirs.layout:
        ours = replace(ours, channels=theirs.channels, patch=theirs.patch)  # flattened patches do not tell: it does
    return ours, [*apart, *misfits_of(found, ours, theirs)]


def _nearest(entries: Mapping[str, Entry], model: Model) -> Comparison:
    """The comparison with the model under its own names, or under those it is saved with where more of them agree."""
    saved = model.saved or {}
    more = sum(name in saved for name in entries) > sum(name in model.entries for name in entries)
    return compared(entries, saved if more else model.entries)


class _Remedies:
    """The values that would remove misfits, tried all together on the target."""

    def __init__(self, checkpoint: Checkpoint, target: Target, misfits: list[Misfit]) -> None:
        self.target = target
        self.changes = {misfit.kind: self.change(misfit) for misfit in misfits}
        joint = {name: value for change in self.changes.values() for name, value in change.items()}
        self.left = self.tried(checkpoint, joint)

    def change(self, misfit: Misfit) -> dict[str, Value]:
        """The misfit's values under the target's names; empty where the first of them has no name there."""
        settings = [self.setting(role, value, misfit) for role, value in misfit.roles.items()]
        return {name: value for one in settings for name, value in one.items()} if any(settings[:1]) else {}

    def setting(self, role: str, value: Value, misfit: Misfit) -> dict[str, Value]:
        name = name_in(self.target, role)
        if role == "inner":
            return self.heads_for(value)
        if role == "mlp_dim" and self.held(role) is None:
            return self.ratio(value, misfit)
        if name is None:
            return {}
        if role in ("image", "patch") and isinstance(value, list):
            square = value[0] == value[1] and not isinstance(self.held(role), list)
            return {name: value[0] if square else value}
        if role == "heads" and isinstance(self.held("dim_head"), int):
            return self.heads_for(misfit.roles.get("dim"))
        return {name: value}

    def held(self, role: str) -> Value:
        """The target's own value of a quantity; None where it has none."""
        return self.target.hyperparameters.get(name_in(self.target, role) or "")

    def heads_for(self, inner: Value) -> dict[str, Value]:
        """The number of heads that makes attention so wide inside, at the target's width of one head."""
        name, each = name_in(self.target, "heads"), self.held("dim_head")
        if name and isinstance(inner, int) and isinstance(each, int) and inner % each == 0:
            return {name: inner // each}
        return {}

    def ratio(self, value: Value, misfit: Misfit) -> dict[str, Value]:
        name, width = name_in(self.target, "mlp_ratio"), misfit.roles.get("dim") or self.held("dim")
        if name is None or not isinstance(width, int) or not isinstance(value, int):
            return {}
        ratio = value / width
        return {name: int(ratio) if ratio == int(ratio) else ratio}

    def tried(self, checkpoint: Checkpoint, values: dict[str, Value]) -> set[MisfitKind] | None:
        """Kinds of the misfits that remain with all these values; None where the target cannot be built with them."""
        if not values or self.target.variant is None:
            return None
        try:
            target = self.target.variant(values)
            model = model_of(target)
            found, plain = _compared(checkpoint, model)
            return {misfit.kind for misfit in _differences(found, checkpoint, target, plain, model)[1]}
        except Exception:  # a value that the model does not take is not offered
            return None

    def diagnostic(self, misfit: Misfit, places: Mapping[str, Source]) -> Diagnostic:
        change, help = self.changes[misfit.kind], []
        if change and self.left is not None and misfit.kind not in self.left:
            words = ", ".join(f"{name} {value_words(value)}" for name, value in change.items())
            others = sum(map(bool, self.changes.values())) > 1
            outcome = "its tensors fit" if self.left else "every tensor fits"
            help.append(f"set {words} (tried: {'with the other changes ' if others else ''}{outcome})")
        names = (name_in(self.target, role) or "" for role in misfit.roles)
        return _as_diagnostic(misfit, next((places[name] for name in names if name in places), None), *help)
