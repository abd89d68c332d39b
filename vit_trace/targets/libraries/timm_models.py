"""timm:NAME. The model as timm's create_model makes it, without weights; what is turned is what its class takes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import refuse
from vit_trace.targets import assignments
from vit_trace.targets.building import build_first
from vit_trace.targets.complaints import contained, did_you_mean, missing_library
from vit_trace.targets.inputs import Plan, image_plan, pair
from vit_trace.targets.libraries.misfits import explained
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built

FORBIDDEN = {"pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay"}
"""Arguments of create_model that fetch weights."""


def timm_model(name: str, request: Request) -> Foreign:
    """The model of that name. Raises Refused."""
    timm = library()
    if not timm.is_model(name):
        known = timm.list_models()
        near = did_you_mean(name, known, "timm:") or did_you_mean(name.partition("_")[0], known, "timm:")
        raise refuse("unknown-model", f"timm has no model {name}", help=(*near, "vit-trace models 'timm:*vit*'"))
    refuse_tag(timm, name)
    values = {key: assignments.literal(text) for key, text in request.assigned.items()}
    if fetched := FORBIDDEN & values.keys():
        raise refuse("no-weights", f"--set {min(fetched)}: a trace needs no weights and fetches none")
    spec = f"timm:{name}"

    def make() -> object:
        return timm.create_model(name, pretrained=False, **values)

    try:
        built = build_first(spec, make, request.rules)
    except Exception as error:
        plain = partial(timm.create_model, name, pretrained=False)
        raise explained(spec, error, request.assigned, plain) from error
    return assemble(Recipe(spec, make, built, plans=lambda one: plans(one, request)), request)


def refuse_tag(timm: Any, name: str) -> None:
    """Refuse a name with a tag of weights that timm does not know, and says so only once it builds. Raises Refused."""
    base, dot, tag = name.partition(".")
    tags = timm.list_pretrained(f"{base}.*") if dot else []
    if tag and name not in tags:
        help = did_you_mean(name, tags, "timm:") or (f"timm:{base}",)
        raise refuse(
            "unknown-model",
            f"timm has no {base} of the tag {tag}",
            help=(*help, f"the tag changes no shape: timm:{base}"),
        )


def library() -> Any:
    try:
        with contained():
            import timm
    except Exception as error:
        raise missing_library("timm", "timm", error) from error
    return timm


def plans(built: Built, request: Request) -> list[Plan]:
    """One batch of images of the size the model was made for."""
    arguments = built.call.arguments if built.call else {}
    config = getattr(built.model, "pretrained_cfg", None) or {}
    channels, *sides = config.get("input_size") or (3, 224, 224)
    given = arguments.get("img_size", arguments.get("input_size"))
    height, width = request.image or pair(given) or pair(sides) or (224, 224)
    return [image_plan(request.batch, arguments.get("in_chans", channels), height, width)]


def names() -> list[str]:
    """Every model's name."""
    return list(library().list_models())
