"""Applies the flags of the built-in ViT to other models: --heads changes whichever argument counts the heads there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.roles import Path, other_names, same_role
from vit_trace.targets.assignments import literal
from vit_trace.targets.inputs import height_width
from vit_trace.targets.knobs import Changes, is_integer, walk_values

INPUT_FLAGS = ("batch_size", "image_size")
"""Flags that are not only for the constructor: the input follows them."""

SIZES = ("patch_size", "num_classes", "dim", "depth", "heads", "mlp_dim", "channels", "dim_head")
"""Flags whose argument is known by its name in any library. Words and rates mean other things elsewhere."""

TWINS = {"patch_height": "patch_width"}
"""Arguments that one flag gives both."""


def flag_changes(flags: Mapping[str, str], arguments: Mapping[str, Any], assigned: Mapping[str, str]) -> Changes:
    """What the flags change in a model's arguments; what --set gives stays. Raises Refused."""
    changes: Changes = {}
    for flag, text in flags.items():
        if flag in INPUT_FLAGS:
            continue
        places = _arguments_meant(flag, arguments)
        if not places:
            raise _no_argument(flag, text, arguments)
        for path, value in places[:1]:
            twin = (*path[:-1], TWINS.get(str(path[-1]), ""))
            changes[path] = _in_form(flag, text, path, value)
            changes |= {other: _in_form(flag, text, other, held) for other, held in places if other == twin}
    return {path: value for path, value in changes.items() if _name(path) not in assigned}


def required_values(flags: Mapping[str, str], names: list[str]) -> dict[str, Any]:
    """The values that flags give to arguments without a default."""
    given: dict[str, Any] = {}
    for flag in (*SIZES, "image_size"):
        for name in same_role(flag, names) if flag in flags else ():
            given[name] = literal(flags[flag])
    return given


def require_followed(changes: Changes, after: Mapping[Path, Any]) -> None:
    """Refuse a change that the config undoes, because another field decides. Raises Refused."""
    for path, value in changes.items():
        if after.get(path, value) != value:
            raise refuse("flag-of-the-builtin", f"{_name(path)} follows from other fields: it stays {after[path]}")


def _arguments_meant(flag: str, arguments: Mapping[str, Any]) -> list[tuple[Path, Any]]:
    """(path, value) of the arguments that have the flag's role, the surest name first, those of a part last."""
    names = other_names(flag) if flag in SIZES else ()
    held = [(path, value) for path, value in walk_values(arguments) if path[-1] in names and "text" not in str(path)]
    usable = [(path, value) for path, value in held if _parts(value) or value is None]
    return sorted(usable, key=lambda one: (one[1] is None, len(one[0]), names.index(str(one[0][-1]))))


def _parts(value: Any) -> list[int]:
    """The whole numbers that an argument is, or is a list of."""
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    return parts if all(map(is_integer, parts)) else []


def _in_form(flag: str, text: str, path: Path, value: Any) -> Any:
    """The flag's value in the form that the argument has. Raises Refused."""
    typed, option, name = literal(text), f"--{flag.replace('_', '-')}", _name(path)
    sides = height_width(typed) if flag == "patch_size" and _parts(typed) else None
    if (sides is None and (flag == "patch_size" or not is_integer(typed))) or min(_parts(typed)) < 1:
        takes = "16 or 16x8" if flag == "patch_size" else "a whole number above 0"
        raise refuse("bad-value", f"{option} {text}: it takes {takes}")
    if not isinstance(value, (tuple, list)):
        return dict(zip((*TWINS, *TWINS.values()), sides or (), strict=False)).get(str(path[-1]), typed)
    if sides is not None and len(value) in (2, 3):
        return type(value)((*value[:-2], *sides))
    shown = f"{name} is a list of {len(value)}, one for each stage"
    help = (f"--set {name}={','.join(map(str, value))} is what it has",)
    raise refuse("flag-of-the-builtin", f"{option} {text}: {shown}", help=help)


def _no_argument(flag: str, text: str, arguments: Mapping[str, Any]) -> Refused:
    """The refusal of a flag that no argument of the model has the role of."""
    near = same_role(flag, list(arguments))
    named = [f"--set {name}=VALUE (it is {arguments[name]!r})" for name in near]
    numbers = [name for name, value in arguments.items() if _parts(value)]
    help = named or ([f"--set NAME=VALUE takes {', '.join(numbers[:12])}"] if numbers else ["--set NAME=VALUE"])
    message = f"--{flag.replace('_', '-')} {text}: no argument of this model is known to mean that"
    return refuse("flag-of-the-builtin", message, help=tuple(help[:1]))


def _name(path: Path) -> str:
    return ".".join(map(str, path))
