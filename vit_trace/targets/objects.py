"""Makes the objects that a config names as arguments of a model: `_target_` of Hydra, `class_path` of Lightning."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.targets.contents import file_of
from vit_trace.targets.importing import module_of
from vit_trace.targets.library import library

NAMES = ("_target_", "class_path")
OF_HYDRA = ("_partial_", "_args_", "_convert_", "_recursive_")

LAYERS = (
    *("torch.nn.", "timm.layers.", "timm.models.", "timm.create_model", "torchvision.models.", "torchvision.ops."),
    *("vit_pytorch.", "einops.layers.", "functools.partial"),
)
"""What is made although it is not the user's own: layers and models, which read no file."""


def is_of_library(name: str) -> bool:
    return name.startswith(LAYERS)


def is_users_own(name: str) -> bool:
    """Whether a dotted name is in a file of the user's: importable, and in no directory of installed packages."""
    file = file_of(name.rpartition(".")[0])
    folders = (sysconfig.get_path(one) for one in ("stdlib", "purelib", "platlib"))
    return file is not None and not any(file.resolve().is_relative_to(Path(one).resolve()) for one in folders)


def with_objects(value: Any) -> Any:
    """The values with every object that they name made anew. Raises Refused for a name that may not be imported."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(with_objects, value))
    if not isinstance(value, Mapping):
        return value
    values = {key: with_objects(one) for key, one in value.items()}
    key = next((one for one in NAMES if isinstance(values.get(one), str)), None)
    if key is None:
        return values
    name, by_place, some = values.pop(key), values.pop("_args_", ()), values.pop("_partial_", False)
    if not is_of_library(name) and not is_users_own(name):
        raise refuse("needs-import", f"{name} is neither a layer of a library nor your own code: it is not imported")
    if key == "class_path":
        values = {**(values.get("init_args") or {}), **(values.get("dict_kwargs") or {})}
    found = library(name.partition(".")[0])
    left_out = (*OF_HYDRA, *(found.fetching if found is not None else ()))
    module, _, last = name.rpartition(".")
    given = {key: one for key, one in values.items() if key not in left_out}
    made = partial(getattr(module_of(module), last), *by_place, **given)
    return made if some else made()
