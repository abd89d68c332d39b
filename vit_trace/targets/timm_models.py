"""timm:NAME. The model as timm's create_model makes it, without weights; what is turned is what its class takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vit_trace.output import refuse
from vit_trace.targets import assignments
from vit_trace.targets.complaints import contained, did_you_mean, missing_library, refusal
from vit_trace.targets.foreign import Foreign, Recipe, assemble, build_first
from vit_trace.targets.inputs import Plan, image_plan, pair
from vit_trace.targets.request import Request

if TYPE_CHECKING:
    from vit_trace.tracing.ladder import Built

FORBIDDEN = {"pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay"}
"""Arguments of create_model that fetch weights."""


def timm_model(name: str, request: Request) -> Foreign:
    """The model of that name. Raises Refused."""
    timm = library()
    if not timm.is_model(name):
        known = timm.list_models()
        near = did_you_mean(name, known, "timm:") or did_you_mean(name.partition("_")[0], known, "timm:")
        raise refuse("unknown-model", f"timm has no model {name}", help=(*near, "vit-trace models 'timm:*vit*'"))
    values = {key: assignments.literal(text) for key, text in request.assignments.items()}
    if fetched := FORBIDDEN & values.keys():
        raise refuse("no-weights", f"--set {min(fetched)}: a trace needs no weights and fetches none")
    spec = f"timm:{name}"

    def make() -> object:
        return timm.create_model(name, pretrained=False, **values)

    try:
        built = build_first(spec, make, request.rules)
    except Exception as error:
        raise explained(spec, error) from error
    return assemble(Recipe(spec, make, built, plans=lambda one: plans(one, request)), request)


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


def explained(spec: str, error: Exception) -> Exception:
    """A complaint about an argument that the class does not take, with the nearest that it takes."""
    cause = error.__cause__
    found = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(cause))
    if cause is None or not found:
        return error
    made = class_on(cause.__traceback__, found[1])
    parameters = assignments.signature_of(made) if made else None
    names = assignments.named(parameters) if parameters else []
    if names:
        return assignments.unknown(found[2], names, f"{spec} ({found[1]})")
    return refusal("unknown-hyperparameter", f"{spec} takes no {found[2]}")


def class_on(traceback: TracebackType | None, name: str) -> type | None:
    """The class of that name among the variables on a traceback."""
    while traceback is not None:
        scopes: tuple[Mapping[str, Any], ...] = (traceback.tb_frame.f_locals, traceback.tb_frame.f_globals)
        for values in scopes:
            for value in values.values():
                if isinstance(value, type) and value.__name__ == name:
                    return value
        traceback = traceback.tb_next
    return None


def names() -> list[str]:
    """Every model's name."""
    return list(library().list_models())
