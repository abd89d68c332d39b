"""Builds and runs models for real, on CPU, at other values: does it run, and use every pixel and every feature?"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vit_trace.check.sizes.report import SizeRule
from vit_trace.dims.allowed import Allowed
from vit_trace.probing.variants import Variants, variants_of
from vit_trace.record.rungs import filled_inputs
from vit_trace.targets.target import Target

MOST_PIXELS, MOST_WIDTH = 450, 1200
"""A real model is made up to this size of an image, and of everything else."""

ATTENTION = ("attn", "attention", "qkv", "query", "key", "value", "to_q", "to_k", "to_v", "q_proj", "k_proj", "v_proj")
"""Parts of the names of layers whose width is cut into heads."""


class Ran(NamedTuple):
    """What a real forward showed: rows of inputs and positions that it used, paddings, repeats, widths of layers."""

    used: tuple[bool, ...]
    pads: int
    repeats: int
    linear: dict[str, tuple[int, int]]


@dataclass
class RealModel:
    """A target that is built for real with few layers."""

    target: Target
    known: dict[tuple[tuple[str, int], ...], Ran | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variants: Variants = variants_of(self.target)
        self.base = self.run({})

    def good(self, values: Mapping[str, int]) -> bool:
        """Whether it runs, and leaves out and pads no more than with its own values."""
        ran, base = self.run(values), self.base
        assert base is not None
        whole = not all(base.used) or ran is None or all(ran.used)
        short = ran is not None and any(
            base.linear.get(name) != one and _short(*one) for name, one in ran.linear.items()
        )
        more = ran is not None and (ran.pads > base.pads or ran.repeats > base.repeats or short)
        return ran is not None and whole and not more

    def run(self, values: Mapping[str, int]) -> Ran | None:
        """A real forward and backward; None where it does not build or run."""
        key = tuple(sorted(values.items()))
        if key not in self.known:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.known[key] = self._run(values)
        return self.known[key]

    def _run(self, values: Mapping[str, int]) -> Ran | None:
        foreign = self.target.foreign
        assert foreign is not None and foreign.again is not None
        changes, sizes = self.variants.changes(values, self.variants.whole)
        plan = (foreign.fitting or foreign.plans)[0]
        torch.manual_seed(0)
        try:
            model: Any = foreign.again(changes)
            args, kwargs = filled_inputs(plan.inputs(sizes))
            return _forward(model.eval(), args, kwargs)
        except Exception:  # whatever it raises: it does not run
            return None


class _Watch(TorchFunctionMode):
    """Counts paddings, and sums that repeat the one token of their first operand."""

    def __init__(self) -> None:
        super().__init__()
        self.pads = self.repeats = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name, first = getattr(func, "__name__", ""), args[0] if args else None
        if name == "pad":
            self.pads += made.numel() > args[0].numel()
        if name in ("add", "__add__", "add_") and isinstance(first, torch.Tensor) and first.ndim == made.ndim > 2:
            self.repeats += first.shape[0] == made.shape[0] and 1 in first.shape[1:] and first.shape != made.shape
        return made


def _forward(model: nn.Module, args: Any, kwargs: Any) -> Ran:
    floats = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor) and one.is_floating_point()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    for one in floats:
        one.requires_grad_(True)
    with _Watch() as watch:
        out = model(*args, **kwargs)
    sum((one * torch.rand_like(one)).sum() for one in _tensors(out)).backward()
    positions = [one for name, one in model.named_parameters() if "pos" in name and one.grad is not None]
    positions = [one for one in positions if one.grad is not None and one.grad.any()]
    used = [row for one in (*floats, *positions) for row in _rows(one.grad)]
    layers = ((name, one) for name, one in model.named_modules() if isinstance(one, nn.Linear))
    layers = ((name, one) for name, one in layers if any(part in name for part in ATTENTION))
    linear = {name: (one.in_features, one.out_features) for name, one in layers}
    return Ran(tuple(used), watch.pads, watch.repeats, linear)


def _short(width: int, made: int) -> bool:
    """Whether a layer leaves out features of its width, or of two or three times it, as where heads round it down."""
    return any(0 < times * width - made < times * width / 2 for times in (1, 2, 3)) and made % width > 0


def _rows(grad: torch.Tensor | None) -> Iterator[bool]:
    """Whether any value of each row, of each column … has a part in the output."""
    if grad is None:
        yield False
        return
    for axis in range(1, grad.ndim):
        others = [other for other in range(grad.ndim) if other != axis]
        yield from (grad.abs().sum(others) > 0).tolist()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and value.requires_grad:
            yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one)


def sample(rule: Allowed, present: int, count: int) -> list[int]:
    """Numbers inside a rule and outside it, drawn with a fixed seed; the nearest are among them."""
    draw = random.Random(present)
    reach = range(1, max(3 * present, 24))
    groups = [[one for one in reach if rule.holds(one) is kind and one != present] for kind in (True, False)]
    near = [min(group, key=lambda one: abs(one - present)) for group in groups if group]
    return [*near, *(one for group in groups for one in draw.sample(group, min(count, len(group))))]


def wrong_values(model: RealModel, rule: SizeRule, count: int) -> Iterator[str]:
    """Values at which a rule and a real model do not agree."""
    most = MOST_PIXELS if any("H" in name or "[0]" in name for name in rule.names) else MOST_WIDTH
    for number in sample(rule.allowed(), rule.value, count):
        names = rule.names if rule.together else rule.names[:1]
        if number <= most and model.good(dict.fromkeys(names, number)) is not rule.allowed().holds(number):
            real = "does not run well" if rule.allowed().holds(number) else "runs"
            yield f"{names[0]}={number} {real}: {rule.rule}"
