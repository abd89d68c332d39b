"""Mistakes in real models' code: exception, failing module and line on meta are those of Python's own run on CPU."""

import importlib.util
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.mutants import Slip, mistakes, mutant
from torch import nn

from vit_trace.record.build.anyhow import build_anyhow
from vit_trace.record.record import RecordOptions
from vit_trace.record.rungs import Runnable, trace_anyhow
from vit_trace.record.source import frames

SIZES = {"image_size": 32, "patch_size": 8, "num_classes": 5, "dim": 24, "depth": 2, "heads": 3, "mlp_dim": 40}
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
STAGED = {"embed_dim": 12, "depths": (2, 1), "num_heads": (2, 3), "num_classes": 5}
CONFIG = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
CONFIG |= {"image_size": 32, "patch_size": 8}

MODELS: dict[str, tuple[str, dict[str, Any], int]] = {
    "vit_trace.vit": ("ViT", SIZES | {"image_size": (32, 32), "patch_size": (8, 8), "dim_head": 8}, 32),
    "vit_pytorch.vit": ("ViT", SIZES, 32),
    "vit_pytorch.cait": ("CaiT", SIZES | {"cls_depth": 1}, 32),
    "vit_pytorch.deepvit": ("DeepViT", SIZES, 32),
    "vit_pytorch.simple_vit": ("SimpleViT", SIZES, 32),
    "vit_pytorch.simple_vit_with_fft": ("SimpleViT", SIZES | {"freq_patch_size": 8}, 32),
    "vit_pytorch.vit_for_small_dataset": ("ViT", SIZES, 32),
    "vit_pytorch.pit": ("PiT", SIZES | {"depth": (1, 1)}, 32),
    "vit_pytorch.rvt": ("RvT", SIZES, 32),
    "vit_pytorch.parallel_vit": ("ViT", SIZES, 32),
    "timm.models.cait": ("Cait", SMALL, 32),
    "timm.models.vision_transformer": ("VisionTransformer", SMALL, 32),
    "timm.models.beit": ("Beit", SMALL | {"use_rel_pos_bias": True}, 32),
    "timm.models.xcit": ("Xcit", SMALL, 32),
    "timm.models.mlp_mixer": ("MlpMixer", {"img_size": 32, "patch_size": 8, "embed_dim": 24, "num_blocks": 2}, 32),
    "timm.models.swin_transformer": ("SwinTransformer", STAGED | {"img_size": 64, "window_size": 4}, 64),
    "timm.models.swin_transformer_v2": ("SwinTransformerV2", STAGED | {"img_size": 64, "window_size": 4}, 64),
    "timm.models.convnext": ("ConvNeXt", {"depths": (1,) * 4, "dims": (8, 8, 16, 16), "num_classes": 5}, 32),
    "timm.models.pvt_v2": (
        "PyramidVisionTransformerV2",
        {"depths": (1, 1), "embed_dims": (8, 16), "num_heads": (1, 2)},
        64,
    ),
    "torchvision.models.vision_transformer": (
        "VisionTransformer",
        {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 3, "hidden_dim": 24, "mlp_dim": 40},
        32,
    ),
    "torchvision.models.swin_transformer": (
        "SwinTransformer",
        {"patch_size": [4, 4], "embed_dim": 12, "depths": [2, 1], "num_heads": [2, 3], "window_size": [4, 4]},
        64,
    ),
    "transformers.models.vit.modeling_vit": ("ViTModel", CONFIG, 32),
    "transformers.models.dinov2.modeling_dinov2": ("Dinov2Model", CONFIG, 32),
    "transformers.models.swin.modeling_swin": ("SwinModel", STAGED | {"image_size": 64, "window_size": 4}, 64),
}
"""Module -> (class, its arguments, the side of the images)."""

QUICK, MANY = 12, int(os.environ.get("VIT_TRACE_MUTANTS", "40"))
"""Mistakes in the default suite, in the first models; and in the slow one, in all: VIT_TRACE_MUTANTS takes more."""


