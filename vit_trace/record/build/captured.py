"""Recognises programs that torch.export or TorchScript captured from a model, and the input sizes that they keep."""

import contextlib
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Extent = tuple[int, int | None]
"""The lowest and the highest size that an axis may have; None where there is no highest."""


@dataclass(frozen=True)
class Program:
    """What was captured: `how` it was, and its inputs' names with what their axes may be; no inputs where that is lost.

    A scripted program holds its code; an exported or traced one the steps of one forward, with its sizes as numbers.
    """

    how: str
    names: tuple[str, ...] = ()
    extents: tuple[tuple[Extent, ...], ...] = ()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes that the inputs may have; the sizes that it was captured with, where these are fixed."""
        return tuple(tuple(max(low, 2 if high is None else min(high, 2)) for low, high in one) for one in self.extents)


def program_of(module: nn.Module) -> Program | None:
    """The program that a module is; None for one that runs its own Python code."""
    if isinstance(module, torch.jit.ScriptModule):
        return _of_torchscript(module)
    fx = sys.modules.get("torch.fx")
    return _of_export(module) if fx is not None and isinstance(module, fx.GraphModule) else None


def holds_fixed_program(model: nn.Module) -> bool:
    """Whether a module of the model is a program that keeps the sizes of one forward."""
    programs = map(program_of, model.modules())
    return any(program is not None and program.how != "scripted" for program in programs)


def is_capturing() -> bool:
    """Whether a forward is being captured right now: shapes worked out by rule would stay in the program."""
    return torch._C._get_tracing_state() is not None or torch.compiler.is_compiling()


def _of_torchscript(module: torch.jit.ScriptModule) -> Program:
    graph: Any = None
    with contextlib.suppress(RuntimeError, AttributeError):  # it has no forward
        graph = module.graph
    inputs = [] if graph is None else [*graph.inputs()][1:]
    known = [(one.debugName().split(".")[0], one.type().sizes()) for one in inputs if one.type().kind() == "TensorType"]
    if not known or any(sizes is None or None in sizes for _, sizes in known):
        return Program("scripted")  # one that was traced too, once it was frozen or saved
    extents = tuple(tuple((size, size) for size in sizes) for _, sizes in known)
    return Program("traced", tuple(name for name, _ in known), extents)


def _of_export(module: Any) -> Program | None:
    """The program of torch.export: its placeholders have tensors with sizes, or with symbols and what these may be."""
    held = [(node.name, node.meta.get("val")) for node in module.graph.nodes if node.op == "placeholder"]
    tensors = [(name, value) for name, value in held if isinstance(value, torch.Tensor)]
    if not tensors:
        return None
    ranges = getattr(module, "range_constraints", {})
    extents = tuple(tuple(_extent(size, ranges) for size in value.shape) for _, value in tensors)
    return Program("exported", tuple(name for name, _ in tensors), extents)


def _extent(size: Any, ranges: Any) -> Extent:
    if isinstance(size, int):
        return size, size
    allowed = ranges.get(size.node.expr)
    if allowed is None:
        return 0, None
    lowest, highest = str(allowed.lower), str(allowed.upper)
    return int(lowest) if lowest.isdecimal() else 0, int(highest) if highest.isdecimal() else None
