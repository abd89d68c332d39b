"""Refuses values of a config that make transformers download or import code, and sizes that it cannot work with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from vit_trace.base import network
from vit_trace.base.leaving import exceptions_only
from vit_trace.base.limits import require_size
from vit_trace.base.refused import Refused
from vit_trace.base.roles import Path
from vit_trace.base.trace import Diagnostic
from vit_trace.config.json_text import json_places
from vit_trace.targets.library import library

UNSEEN = ("_name_or_path", "torch_dtype", "dtype", "quantization_config", "auto_map", "transformers_version")
"""Keys of a saved config that do not change the model's structure."""

BUILT_IN = {"attn_implementation": ("eager", "sdpa", "flex_attention"), "experts_implementation": ("eager",)}
BUILT_IN |= {f"_{name}{more}": ways for name, ways in BUILT_IN.items() for more in ("", "_internal")}
"""Fields that choose code, with the choices that are in transformers and torch themselves; others are downloaded."""

PASSED_ON = ("model_args", "backbone_kwargs")
"""Fields that hold arguments of timm's create_model."""


def structure(values: Any) -> Any:
    """The values of a saved config without keys that do not change the model's structure, at any depth."""
    if isinstance(values, Mapping):
        return {key: structure(value) for key, value in values.items() if key not in UNSEEN}
    return [structure(value) for value in values] if isinstance(values, list) else values


def require_permitted(spec: str, values: Mapping[str, Any]) -> None:
    """Refuse values that fetch code or weights, or pass a limit. Raises Refused."""
    timm = library("timm")
    for path, value in _walked(values, ()):
        name, holder = str(path[-1]), str(path[-2]) if len(path) > 1 else ""
        choices = [one for one in (value.values() if isinstance(value, dict) else [value]) if one is not None]
        known = BUILT_IN.get(name, choices)
        if other := next((one for one in choices if one not in known), None):
            message = f"{spec}: {name} is {str(other)[:60]}, which is not built in, and no code is downloaded"
            raise _refused("remote-code", message, spec, path, f'"{name}": "{known[0]}" gives the same shapes')
        if holder in PASSED_ON and value and timm is not None and name in timm.fetching:
            message = f"{spec}: {holder}.{name}: a trace needs no weights and loads none"
            raise _refused("no-weights", message, spec, path, f"leave {name} out")
        with exceptions_only():
            require_size(name, value)


def _walked(values: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every value of a config and its parts, with its path."""
    for key, value in values.items():
        yield (*path, key), value
        if isinstance(value, Mapping):
            yield from _walked(value, (*path, key))


def _refused(code: str, message: str, spec: str, path: Path, help: str) -> Refused:
    """The refusal, pointed at the value in the file."""
    found = json_places(spec)
    return Refused(Diagnostic(code, "error", message, found.values.get(path) if found else None, (), (help,)))


@contextmanager
def download_named(spec: str, values: Mapping[str, Any]) -> Iterator[None]:
    """Names the field of the config behind a download that was refused. Raises Refused."""
    try:
        yield
    except Refused as refused:
        first = refused.diagnostics[0]
        if first.code != network.CODE:
            raise
        text = " ".join((*first.notes, network.refusal_behind(refused) or ""))
        named = [(path, value) for path, value in _walked(values, ()) if isinstance(value, str) and len(value) > 2]
        quoted = [one for one in named if one[1].rpartition(":")[2] in text] or [one for one in named if "/" in one[1]]
        if not quoted:
            raise
        path, value = quoted[0]
        message = f"{spec}: {'.'.join(map(str, path))} names {value[:100]}, which is not on this machine"
        found = json_places(spec)
        span = found.values.get(path) if found else None
        raise Refused(replace(first, message=message, span=span or first.span, labels=())) from refused
