"""Shapes from real forward passes, by plain hooks that share no code with the recorder."""

import torch
from torch import Tensor, nn

Calls = list[tuple[str, list[tuple[int, ...]]]]


def flat(value: object) -> list[tuple[int, ...]]:
    """Shapes of all tensors in a nested value, depth first."""
    if isinstance(value, Tensor):
        return [tuple(value.shape)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [shape for item in value for shape in flat(item)]
    return []


def module_calls(model: nn.Module, *args: object, **kwargs: object) -> Calls:
    """(module path, output shapes) of every module call of a real forward, in the order the calls returned."""
    calls: Calls = []
    handles = [
        module.register_forward_hook(lambda _m, _i, output, path=path: calls.append((path, flat(output))))
        for path, module in model.named_modules()
    ]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return calls


def traced_calls(trace) -> Calls:
    """The same from a trace: module stages in the order they ended, which is depth first."""
    stages = trace.stages
    children: dict[int | None, list[int]] = {}
    for stage in stages:
        children.setdefault(stage.parent, []).append(stage.index)
    calls: Calls = []

    def visit(index: int) -> None:
        for child in children.get(index, []):
            visit(child)
        if stages[index].kind == "module":
            calls.append((stages[index].module, [spec.shape for spec in stages[index].outputs]))

    for index in children[None]:
        visit(index)
    return calls
