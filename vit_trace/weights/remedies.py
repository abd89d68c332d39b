"""Tries the values that would make a checkpoint fit, all together on the target. Imports torch, late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vit_trace.base.roles import ROLES, SETTINGS
from vit_trace.base.trace import Diagnostic, Source, Value
from vit_trace.targets.target import value_words
from vit_trace.weights.causes import Misfit
from vit_trace.weights.data import Checkpoint
from vit_trace.weights.differences import differences

if TYPE_CHECKING:
    from vit_trace.targets.target import Target

NAMES = ROLES | SETTINGS
"""What libraries call the quantities that a misfit would set."""

PAIRS = ("image", "patch")
"""Quantities that have a height and a width."""


def name_in(target: Target, role: str) -> str | None:
    """The target's own name of a quantity."""
    return next((name for name in target.hyperparameters if name in NAMES.get(role, ())), None)


class Remedies:
    """The values that would remove misfits, tried all together on the target."""

    def __init__(self, checkpoint: Checkpoint, target: Target, misfits: list[Misfit]) -> None:
        self.target = target
        self.changes = {misfit.code: self.change(misfit) for misfit in misfits}
        joint: dict[str, Value] = {}
        for change in self.changes.values():
            joint |= change
        self.left = self.tried(checkpoint, joint)

    def change(self, misfit: Misfit) -> dict[str, Value]:
        """The misfit's values under the target's names; empty where one of them has no name there."""
        values: dict[str, Value] = {}
        for role, value in misfit.roles.items():
            values |= self.setting(role, value, misfit)
            if not values:
                return {}
        return values

    def setting(self, role: str, value: Value, misfit: Misfit) -> dict[str, Value]:
        name = name_in(self.target, role)
        if role == "inner":
            return self.heads_for(value)
        if role == "mlp_dim" and self.held(role) is None:
            return self.ratio(value, misfit)
        if name is None:
            return {}
        if role in PAIRS and isinstance(value, list):
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

    def tried(self, checkpoint: Checkpoint, values: dict[str, Value]) -> set[str] | None:
        """Codes of the misfits that remain with all these values; None where the target cannot be built with them."""
        if not values or self.target.variant is None:
            return None
        from vit_trace.weights.model import model_of

        try:
            target = self.target.variant(values)
            return {misfit.code for misfit in differences(checkpoint, target, model_of(target)).misfits}
        except Exception:  # a value that the model does not take is not offered
            return None

    def diagnostic(self, misfit: Misfit, places: Mapping[str, Source]) -> Diagnostic:
        change = self.changes[misfit.code]
        help = list(misfit.help)
        if change and self.left is not None and misfit.code not in self.left:
            words = ", ".join(f"{name} {value_words(value)}" for name, value in change.items())
            others = sum(bool(one) for one in self.changes.values()) > 1
            outcome = "its tensors fit" if self.left else "every tensor fits"
            help.append(f"set {words} (tried: {'with the other changes ' if others else ''}{outcome})")
        names = [name for role in misfit.roles if (name := name_in(self.target, role))]
        span = next((places[name] for name in names if name in places), None)
        return Diagnostic(misfit.code, misfit.severity, misfit.message, span, misfit.notes, tuple(help))
