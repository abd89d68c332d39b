"""torchvision:NAME. Makes models as torchvision's get_model does, without weights."""

from functools import partial

from vit_trace.base.refused import refuse
from vit_trace.targets import assignments
from vit_trace.targets.complaints import did_you_mean
from vit_trace.targets.guess import guessed_plans
from vit_trace.targets.library import Library
from vit_trace.targets.recipe import assemble_call
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

WEIGHTS = ("weights", "weights_backbone")
"""Arguments that are set to None: what they default to downloads weights."""


def _torchvision_model(name: str, request: Request) -> Foreign:
    """The model of that name, fed what its published weights were made for, else what its arguments say."""
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
    published = list(models.get_model_weights(name))
    transforms = published[-1].transforms() if published and hasattr(published[-1], "transforms") else None
    plans = partial(guessed_plans, request=request, side=getattr(transforms, "crop_size", None))
    return assemble_call(f"torchvision:{name}", create, values, plans, request)


LIBRARY: Library = Library(
    "torchvision",
    "torchvision:vit_b_16",
    model=_torchvision_model,
    names=lambda: LIBRARY.load("torchvision.models").list_models(),
    fetching=frozenset((*WEIGHTS, "pretrained")),
)
