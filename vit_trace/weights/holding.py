"""Sums up a checkpoint as one record for screen and JSON, and writes it as a config. No torch."""

import json
from collections import Counter
from typing import Any

from msgspec import Struct

from vit_trace.base.numbers import divisors
from vit_trace.base.refused import refuse
from vit_trace.weights.causes.parts import adapter_alone
from vit_trace.weights.causes.quiet import about_file
from vit_trace.weights.data import Checkpoint
from vit_trace.weights.describe import Description, description, likely_heads
from vit_trace.weights.naming import Named, recognised
from vit_trace.weights.published import published_like, published_swin
from vit_trace.weights.wrapped import unwrapped

SCHEMA = "vit-trace-checkpoint/1"
HF_VIT = {"norm", "q.bias", "k.bias", "v.bias", "patch.bias", "head.bias"}
"""Features of a Description that ViTForImageClassification has."""

TIMM_VIT = "timm:vit_base_patch16_224"


class Holding(Struct, frozen=True):
    """A checkpoint's tensors in numbers, their model and a spec that builds it, where they are known.

    The spec has a likely number of heads where the model's is not known. `published` is the nearest published model,
    and what differs from it.
    """

    schema: str
    path: str
    format: str
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    taken: tuple[str, ...]
    notes: tuple[str, ...]
    model: Description | None
    spec: tuple[str, ...] | None = None
    published: str | None = None


def holding(checkpoint: Checkpoint) -> Holding:
    """What the checkpoint holds."""
    plain = unwrapped(checkpoint.entries)
    named = recognised(plain.entries)
    model = description(named, checkpoint.config) if named is not None and named.plain else None
    entries = checkpoint.entries.values()
    copies = f"{plain.copies[0]} is described; {', '.join(plain.copies[1:])} has the same names" if plain.copies else ""
    adapter = adapter_alone(checkpoint.entries, None, checkpoint.config or {}, checkpoint.path)
    about = (adapter.message, *adapter.notes, f"{adapter.help[0]} wraps its model") if adapter is not None else ()
    notes = (
        *about,
        *checkpoint.notes,
        *([copies] if copies else ()),
        *(one.message for one in about_file(checkpoint, False)),
    )
    return Holding(
        SCHEMA,
        checkpoint.path,
        checkpoint.format,
        tensors=len(entries),
        parameters=sum(entry.numel for entry in entries),
        dtypes=dict(Counter(entry.dtype for entry in entries).most_common()),
        taken=checkpoint.taken,
        notes=notes,
        model=model,
        spec=_spec_of(model) if model else None,
        published=_published(named, model),
    )


def _published(named: Named | None, model: Description | None) -> str | None:
    """The nearest published model and what differs."""
    if model is not None:
        like = published_like(model)
        return like.words if like else None
    return published_swin(named) if named is not None else None


def heads_or_likely(model: Description) -> int:
    """The known number of heads, else a likely one that divides the width and agrees with the tensors."""
    heads = model.heads or likely_heads(model.dim, model.inner)
    if model.heads is None and model.layout == "classic" and model.inner == model.dim:
        if not model.projected:  # the classic ViT leaves the projection out for one head as wide as the tokens
            return 1
        if heads == 1:
            return next(iter(divisors(model.inner)[1:]), 1)
    return heads


def _fully_known(model: Description) -> bool:
    """Whether its sizes give everything that a config of its library needs."""
    return model.image is not None and model.patch is not None and model.mlp_dim is not None and not model.gated


def _side(pair: tuple[int, int] | None) -> int | list[int]:
    """One number where the sides are equal, else both."""
    assert pair is not None
    return pair[0] if pair[0] == pair[1] else list(pair)


def _spec_of(model: Description) -> tuple[str, ...] | None:
    """The arguments of `vit-trace` that build such a model."""
    if not _fully_known(model) or model.dist:
        return None
    if model.layout == "classic" and model.inner % heads_or_likely(model) == 0:
        texts = {name: str(value).strip("[]").replace(", ", "x") for name, value in _classic_values(model).items()}
        return tuple(word for name, text in texts.items() for word in (f"--{name.replace('_', '-')}", text))
    if _is_timm(model):
        name, given = _architecture(model)
        values = {key: value for key, value in _timm_values(model).items() if given.get(key) != value}
        words = (word for key, value in values.items() for word in ("--set", f"{key}={value}"))
        return (f"timm:{name}", *words)
    return None


def _is_timm(model: Description) -> bool:
    """Whether timm's VisionTransformer has exactly these tensors, with the right settings."""
    unknown = {"relative", "shared_relative", "rel_h", "gate", "mlp_norm", "attn_norm", "proj", "pooler", "head_norm"}
    whole = model.inner == model.dim and not model.others and not unknown & set(model.features)
    apart = {"q.bias", "v.bias"} & set(model.features) and "k.bias" not in model.features
    return whole and not apart and model.layout == "timm" and not model.dist and "mask" not in model.features


