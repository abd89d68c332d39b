"""Reads settings from a YAML file, flags and --set, and makes the config of them over the reference case.

A later source wins over an earlier one. One `ConfigError` holds the problems of all sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vit_trace.config.files import file_name, file_text
from vit_trace.config.grid import grid_problems
from vit_trace.config.hyperparameters import Setting, Value, ViTConfig
from vit_trace.config.layers import Layer, layer_of
from vit_trace.config.page import Page, top_level
from vit_trace.config.places import COMMAND_LINE, Node, line_span, one_line
from vit_trace.config.words import ConfigError, diagnostic, in_quotes


def load(path: Path | None = None, flags: Mapping[str, str] = {}, assignments: Sequence[str] = ()) -> ViTConfig:
    """The config of a file, flags and --set, the later ones winning. Raises ConfigError with all that is wrong."""
    return settle(path, flags, assignments).config


class Settled(NamedTuple):
    """The config, and the settings that were given for it, each with its place."""

    config: ViTConfig
    given: Mapping[str, Setting]


def settle(path: Path | None = None, flags: Mapping[str, str] = {}, assignments: Sequence[str] = ()) -> Settled:
    """As `load`, with the settings that were given. Raises ConfigError with all that is wrong."""
    return _settled(_layers(path, flags, assignments))


def given_anyway(
    path: Path | None = None, flags: Mapping[str, str] = {}, assignments: Sequence[str] = ()
) -> dict[str, Value]:
    """The values that can be read from file, flags and --set, whatever is wrong with the others."""
    layers = _layers(path, flags, assignments)
    return {name: setting.value for layer in layers for name, setting in layer.settings.items()}


def _layers(path: Path | None, flags: Mapping[str, str], assignments: Sequence[str]) -> list[Layer]:
    files = [_yaml_layer(path)] if path is not None else []
    return [*files, _flag_layer(flags), _assignment_layer(assignments)]


def _settled(layers: Sequence[Layer]) -> Settled:
    given = {name: setting for layer in layers for name, setting in layer.settings.items()}
    rank = {name: index for index, layer in enumerate(layers) for name in layer.settings}
    problems = [problem for layer in layers for problem in layer.problems]
    if not {"image_size", "patch_size"} & {name for layer in layers for name in layer.refused}:
        problems += grid_problems(given, rank)
    if problems:
        raise ConfigError(*problems)
    values: dict[str, Any] = {name: setting.value for name, setting in given.items()}
    return Settled(ViTConfig(**values), given)


def _yaml_layer(path: Path) -> Layer:
    try:
        entries = top_level(Page(file_name(path), file_text(path)))
    except ConfigError as error:
        return Layer({}, list(error.diagnostics), set())
    return layer_of(entries)


def _flag_layer(raw: Mapping[str, str]) -> Layer:
    entries = []
    for name, value in raw.items():
        flag = one_line(f"--{name.replace('_', '-')} ")
        line = flag + one_line(value)
        entries.append((_typed(name, line, 0, len(flag) - 1), _typed(value, line, len(flag), len(line))))
    return layer_of(entries)


def _assignment_layer(assignments: Sequence[str]) -> Layer:
    entries, malformed = [], []
    start = len("--set ")
    for assignment in assignments:
        line = "--set " + one_line(assignment)
        name, equals, value = assignment.partition("=")
        if not equals:
            span = line_span(COMMAND_LINE, 1, line, start, len(line))
            message = f"--set takes KEY=VALUE, not {in_quotes(assignment)}"
            malformed.append(diagnostic("assignment", message, span, help=("for example --set dim=512",)))
            continue
        middle = start + len(name)
        entries.append((_typed(name, line, start, middle), _typed(value, line, middle + 1, len(line))))
    layer = layer_of(entries, repeatable=True)
    return layer._replace(problems=[*malformed, *layer.problems])


def _typed(text: str, line: str, start: int, end: int) -> Node:
    return Node("text", line_span(COMMAND_LINE, 1, line, start, end), text)
