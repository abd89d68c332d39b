"""Shared pieces: a pinned environment, and the proof that a trace leaves nothing behind."""

import gc
import os
import signal
import sys

os.environ["COLUMNS"] = "100"
for name in ("NO_COLOR", "FORCE_COLOR", "PYTHONNODEBUGRANGES"):
    os.environ.pop(name, None)

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as hooks

PATCHING = {"transformers", "transformers.modeling_utils", "torchvision", "timm", "vit_pytorch", "lightning.pytorch"}
"""Libraries that may patch torch's classes for good when they are imported."""

LIBRARIES = ("transformers", "torchvision", "timm", "vit_pytorch")

REBOUND = {"manual_seed"}
"""Names that torch binds anew when it imports its compiler."""

GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")


@pytest.fixture(autouse=True)
def interrupts_as_they_were():
    """A program that a test runs in this process may listen for Ctrl-C: the next test has Python's own way again."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)


def process_state() -> dict[str, Any]:
    """All that a trace could leave changed in the process."""
    return {
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "trace function": sys.gettrace(),
        "profile function": sys.getprofile(),
        "grad": torch.is_grad_enabled(),
        "garbage collector": gc.isenabled(),
        "default dtype": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()),
        "functional": hash(tuple((name, id(value)) for name, value in sorted(vars(F).items()) if callable(value))),
        "torch": {name: id(value) for name, value in vars(torch).items() if callable(value) and name not in REBOUND},
        "Tensor": attributes(torch.Tensor),
        "Module": attributes(nn.Module),
        **{name: len(getattr(hooks, name)) for name in GLOBAL_HOOKS},
    }


def attributes(owner: type) -> dict[str, int]:
    """What a class of torch's holds, but for functions that a library hangs on it under a name of its own.

    transformers gives nn.Module a `smart_apply` when it first initialises a model, and leaves it there.
    """
    return {
        name: id(value)
        for name, value in vars(owner).items()
        if (getattr(value, "__module__", None) or "").partition(".")[0] not in LIBRARIES
    }


def model_state(model: nn.Module) -> dict[str, object]:
    """All that a trace could leave changed on a model: attributes, hooks, training flags, values."""
    return {
        path: (
            module.training,
            sorted(vars(module)),
            [len(value) for name, value in sorted(vars(module).items()) if "hooks" in name and value is not None],
        )
        for path, module in model.named_modules()
    }


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """A chosen folder, file or test runs in this process; the whole suite runs on every core."""
    return None if config.args_source == pytest.Config.ArgsSource.TESTPATHS else 0


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Every test, crashing traces included, ends with the process as it was."""
    before, libraries = process_state(), PATCHING & sys.modules.keys()
    yield
    after = process_state()
    after["torch"] = {name: after["torch"].get(name) for name in before["torch"]}  # torch binds more names lazily
    changed = {name for name in before if before[name] != after[name]}
    if libraries != PATCHING & sys.modules.keys():
        changed -= {"Module", "Tensor", "functional", "torch"}
    assert not changed, f"left changed: {changed}"