def _architecture(model: Description) -> tuple[str, dict[str, Any]]:
    """timm's name to begin with, and the settings that it has already: those of a published model, else none."""
    like = published_like(model)
    if like is None:
        return TIMM_VIT.removeprefix("timm:"), {}
    given = {"img_size": like.image, "patch_size": like.patch, "in_chans": 3, "num_classes": 1000}
    return like.name, _timm_values(model) | given


def _classic_values(model: Description) -> dict[str, Any]:
    """Hyperparameters of the built-in ViT."""
    heads = heads_or_likely(model)
    return {
        "image_size": _side(model.image), "patch_size": _side(model.patch),
        "dim": model.dim, "depth": model.depth,
        "heads": heads, "dim_head": model.inner // heads, "mlp_dim": model.mlp_dim,
        "num_classes": model.classes or 0, "channels": model.channels,
    }  # fmt: skip


def _timm_values(model: Description) -> dict[str, Any]:
    """Arguments of timm's VisionTransformer."""
    assert model.patch is not None and model.mlp_dim is not None
    ratio = model.mlp_dim / model.dim
    values: dict[str, Any] = {
        "img_size": _side(model.image),
        "patch_size": model.patch[0],
        "in_chans": model.channels,
        "embed_dim": model.dim,
        "depth": model.depth,
        "num_heads": heads_or_likely(model),
        "mlp_ratio": int(ratio) if ratio == int(ratio) else ratio,
        "num_classes": model.classes or 0,
    }
    return values | _timm_options(model)


def _timm_options(model: Description) -> dict[str, Any]:
    """Settings for what not every ViT of timm has."""
    has = set(model.features)
    values: dict[str, Any] = {"reg_tokens": model.registers} if model.registers else {}
    if model.extra == 0 and model.cls:
        values["no_embed_class"] = True
    if not model.cls:
        values |= {"class_token": False, "global_pool": "avg"}
    if "fc_norm" in has:
        values["global_pool"] = "avg"
    elif not model.cls:
        values["fc_norm"] = False
    values |= {"init_values": 1e-05} if "ls1" in has else {}
    values |= {"qk_norm": True} if "q_norm" in has else {}
    values |= {"pre_norm": True} if "pre_norm" in has else {}
    values |= {"qkv_bias": False} if "q.bias" not in has else {}
    return values


def config_text(held: Holding, suffix: str) -> str:
    """The model as a config: YAML of the built-in ViT, JSON of timm or transformers. Raises Refused."""
    model = held.model
    if model is None:
        raise refuse("no-config", f"{held.path} holds no Vision Transformer in a known layout, so it has no config")
    if model.layout == "classic" and _fully_known(model) and model.classes is not None:
        if suffix == ".json":
            raise _other_suffix(held, "model.yaml", "the built-in ViT is configured in YAML")
        return _yaml_text(held, model)
    values = _json_values(model)
    if values is None:
        unknown = "; ".join(model.how[name] for name in ("image", "patch") if name in model.how)
        words = unknown or f"{model.library} has no config for all of it"
        raise refuse("no-config", f"{held.path} cannot be written as a config: {words}")
    if suffix != ".json":
        raise _other_suffix(held, "config.json", f"the built-in ViT has other tensors than a ViT of {model.library}")
    return json.dumps(values, indent=2) + "\n"


def _other_suffix(held: Holding, name: str, reason: str) -> Exception:
    return refuse("no-config", f"{held.path} can be written as {name} only: {reason}", help=(f"-o {name}",))


def _yaml_text(held: Holding, model: Description) -> str:
    """The hyperparameters line by line, with what is assumed."""
    values = _classic_values(model) | {"pool": "cls", "dropout": 0.0, "emb_dropout": 0.0}
    heads = f"{'' if model.heads else 'assumed: '}{model.how.get('heads', '')}"
    remarks = {"heads": f"  # {heads}", "pool": "  # assumed: no tensor tells it from mean"}
    if "patch" in model.assumed:
        remarks["patch_size"] = f"  # assumed: {model.how.get('patch', '')}"
    lines = (f"{name}: {value}{remarks.get(name, '')}" for name, value in values.items())
    return "\n".join((f"# the model in {held.path}", *lines, ""))


def _json_values(model: Description) -> dict[str, Any] | None:
    """A config.json as its library reads it; None where none says everything."""
    if not _fully_known(model) or model.dist or model.inner != model.dim:
        return None
    if _is_timm(model):
        values = _timm_values(model)
        classes = values.pop("num_classes")
        return {"architecture": _architecture(model)[0], "num_classes": classes, "model_args": values}
    assert model.image is not None and model.patch is not None
    square = model.image[0] == model.image[1]
    plain = not model.others and set(model.features) <= HF_VIT and not model.registers
    if model.layout == "transformers" and square and plain and model.prefix.endswith("vit."):
        values = {
            "model_type": "vit",
            "architectures": ["ViTForImageClassification" if model.classes else "ViTModel"],
            "image_size": model.image[0],
            "patch_size": model.patch[0],
            "num_channels": model.channels,
            "hidden_size": model.dim,
            "num_hidden_layers": model.depth,
            "num_attention_heads": heads_or_likely(model),
            "intermediate_size": model.mlp_dim,
        }
        return values | ({"num_labels": model.classes} if model.classes else {})
    return None
