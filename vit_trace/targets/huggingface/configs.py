"""Makes and changes Hugging Face configs: --set, other sizes, and what the fields of a config hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vit_trace.base import network
from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.files import FileProblem
from vit_trace.config.json_text import MAX_DIGITS, json_file, long_number
from vit_trace.targets import assignments
from vit_trace.targets.complaints import contained, refusal
from vit_trace.targets.huggingface.classes import config_class_of
from vit_trace.targets.huggingface.permitted import require_permitted
from vit_trace.targets.knobs import LABELS, Changes, change_values, integers, is_config
from vit_trace.targets.recipe import Recipe

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built
    from vit_trace.targets.inputs import Plan


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in the file. Raises Refused with the place of a syntax error."""
    try:
        text = json_file(file)
    except FileProblem as found:
        raise refuse("unreadable-config", found.message, notes=found.notes, help=found.help) from None
    except UnicodeDecodeError as error:
        raise refuse("unreadable-config", f"{file}: {error}") from None
    if (place := long_number(text, str(file))) is not None:
        message = f"{file}: a number of {place.end_column - place.column:,} digits, {MAX_DIGITS} are read at most"
        raise Refused(Diagnostic("bad-value", "error", message, place))
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        line = "".join(text.splitlines()[error.lineno - 1 : error.lineno])
        span = Source(str(file), error.lineno, error.lineno, error.colno - 1, error.colno, line[error.colno - 1 :][:1])
        raise Refused(Diagnostic("not-json", "error", f"{file} is not JSON: {error.msg}", span)) from None
    except RecursionError:
        raise refuse("not-json", f"{file} is nested too deeply") from None
    if not isinstance(values, dict):
        raise refuse("not-a-config", f"{file} holds no JSON object")
    return values


def config_of(spec: str, config_class: type, values: Mapping[str, Any]) -> Any:
    """The config with these values. Raises Refused with the config's own words where it rejects one."""
    require_permitted(spec, values)
    try:
        with contained():
            return config_class.from_dict(dict(values))  # type: ignore[attr-defined]
    except Exception as error:
        if network.refusal_behind(error) is not None:
            raise refusal("bad-value", f"{spec} could not be read", error) from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        notes = tuple(line for line in lines[:-1] if not line.endswith(":"))
        raise refuse("bad-value", f"{spec}: {lines[-1].removeprefix('TypeError: ')}", notes=notes) from error


def arguments_of(config: Any) -> dict[str, Any]:
    """The fields of a config with their values."""
    return {name: value for name, value in vars(config).items() if not name.startswith("_")}


def sizes_of(config: Any) -> dict[Any, Any]:
    """Every whole number, or list of them, in a config and its parts."""
    return dict(integers(arguments_of(config)))


def _fields_of(config: Any) -> list[str]:
    """Every name under which a field of the config can be set."""
    return [*arguments_of(config), "num_labels", *getattr(type(config), "attribute_map", {})]


def known_fields(file: Path) -> tuple[str, ...]:
    """The fields that the config class of a config.json reads; none where its class cannot be found."""
    try:
        kind = config_class_of(read_object(file), file)
        with contained():
            return tuple(_fields_of(kind()))
    except Exception:
        return ()


def assign(config: Any, values: Mapping[str, Any], assigned: Mapping[str, str]) -> dict[str, Any]:
    """The config's values with --set on them; `vision_config.hidden_size` sets a value of a part. Raises Refused."""
    given = dict(values)
    for name, text in assigned.items():
        owner, target = config, given
        *parts, last = name.split(".")
        for part in parts:
            inner = getattr(owner, part, None)
            if not is_config(inner):
                configs = [one for one, value in vars(owner).items() if is_config(value)]
                raise assignments.unknown(part, configs or _fields_of(owner), type(owner).__name__)
            target[part] = _values_of(inner, target.get(part))
            owner, target = inner, target[part]
        if last not in _fields_of(owner):
            raise assignments.unknown(last, _fields_of(owner), type(owner).__name__)
        target[last] = assignments.typed(name, text, getattr(owner, last, None))
    return given


def _values_of(part: Any, given: Any) -> dict[str, Any]:
    """The values that make a part of a config: those given for it, else where it differs from its class's defaults."""
    return dict(given) if isinstance(given, dict) else dict(part.to_diff_dict())


def alter(config: Any, given: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The values of a config with some changed, for the config to work out again what follows from them."""
    made = dict(given)
    below: dict[str, Changes] = {}
    for path, value in changes.items():
        below.setdefault(str(path[0]), {})[path[1:]] = value
    for name, inner in below.items():
        value = getattr(config, name, None)
        if () in inner:
            made[name] = inner[()]
        elif is_config(value):
            made[name] = alter(value, _values_of(value, made.get(name)), inner)
        else:
            made[name] = change_values(value, inner)
    return {name: value for name, value in made.items() if "num_labels" not in made or name not in LABELS}


CLASSIFIERS = ("Classification", "Segmentation")
"""Words in the names of model classes that have `num_labels` outputs."""


class Configured(NamedTuple):
    """A config, those of its values that were given, and what makes a model of a config."""

    config: Any
    given: Mapping[str, Any]
    make: Callable[[Any], object]

    def config_with(self, changes: Changes) -> Any:
        """The config with some values changed, and what follows from them worked out again."""
        return type(self.config).from_dict(alter(self.config, self.given, changes))

    def vary(self, changes: Changes) -> object:
        return self.make(self.config_with(changes))

    def recipe(self, spec: str, built: Built, plans: Callable[[Built], Sequence[Plan]]) -> Recipe:
        """How its model is made again and fed."""
        arguments = arguments_of(self.config)
        if own := getattr(type(self.config), "__dataclass_fields__", None):  # the rest it works out of these
            arguments = {name: value for name, value in arguments.items() if name in own or name in self.given}
        if "num_labels" not in arguments and any(word in type(built.model).__name__ for word in CLASSIFIERS):
            arguments["num_labels"] = self.config.num_labels
        return Recipe(spec, partial(self.vary, {}), built, plans, arguments, self.vary, self.sizes)

    def sizes(self, changes: Changes) -> dict[Any, Any]:
        """All numbers that a change leads to."""
        return sizes_of(self.config_with(changes))


def given_of(config: Any) -> dict[str, Any]:
    """The values that a config must have been given: those that it does not work out itself from the others."""
    given = dict(config.to_diff_dict())
    whole = config.to_dict()
    for name in [*given]:
        rest = {other: value for other, value in given.items() if other != name}
        if type(config).from_dict(rest).to_dict() == whole:
            given = rest
    return given
