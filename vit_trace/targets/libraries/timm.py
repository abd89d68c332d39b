"""timm:NAME. Makes models as timm's create_model does, without weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import refuse
from vit_trace.base.roles import value_of
from vit_trace.base.words import first_few
from vit_trace.targets import assignments
from vit_trace.targets.complaints import did_you_mean
from vit_trace.targets.defined import usual_first
from vit_trace.targets.inputs import Plan, height_width, image_plan
from vit_trace.targets.library import Library
from vit_trace.targets.recipe import assemble_call
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


def _timm_model(name: str, request: Request) -> Foreign:
    """The model of that name. Raises Refused."""
    timm = LIBRARY.load()
    if not timm.is_model(name):
        known = timm.list_models()
        begins = sorted((one for one in known if one.startswith(name)), key=usual_first)
        near: tuple[str, ...] = (
            (f"timm:{name}… may be {first_few([f'timm:{one}' for one in begins], 5)}",) if begins else ()
        )
        near = near or did_you_mean(name, known, "timm:") or did_you_mean(name.partition("_")[0], known, "timm:")
        raise refuse("unknown-model", f"timm has no model {name}", help=(*near, "vit-trace models 'timm:*vit*'"))
    _refuse_tag(timm, name)
    LIBRARY.require_no_weights(request)
    values = {key: assignments.literal(text) for key, text in request.assigned.items()}
    create = partial(timm.create_model, name, pretrained=False)
    return assemble_call(f"timm:{name}", create, values, partial(_plans, request), request)


def _refuse_tag(timm: Any, name: str) -> None:
    """Refuse a tag of weights that timm does not know, which it would only say after building. Raises Refused."""
    base, dot, tag = name.partition(".")
    tags = timm.list_pretrained(f"{base}.*") if dot else []
    if tag and name not in tags:
        help = did_you_mean(name, tags, "timm:") or (f"timm:{base}",)
        more = f"the tag changes no shape: timm:{base}"
        raise refuse("unknown-model", f"timm has no {base} of the tag {tag}", help=(*help, more))


def _plans(request: Request, built: Built) -> list[Plan]:
    """One batch of images of the size the model was made for."""
    arguments = built.call.arguments if built.call else {}
    config = getattr(built.model, "pretrained_cfg", None) or {}
    channels, *sides = config.get("input_size") or (3, 224, 224)
    height, width = request.image or height_width(value_of("image", arguments.get)) or height_width(sides) or (224, 224)
    return [image_plan(request.batch, value_of("channels", arguments.get) or channels, height, width)]


FETCHING = frozenset("pretrained checkpoint_path cache_dir pretrained_cfg pretrained_cfg_overlay".split())
LIBRARY: Library = Library(
    "timm", "timm:vit_base_patch16_224", _timm_model, names=lambda: LIBRARY.load().list_models(), fetching=FETCHING
)
