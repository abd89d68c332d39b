"""torchvision:NAME. The model as torchvision's get_model makes it, without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import refuse
from vit_trace.targets import assignments
from vit_trace.targets.building import build_first
from vit_trace.targets.complaints import contained, did_you_mean, missing_library
from vit_trace.targets.guess import guessed_plans
from vit_trace.targets.inputs import Plan
from vit_trace.targets.libraries.misfits import explained
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


def torchvision_model(name: str, request: Request) -> Foreign:
    """The model of that name. Raises Refused."""
    models = library()
    if name not in models.list_models():
        near = did_you_mean(name, models.list_models(), "torchvision:")
        help = (*near, "vit-trace models 'torchvision:*'")
        raise refuse("unknown-model", f"torchvision has no model {name}", help=help)
    builder = models.get_model_builder(name)
    values = assignments.call_values(request.assigned, builder)
    if fetched := {"weights", "weights_backbone", "pretrained"} & values.keys():
        raise refuse("no-weights", f"--set {min(fetched)}: a trace needs no weights and fetches none")
    nothing = {key: None for key in ("weights", "weights_backbone") if takes(builder, key)}
    spec = f"torchvision:{name}"

    def make() -> object:
        return builder(**nothing, **values)

    try:
        built = build_first(spec, make, request.rules)
    except Exception as error:
        raise explained(spec, error, request.assigned, lambda: builder(**nothing)) from error
    return assemble(Recipe(spec, make, built, plans=lambda one: plans(models, name, one, request)), request)


def takes(builder: Any, name: str) -> bool:
    return name in (assignments.signature_of(builder) or {})


def library() -> Any:
    try:
        with contained():
            import torchvision.models
    except Exception as error:
        raise missing_library("torchvision", "torchvision", error) from error
    return torchvision.models


def plans(models: Any, name: str, built: Built, request: Request) -> list[Plan]:
    """Images of the size that the published weights were made for, or what the model's own arguments say."""
    weights = list(models.get_model_weights(name))
    side = None
    if weights and hasattr(weights[-1], "transforms"):
        side = getattr(weights[-1].transforms(), "crop_size", None)
    return guessed_plans(built, request, list(side) if side else None)


def names() -> list[str]:
    """Every model's name."""
    return list(library().list_models())
