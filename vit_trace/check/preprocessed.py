"""Checks the size that a model's image processor makes, in preprocessor_config.json, against what the model takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic
from vit_trace.check.rules import Change
from vit_trace.check.subject import Examined, examined
from vit_trace.config.json_text import json_places
from vit_trace.targets.huggingface.configs import read_object
from vit_trace.targets.inputs import height_width

FILE, CODE = "preprocessor_config.json", "preprocessor-size"


def wrong_size(subject: Examined) -> Iterator[Diagnostic]:
    """A warning where the images of the processor do not fit the model, which is tried."""
    folder = Path(subject.spec or "")
    file = (folder if os.path.isdir(folder) else folder.parent) / FILE
    given, expected = subject.request.inputs, subject.facts.target.expected
    if subject.spec is None or not subject.facts.json_fields or given or expected is None or not os.path.isfile(file):
        return
    try:
        key, size = _made_size(read_object(file))
    except Refused:
        return
    if size is None or size == tuple(expected[-2:]):
        return
    inputs = (f"pixel_values={'x'.join(map(str, (*expected[:-2], *size)))}",)
    if not _runs(subject, inputs):
        places = json_places(str(file))
        height, width = expected[-2:]
        message = f"the image processor makes {size[0]}×{size[1]}, the model takes {height}×{width}"
        notes = (f"tried: the model fails at {size[0]}×{size[1]}",)
        help = [f"{key} {height} in {FILE} (tried: the model runs at {height}×{width})"] if height == width else []
        if size[0] == size[1] and _runs(subject, inputs, {"image_size": size[0]}):
            help.append(f"image_size {size[0]} in config.json (tried: builds and runs)")
        yield Diagnostic(CODE, "warning", message, places.values.get((key,)) if places else None, notes, tuple(help))


def _runs(subject: Examined, inputs: tuple[str, ...], change: Change | None = None) -> bool:
    try:
        return examined(subject.spec, replace(subject.request, inputs=inputs), change, False).runs
    except Exception:  # whatever it raises: it does not run
        return False


def _made_size(values: Mapping[str, Any]) -> tuple[str, tuple[int, int] | None]:
    """The key that decides the size of the images, and that size; None where it depends on the image."""
    crops = values.get("do_center_crop") and values.get("crop_size") is not None
    key = "crop_size" if crops else "size"
    if not crops and not values.get("do_resize", True):
        return key, None
    given = values.get(key)
    if isinstance(given, dict):
        sides = given.get("height"), given.get("width")
        return key, sides if type(sides[0]) is int and type(sides[1]) is int else None  # type: ignore[return-value]
    return key, height_width(given)
