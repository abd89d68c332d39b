"""timm's args.yaml: the arguments of its train.py, `model` among them."""

from __future__ import annotations

from vit_trace.config.tree import child, text_at
from vit_trace.config.words import Node
from vit_trace.targets.called import named_model
from vit_trace.targets.model_found import Form, ModelFound, Standing, is_empty

OWN = ("opt", "sched", "crop_pct", "model_ema", "aa", "reprob", "train_split", "drop_path", "gp", "checkpoint_hist")
"""Arguments that only a training script of this family has."""

PASSED = dict(in_chans="in_chans", num_classes="num_classes", drop="drop_rate", drop_path="drop_path_rate")
PASSED |= dict(drop_block="drop_block_rate", gp="global_pool")
"""Arguments that create_model gets, with the names that it has for them."""


def _timm_args(mapping: Node, site: Standing) -> ModelFound | None:
    name = child(mapping, "model")
    if name is None or not text_at(mapping, "model") or sum(child(mapping, key) is not None for key in OWN) < 2:
        return None
    settings: dict[str, Node] = {}
    for own, passed in PASSED.items():
        if (value := child(mapping, own)) is not None and not is_empty(value):
            settings[passed] = value
    more = child(mapping, "model_kwargs")
    settings |= {key.text: value for key, value in more.entries} if more is not None else {}
    image, sizes = child(mapping, "img_size"), child(mapping, "input_size")
    if (image is None or is_empty(image)) and sizes is not None and len(sizes.items) == 3:
        image = sizes._replace(items=sizes.items[1:])
        settings.setdefault("in_chans", sizes.items[0])
    found = named_model("timm", name, settings)
    batch = child(mapping, "batch_size")
    own_size = "img_size" in settings or image is None or is_empty(image)
    return ModelFound(found.spec, name.span, found.settings, None if own_size else image, batch)


FORM = Form(_timm_args, 2)
