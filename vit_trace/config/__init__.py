"""Hyperparameters of the built-in ViT, from a YAML file and from the command line, each with its place in the text.

Knows which keys there are, how a value is written and which values can be built; every problem becomes a `Diagnostic`
in a `ConfigError`. Knows nothing of torch or of the model, prints nothing and never exits.

From the bytes of a file to a config: `files` (a small regular file of UTF-8) → `page` (YAML's own events as top-level
keys, without anything that could grow, nest or construct) → `layers` (each key and, by `values`, its value) →
`settings` (which source wins) and `grid` (image and patch). Below them all: `hyperparameters`, `places`, `words`.
"""

from vit_trace.config.files import MAX_BYTES
from vit_trace.config.grid import near_divisors, near_multiples
from vit_trace.config.hyperparameters import KEYS, MAX_COUNT, MAX_DEPTH, REFERENCE, SYNONYMS, Setting, ViTConfig
from vit_trace.config.layers import MAX_PROBLEMS
from vit_trace.config.page import MAX_NESTING
from vit_trace.config.places import COMMAND_LINE
from vit_trace.config.settings import (
    Settled,
    given_anyway,
    load,
    read_assignments,
    read_flags,
    read_yaml,
    resolve,
    settle,
)
from vit_trace.config.words import ConfigError

__all__ = [
    "COMMAND_LINE",
    "KEYS",
    "MAX_BYTES",
    "MAX_COUNT",
    "MAX_DEPTH",
    "MAX_NESTING",
    "MAX_PROBLEMS",
    "REFERENCE",
    "SYNONYMS",
    "ConfigError",
    "Setting",
    "Settled",
    "ViTConfig",
    "given_anyway",
    "load",
    "near_divisors",
    "near_multiples",
    "read_assignments",
    "read_flags",
    "read_yaml",
    "resolve",
    "settle",
]
