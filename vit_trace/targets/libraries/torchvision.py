"""torchvision:NAME. Makes models as torchvision's get_model does, without weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import refuse
from vit_trace.targets import assignments
from vit_trace.targets.complaints import did_you_mean
from vit_trace.targets.guess import guessed_plans
from vit_trace.targets.inputs import Plan
from vit_trace.targets.library import Library
from vit_trace.targets.recipe import assemble_call
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built

WEIGHTS = ("weights", "weights_backbone")
"""Arguments that are set to None: what they default to downloads weights."""


def _torchvision_model(name: str, request: Request) -> Foreign:
    """The model of that name. Raises Refused."""
    models = LIBRARY.load("torchvision.models")
    if name not in models.list_models():
        near = did_you_mean(name, models.list_models(), "torchvision:")
        help = (*near, "vit-trace models 'torchvision:*'")
        raise refuse("unknown-model", f"torchvision has no model {name}", help=help)
    builder = models.get_model_builder(name)
    values = assignments.call_values(request.assigned, builder)
    LIBRARY.require_no_weights(request)
    taken = assignments.signature_of(builder) or {}
    create = partial(builder, **{key: None for key in WEIGHTS if key in taken})
    return assemble_call(f"torchvision:{name}", create, values, partial(_plans, models, name, request), request)


def _plans(models: Any, name: str, request: Request, built: Built) -> list[Plan]:
    """Images of the size that the published weights were made for, or of the size in the model's arguments."""
    weights = list(models.get_model_weights(name))
    side = None
    if weights and hasattr(weights[-1], "transforms"):
        side = getattr(weights[-1].transforms(), "crop_size", None)
    return guessed_plans(built, request, list(side) if side else None)


def _torchvision_names() -> list[str]:
    return list(LIBRARY.load("torchvision.models").list_models())


LIBRARY = Library(
    package="torchvision",
    extra="torchvision",
    example="torchvision:vit_b_16",
    model=_torchvision_model,
    names=_torchvision_names,
    fetching=frozenset((*WEIGHTS, "pretrained")),
)
