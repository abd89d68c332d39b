"""The facts about published models: their stages exist, and mix what the table says when each is run alone.

One place along an axis of a stage's input is changed at a time, in float64, and each value of the output counts how
many of these places it depends on. Nothing of the package takes part.
"""

import importlib
import re
from functools import cache

import pytest
import torch
from mixing.corpus import tensors
from mixing.facts import FACTS, MODELS, Fact
from torch.overrides import TorchFunctionMode

pytestmark = pytest.mark.slow


def build(spec, settings):
    library, _, name = spec.partition(":")
    if library == "timm":
        return pytest.importorskip("timm").create_model(name, **settings)
    if library == "hf":
        transformers = pytest.importorskip("transformers")
        return transformers.AutoModel.from_config(getattr(transformers, name)(**settings))
    pytest.importorskip("vit_pytorch")
    return getattr(importlib.import_module(library), name)(**settings)


@cache
def calls(name):
    """Stage -> (module, args, kwargs) of its first call, in a small real copy of a published model."""
    published, found = MODELS[name], {}
    torch.manual_seed(0)
    model = build(published.spec, published.settings).double().eval()
    for path, module in model.named_modules():

        def heard(module, args, kwargs, path=path):
            found.setdefault(path, (module, args, kwargs))

        module.register_forward_pre_hook(heard, with_kwargs=True)
    with torch.no_grad():
        model(torch.randn(published.shape, dtype=torch.float64))
        for parameter in model.parameters():  # what starts at 0 or next to it would hide what it scales
            if parameter.abs().max() < 1e-3:
                parameter.copy_(torch.randn_like(parameter))
    return found


def stages(fact):
    """The stages that a fact is about: `*` is one part of a name."""
    pattern = re.escape(fact.stage).replace(r"\*", r"[^.]+")
    return [path for path in calls(fact.model) if re.fullmatch(pattern, path)]


def first(value):
    return next(tensors(value))


def depends(run, given, axis):
    """How many of a few places along an axis of the input a value of the output depends on, at the most."""
    size = given.shape[axis]
    before = run(given)
    count = torch.zeros_like(before)
    for place in {*range(min(4, size)), size // 2}:  # neighbours, and one that a dilated grid reaches
        changed = given.clone()
        changed.select(axis, place).add_(torch.randn_like(given.select(axis, place)))
        count += (run(changed) - before).abs() > 1e-12
    return int(count.max())


def measured(fact, stage):
    """The axes that a stage mixes, in their order."""
    module, args, kwargs = calls(fact.model)[stage]
    given, axes = args[0] if args else next(iter(kwargs.values())), fact.axes.split()
    assert given.ndim == len(axes), f"{stage} reads {tuple(given.shape)}"

    def run(value):
        rest = args[1:] if args else ()
        return first(module(value, *rest, **kwargs) if args else module(**{**kwargs, next(iter(kwargs)): value}))

    with torch.no_grad():
        return {name for axis, name in enumerate(axes) if depends(run, given, axis) > 1}


class Weights(TorchFunctionMode):
    """Hears how many weights sum to one, and for how many heads, in softmax and in fused attention."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "softmax":
            dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
            self.found.append((args[0].shape[dim], args[0].shape[1]))
        elif name == "scaled_dot_product_attention":
            self.found.append((args[1].shape[-2], args[1].shape[1]))
        return func(*args, **kwargs)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.model}: {fact.stage}")
def test_stages_mix_what_the_paper_says(fact):
    found = stages(fact)
    assert found
    for stage in {found[0], found[-1]}:
        assert measured(fact, stage) == set(fact.mixes.split()), stage


@pytest.mark.parametrize("fact", [one for one in FACTS if one.over], ids=lambda fact: f"{fact.model}: {fact.stage}")
def test_attention_weights_sum_to_one_over_the_axis(fact):
    module, args, kwargs = calls(fact.model)[stages(fact)[0]]
    with torch.no_grad(), Weights() as heard:
        module(*args, **kwargs)
    given = args[0] if args else next(iter(kwargs.values()))
    sizes = dict(zip(fact.axes.split(), given.shape, strict=True))
    (weights, heads), *more = heard.found
    assert not more
    if fact.over == "features":
        assert weights * heads in [layer.in_features for layer in module.modules() if hasattr(layer, "in_features")]
        assert weights not in (sizes.get("tokens"), sizes.get("h", 0) * sizes.get("w", 0))
    else:
        assert weights == torch.Size(sizes[axis] for axis in fact.over.split()).numel()


def test_a_wrong_fact_is_found():
    assert measured(Fact("mixer", "", "batch features tokens", "", ""), "blocks.0.mlp_tokens") != {"features"}
    assert stages(Fact("mixer", "blocks.*.mlp", "", "", "")) == []