def origin(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def slips(most: int, models: int = len(MODELS)) -> list[tuple[str, int]]:
    """(module, number of the mistake) in the first models, the same ones in every run."""
    paths = {name: path for name in [*MODELS][:models] if (path := origin(name)) is not None}
    found = [(name, at) for name, path in paths.items() for at in range(mistakes(path, Slip))]
    random.Random(0).shuffle(found)
    return found[:most]


def factory(name: str, at: int, directory: Path) -> tuple[Callable[[], nn.Module], str]:
    """(what makes the model with the mistake in it, the mistake). Raises what running the file raises."""
    class_name, arguments, _ = MODELS[name]
    source, what = mutant(origin(name), at, Slip)
    path = directory / f"slip_{name.replace('.', '_')}_{at}.py"
    path.write_text(source)
    full = f"{name.rpartition('.')[0]}.slip_{at}"
    spec = importlib.util.spec_from_file_location(full, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    if not name.startswith("transformers."):
        return lambda: getattr(module, class_name)(**arguments).eval(), what
    config = importlib.import_module(name.replace("modeling", "configuration"))
    given = getattr(config, class_name.replace("Model", "Config"))(**arguments)
    return lambda: getattr(module, class_name)(given).eval(), what


def failing_module(model: nn.Module, x: torch.Tensor) -> tuple[BaseException | None, str]:
    """(what a forward on CPU raises, the path of the innermost module that was entered and not left)."""
    entered: list[str] = []
    for path, module in model.named_modules():
        module.register_forward_pre_hook(lambda *_, path=path: entered.append(path))
        module.register_forward_hook(lambda *_: entered.pop() and None)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model(x)
    except Exception as error:
        return error, entered[-1] if entered else ""
    return None, ""


def line_of(error: BaseException) -> tuple[str, int]:
    """File and line of the last frame that is in a file, and not torch's, einops', Python's or a test's."""
    found = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if frames.owner(frame.filename) == frames.OWN
        and Path(frame.filename).parent != Path(__file__).parent
        and not frame.filename.startswith("<")
    ]
    return found[-1] if found else ("", 0)


def disagreement(name: str, at: int, directory: Path) -> tuple[str, str, list[Any]]:
    """(how the real run ends, the mistake, in what the trace on meta differs from it)."""
    try:
        make, what = factory(name, at, directory)
        torch.manual_seed(0)
        model = make()
    except Exception:
        return "does not build", "", []
    side = MODELS[name][2]
    raised, module = failing_module(model, torch.rand(2, 3, side, side))
    given = (torch.empty(2, 3, side, side, device="meta"),)
    trace, rung = trace_anyhow(Runnable(build_anyhow(make).model, make), lambda: (given, {}), RecordOptions())
    failure, found = trace.failure, []
    if raised is None or failure is None:
        if raised is not None or failure is not None:
            found = [("raises", repr(raised)[:300], failure and failure.exception[:300], rung.device)]
        return "runs" if raised is None else type(raised).__name__, what, found
    told = trace.stages[failure.stage].module if failure.stage is not None else ""
    if told != module:
        found.append(("module", module, told))
    file, line = line_of(raised)
    span = failure.span
    if span is None or span.file != file or not span.line <= line <= span.end_line:
        found.append(("line", (file, line), span and (span.file, span.line, span.end_line)))
    if not failure.exception.startswith(type(raised).__name__):
        found.append(("exception", repr(raised)[:300], failure.exception[:300]))
    return type(raised).__name__, what, found


def differing(chosen: list[tuple[str, int]], directory: Path) -> list[Any]:
    return [(name, at, *found) for name, at in chosen if (found := disagreement(name, at, directory))[2]]


@pytest.mark.filterwarnings("ignore")
def test_a_mistake_fails_where_it_fails_in_python(tmp_path):
    assert differing(slips(QUICK, 2), tmp_path) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_mistakes_fail_where_they_fail_in_python(tmp_path):
    assert differing(slips(MANY), tmp_path) == []
