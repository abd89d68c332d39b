"""Mistakes in real models' code: whatever raises is diagnosed, and every remedy works when torch alone applies it."""

import contextlib
import importlib.util
import random
import sys
from pathlib import Path

import pytest
import torch
from conftest import model_state
from helpers.mutants import mistakes, mutant
from test_failures import applied
from torch import nn

import vit_trace
from vit_trace.codes.registry import MEANINGS as CODES
from vit_trace.record.raised.failure import DEFECT

SIZES = {"image_size": 32, "patch_size": 8, "num_classes": 5, "dim": 24, "depth": 2, "heads": 3, "mlp_dim": 40}

MODELS = {
    "vit_trace.vit": ("ViT", SIZES | {"image_size": (32, 32), "patch_size": (8, 8), "dim_head": 8}, 32),
    "vit_pytorch.vit": ("ViT", SIZES, 32),
    "vit_pytorch.cait": ("CaiT", SIZES | {"cls_depth": 1}, 32),
    "vit_pytorch.deepvit": ("DeepViT", SIZES, 32),
    "timm.models.cait": ("Cait", {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}, 32),
    "timm.models.swin_transformer": (
        "SwinTransformer",
        {"img_size": 64, "window_size": 4, "embed_dim": 12, "depths": (2, 1), "num_heads": (2, 3), "num_classes": 5},
        64,
    ),
}
SAMPLE = {"vit_trace.vit": 15, "vit_pytorch.vit": 15}
WIDE = 70
"""Mistakes per model in the default suite, and in the long one."""


def chosen(count_of: dict[str, int]) -> list[tuple[str, int]]:
    """(model, mistake), the same ones in every run."""
    found = []
    for name, count in count_of.items():
        path = origin(name)
        numbers = list(range(mistakes(path))) if path is not None else []
        random.Random(0).shuffle(numbers)
        found += [(name, at) for at in numbers[:count]]
    return found


def origin(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def built(name: str, at: int, directory: Path) -> tuple[nn.Module, torch.Tensor, str]:
    """(the model with a mistake in it, images, the mistake); skipped where it does not build."""
    class_name, arguments, side = MODELS[name]
    source, what = mutant(origin(name), at)
    path = directory / "mutant.py"
    path.write_text(source)
    full = f"{name.rpartition('.')[0]}.mutant_{at}"
    spec = importlib.util.spec_from_file_location(full, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    torch.manual_seed(0)
    try:
        spec.loader.exec_module(module)
        model = getattr(module, class_name)(**arguments).eval()
    except Exception as error:
        pytest.skip(f"{what}: does not build: {type(error).__name__}")
    finally:
        del sys.modules[full]
    return model, torch.zeros(2, 3, side, side), what


def last_open(model: nn.Module, x: torch.Tensor) -> str:
    """The path of the innermost module that was entered and not left when the forward raised."""
    entered: list[str] = []
    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, path=path: entered.append(path)))
        handles.append(module.register_forward_hook(lambda *_: entered.pop() and None))
    with torch.no_grad(), contextlib.suppress(Exception):
        model(x)
    for handle in handles:
        handle.remove()
    return entered[-1]


def check(name: str, at: int, directory: Path) -> None:
    model, x, what = built(name, at, directory)
    try:
        with torch.no_grad():
            model(x)
    except Exception as error:
        raised = error
    else:
        pytest.skip(f"{what}: runs")
    before = model_state(model)
    trace = vit_trace.trace(model, x)
    failure = trace.failure
    assert model_state(model) == before
    assert failure is not None, f"{what}: raises {raised!r}"
    assert failure.code in CODES and failure.code != DEFECT, what
    assert not any("could not work out" in note for note in failure.notes), (what, failure.notes)
    assert type(raised).__name__ in failure.exception
    assert failure.stage is not None and trace.stages[failure.stage].module == last_open(model, x), what
    for remedy in failure.remedies:
        fresh, given, _ = built(name, at, directory)
        try:
            applied(remedy, fresh, (given,))
        except Exception as error:
            pytest.fail(f"{what}: {failure.message}: {remedy.change}: {error!r}")


@pytest.mark.parametrize(("name", "at"), chosen(SAMPLE))
def test_a_mistake_is_told_and_its_remedies_work(name, at, tmp_path):
    check(name, at, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at"), chosen(dict.fromkeys(MODELS, WIDE)))
def test_many_mistakes_are_told_and_their_remedies_work(name, at, tmp_path):
    check(name, at, tmp_path)


def test_a_mistake_is_in_no_library_s_list(tmp_path):
    timm = pytest.importorskip("timm")
    before = timm.list_modules(), {name: timm.model_entrypoint(name) for name in timm.list_models("*cait*")}
    for at in (0, 1):
        with contextlib.suppress(pytest.skip.Exception):
            built("timm.models.cait", at, tmp_path)
    assert (timm.list_modules(), {name: timm.model_entrypoint(name) for name in timm.list_models("*cait*")}) == before
