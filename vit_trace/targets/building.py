"""Builds the model of a library or of the user, and refuses what cannot be built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vit_trace.targets.complaints import contained, refusal

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


def build_first(spec: str, make: Callable[[], object], rules: bool = True) -> Built:
    """The model, built without memory. Raises Refused with the place in the user's code that raised."""
    from vit_trace.record.build.anyhow import NotAModel, build_anyhow

    try:
        with contained():
            return build_anyhow(make, rules)
    except NotAModel as other:
        message = f"{spec} gives {described(other.value)}, not a torch.nn.Module"
        raise refusal("not-a-model", message, help=("name a class or a function that returns the model",)) from None
    except Exception as error:
        if hasattr(error, "diagnostics"):
            raise
        raise refusal("build-failed", f"{spec} could not be built", error) from error


def described(value: object) -> str:
    """None, a dict, a class: what a factory returned."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
