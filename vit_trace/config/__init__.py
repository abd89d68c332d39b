"""Hyperparameters of the built-in ViT, from a YAML file and the command line, each with its place in the text.

Other rooms use the names below, `words` (how values are quoted and cut), `files` (which files there are),
`hyperparameters` (nearest_key), `json_text` (places in a JSON file) and what reads whole files: `tree` (YAML, JSON and
TOML as nodes with places), `page` (values that are not known), `python_text`, and over a tree `composed` (Hydra's
defaults), `interpolated` (OmegaConf's references) and `logged` (what wandb and MLflow write). Every problem is a
`Diagnostic` in a `ConfigError`.

From the bytes of a file to a config: `files` (a small regular file of UTF-8) → `page` (YAML's own events as a tree
of nodes, without anything that could grow, nest or construct) → `settings` (each key and, by `values`, its value; which
source wins) and `grid` (image and patch). All of them use `hyperparameters` and `words`.
"""

from vit_trace.config.grid import near_divisors, near_multiples
from vit_trace.config.hyperparameters import REFERENCE, ViTConfig
from vit_trace.config.settings import Settled, given_anyway, load, settle
from vit_trace.config.words import ConfigError

__all__ = ["REFERENCE", "ConfigError", "Settled", "ViTConfig", "given_anyway", "load"]
__all__ += ["near_divisors", "near_multiples", "settle"]
