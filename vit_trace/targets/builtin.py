"""Makes the target of the built-in ViT from its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace

from vit_trace.base.refused import refuse
from vit_trace.base.trace import LAYERS, Symbol, Value, Whole
from vit_trace.config import ViTConfig, load
from vit_trace.targets.inputs import Given, Inputs, parse_inputs
from vit_trace.targets.target import Sample, Target, value_words

if TYPE_CHECKING:
    from torch import nn

BRANCHES = ({"heads": "1", "dim_head": "dim"},)
"""The built-in ViT leaves out `to_out` where one head is as wide as the tokens."""

WHOLES = (Whole("H", "p1", "refused"), Whole("W", "p2", "refused"))
"""It refuses an image of parts of patches."""


def builtin(config: ViTConfig, spec: str = "", given: Given | None = None, train: bool = False) -> Target:
    """The target of `vit-trace` without a spec, or with a YAML file as `spec`; `given` replaces its images."""
    if given is not None and len(given.shape) == 4:
        config = replace(config, batch_size=given.shape[0])
    values = asdict(config)
    return Target(
        spec=spec,
        class_name="ViT",
        hyperparameters={name: list(one) if isinstance(one, tuple) else one for name, one in values.items()},
        build=lambda: build(config),
        inputs=lambda: inputs(config, given),
        symbols=config_symbols(config),
        probes=lambda: [builtin(setting, train=train) for setting in _probe_settings(config)],
        repeats=True,
        branches=BRANCHES,
        wholes=WHOLES,
        variant=lambda values: builtin(_change_config(config, values), spec, given, train),
        train=train,
        words=lambda name, value: f"--{name.replace('_', '-')} {value_words(value)}",
        expected=(config.batch_size, config.channels, *config.image_size),
        batch=config.batch_size if given is None or len(given.shape) == 4 else None,
        feeds=lambda batch: [lambda: inputs(config, given, batch)],
        samples=lambda: [_sample(_probe_settings(config, (SMALL,))[0])],
    )


def _sample(config: ViTConfig) -> Sample:
    """The model at one setting, whose sizes are so small that what it computes does not count."""
    return Sample(lambda: build(config), lambda batch: inputs(config, batch=batch), key=config)


def _change_config(config: ViTConfig, values: Mapping[str, Value]) -> ViTConfig:
    """The config with some values changed; a pair may be given as one number or a list. Raises ConfigError."""
    wanted = {**asdict(config), **values}
    texts = {name: "x".join(map(str, v)) if isinstance(v, (tuple, list)) else str(v) for name, v in wanted.items()}
    return load(None, texts, ())


def only_input(texts: Sequence[str]) -> Given | None:
    """The one tensor that --input may give. Raises Refused."""
    first, *others = parse_inputs(texts) or (None,)
    if others:
        raise refuse("bad-input", f"--input is given {len(texts)} times, the built-in ViT takes one image tensor")
    if first is not None and first.name not in (None, "img"):
        raise refuse("bad-input", f"--input {first.name}: the built-in ViT takes img", help=("--input 5x3x256x256",))
    return first


def build(config: ViTConfig) -> nn.Module:
    from vit_trace.vit import ViT

    return ViT(**{name: value for name, value in asdict(config).items() if name != "batch_size"})


def inputs(config: ViTConfig, given: Given | None = None, batch: int | None = None) -> Inputs:
    """One batch of images, or one tensor of the given shape and dtype, without values."""
    import torch

    shape = given.shape if given is not None else (config.batch_size, config.channels, *config.image_size)
    shape = shape if batch is None else (batch, *shape[1:])
    dtype = None if given is None else getattr(torch, given.dtype)
    return (torch.empty(shape, dtype=dtype, device="meta"),), {}


def config_symbols(config: ViTConfig) -> dict[str, Symbol]:
    """The quantities that make up sizes, under the field's names."""
    (height, width), (p1, p2) = config.image_size, config.patch_size
    h, w = height // p1, width // p2
    return {
        "b": Symbol(config.batch_size, "batch size", hyperparameter="batch_size"),
        "c": Symbol(config.channels, "channels", hyperparameter="channels"),
        "H": Symbol(height, "image height", hyperparameter="image_size[0]"),
        "W": Symbol(width, "image width", hyperparameter="image_size[1]"),
        "p1": Symbol(p1, "patch height", hyperparameter="patch_size[0]"),
        "p2": Symbol(p2, "patch width", hyperparameter="patch_size[1]"),
        "h": Symbol(h, "patch rows", "H//p1"),
        "w": Symbol(w, "patch columns", "W//p2"),
        "n": Symbol(h * w, "patches", "h*w"),
        "dim": Symbol(config.dim, "embedding dimension", hyperparameter="dim"),
        "depth": Symbol(config.depth, LAYERS, hyperparameter="depth"),
        "heads": Symbol(config.heads, "attention heads", hyperparameter="heads"),
        "dim_head": Symbol(config.dim_head, "head dimension", hyperparameter="dim_head"),
        "mlp_dim": Symbol(config.mlp_dim, "hidden dimension of the feed-forward", hyperparameter="mlp_dim"),
        "classes": Symbol(config.num_classes, "classes", hyperparameter="num_classes"),
    }


PROBES = (
    dict(b=2, c=5, h=3, w=7, p1=11, p2=13, classes=17, dim=19, heads=23, dim_head=29, mlp_dim=31),
    dict(b=31, c=2, h=5, w=3, p1=7, p2=17, classes=13, dim=11, heads=29, dim_head=19, mlp_dim=37),
    dict(b=3, c=7, h=11, w=5, p1=2, p2=19, classes=29, dim=37, heads=13, dim_head=17, mlp_dim=23),
)
"""Settings that tell all quantities apart: primes, different within each setting, and no image or patch square."""

SMALL = dict(b=3, c=2, h=3, w=7, p1=5, p2=2, classes=17, dim=11, heads=3, dim_head=5, mlp_dim=13)
"""A setting at which a forward with values takes very little."""


def _probe_settings(config: ViTConfig, settings: Sequence[Mapping[str, int]] = PROBES) -> list[ViTConfig]:
    """The config with every size replaced and its structure kept, but for two layers in place of all."""
    return [
        replace(
            config,
            batch_size=sizes["b"],
            channels=sizes["c"],
            image_size=(sizes["h"] * sizes["p1"], sizes["w"] * sizes["p2"]),
            patch_size=(sizes["p1"], sizes["p2"]),
            num_classes=sizes["classes"],
            dim=sizes["dim"],
            heads=sizes["heads"],
            dim_head=sizes["dim_head"],
            mlp_dim=sizes["mlp_dim"],
            depth=min(config.depth, 2),
        )
        for sizes in settings
    ]
