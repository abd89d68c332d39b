"""Training runs that gpu_memory.py measures on a GPU, and how it runs them with torch alone. No vit_trace."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from contextlib import nullcontext
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple


class GpuRun(NamedTuple):
    """One training run: the model as `vit-trace show` names it, its settings, the batch, options of `check --memory`.

    `fused` is whether timm's attention calls scaled_dot_product_attention.
    """

    model: str
    batch: int
    options: dict[str, Any] = {}  # noqa: RUF012
    settings: dict[str, Any] = {}  # noqa: RUF012
    fused: bool = True


BATCHES = {
    "timm:vit_tiny_patch16_224": 128,
    "timm:vit_small_patch16_224": 64,
    "timm:vit_base_patch16_224": 32,
    "timm:vit_large_patch16_224": 8,
    "timm:vit_base_patch16_384": 8,
    "timm:vit_base_patch16_clip_224": 32,
    "timm:vit_small_patch14_reg4_dinov2": 8,
    "timm:deit3_small_patch16_224": 64,
    "timm:beit_base_patch16_224": 32,
    "timm:eva02_tiny_patch14_224": 64,
    "timm:swin_tiny_patch4_window7_224": 32,
    "timm:vit_base_patch16_siglip_224": 32,
}
"""Twelve models -> images."""

PRECISIONS = ("fp32", "bf16-mixed", "bf16")

SMALL, BASE = "timm:vit_small_patch16_224", "timm:vit_base_patch16_224"

OPTIONS: list[dict[str, Any]] = [
    {"precision": "fp16-mixed"},
    {"inference": True},
    {"inference": True, "precision": "bf16"},
    {"freeze": ["blocks.*"]},
    {"freeze": ["[!h]*"]},
    {"lora": "r=8,targets=qkv"},
    {"lora": "r=8,targets=qkv+proj,save=head", "precision": "bf16-mixed"},
    {"optimizer": "sgd"},
    {"optimizer": "sgd+momentum"},
    {"optimizer": "lion"},
    {"optimizer": "lamb"},
    {"optimizer": "adafactor"},
    {"ema": True},
    {"accumulate": 4},
    {"checkpointing": True},
    {"checkpoint_every": 2},
    {"checkpointing": True, "precision": "bf16-mixed"},
    {"input_on_device": True},
    {"attention": "flash", "precision": "bf16"},
    {"attention": "efficient", "precision": "bf16"},
    {"attention": "math"},
    {"attention": "math", "precision": "bf16-mixed"},
]
"""One model with each option."""

DROPS: list[dict[str, Any]] = [
    {"proj_drop_rate": 0.1, "pos_drop_rate": 0.1},
    {"attn_drop_rate": 0.1},
    {"drop_path_rate": 0.2},
]

OTHERS: dict[str, int] = {
    "timm:samvit_base_patch16": 1,
    "timm:cait_s24_224": 16,
    "timm:xcit_small_12_p16_224": 16,
    "timm:swinv2_tiny_window8_256": 16,
    "timm:maxvit_tiny_tf_224": 8,
    "timm:pvt_v2_b2": 16,
    "timm:mvitv2_small": 16,
    "timm:coat_lite_small": 16,
    "timm:convnext_tiny": 32,
    "torchvision:vit_b_16": 32,
    "torchvision:swin_t": 16,
    "hf:ViTModel": 32,
    "hf:ViTForImageClassification": 32,
    "hf:ViTMAEForPreTraining": 32,
    "hf:Dinov2Model": 16,
    "hf:SiglipVisionModel": 32,
    "hf:CLIPVisionModel": 32,
    "hf:SegformerForImageClassification": 16,
}

LATER: dict[str, int] = {
    "timm:vit_huge_patch14_224": 2,
    "timm:deit_tiny_patch16_224": 100,
    "timm:swin_base_patch4_window7_224": 8,
    "timm:beit_large_patch16_224": 4,
    "timm:eva02_small_patch14_336": 8,
    "timm:levit_256": 32,
    "timm:mobilevit_s": 16,
    "timm:vit_so400m_patch14_siglip_224": 4,
    "timm:crossvit_small_240": 16,
    "timm:pit_s_224": 32,
    "timm:tnt_s_patch16_224": 16,
    "timm:hiera_tiny_224": 16,
    "timm:nest_tiny": 8,
    "timm:vit_base_patch14_dinov2": 1,
    "timm:gcvit_tiny": 8,
    "timm:twins_svt_small": 16,
    "timm:volo_d1_224": 8,
    "timm:davit_tiny": 8,
    "timm:vit_small_patch16_dinov3": 32,
    "hf:DeiTModel": 32,
    "hf:SwinModel": 16,
    "hf:BeitModel": 16,
    "hf:ViTMSNModel": 16,
    "hf:Dinov2WithRegistersModel": 8,
    "torchvision:vit_l_16": 4,
    "torchvision:maxvit_t": 8,
}
"""Models that were measured after the model of CUDA was finished."""

LATER_OPTIONS: list[tuple[str, int, dict[str, Any]]] = [
    ("timm:swin_tiny_patch4_window7_224", 32, {"freeze": ["layers.0.*", "layers.1.*"]}),
    ("timm:deit3_base_patch16_224", 16, {"lora": "r=16,targets=qkv+fc1+fc2", "precision": "bf16"}),
    ("timm:beit_base_patch16_224", 16, {"ema": True, "precision": "fp16-mixed"}),
    ("timm:vit_large_patch16_224", 8, {"checkpointing": True, "optimizer": "sgd+momentum"}),
    ("timm:vit_large_patch16_224", 8, {"checkpoint_every": 3, "precision": "bf16-mixed"}),
    ("timm:vit_base_patch16_384", 8, {"inference": True, "precision": "bf16-mixed"}),
    ("timm:swin_small_patch4_window7_224", 16, {"inference": True}),
    ("timm:vit_base_patch16_clip_224", 16, {"optimizer": "adafactor", "precision": "bf16"}),
    ("timm:vit_base_patch16_siglip_224", 16, {"accumulate": 2, "precision": "fp16-mixed"}),
    ("timm:vit_base_patch16_224", 16, {"optimizer": "lamb"}),
]

RUNS = [
    *(
        GpuRun(model, batch, {"precision": precision}, fused=fused)
        for model, batch in BATCHES.items()
        for precision in PRECISIONS
        for fused in (True, False)
    ),
    *(GpuRun(SMALL, 64, options) for options in OPTIONS),
    *(GpuRun(BASE, 16, {"precision": one}, drops) for drops in DROPS for one in ("fp32", "bf16-mixed")),
    *(GpuRun(BASE, 16, {"precision": one}, DROPS[1], fused=False) for one in ("fp32", "bf16-mixed")),
    *(GpuRun(BASE, batch) for batch in (1, 2, 7)),
    *(GpuRun(model, batch, {"precision": one}) for model, batch in OTHERS.items() for one in ("fp32", "bf16-mixed")),
    *(GpuRun(model, batch, {"precision": one}) for model, batch in LATER.items() for one in ("fp32", "fp16-mixed")),
    *(GpuRun(model, batch, options) for model, batch, options in LATER_OPTIONS),
]

LARGEST: list[tuple[int, GpuRun]] = [
    (16, GpuRun(SMALL, 0)),
    (16, GpuRun(BASE, 0, {"precision": "bf16-mixed"})),
    (16, GpuRun("timm:swin_tiny_patch4_window7_224", 0, fused=False)),
    (16, GpuRun("timm:vit_large_patch16_224", 0, {"precision": "bf16"})),
    (16, GpuRun("hf:ViTModel", 0)),
    (24, GpuRun(SMALL, 0, {"precision": "fp16-mixed", "optimizer": "sgd+momentum"})),
    (24, GpuRun("timm:deit3_base_patch16_224", 0, {"precision": "bf16-mixed"})),
    (16, GpuRun("timm:beit_base_patch16_224", 0)),
    (8, GpuRun("timm:swin_small_patch4_window7_224", 0, {"precision": "bf16-mixed"})),
    (24, GpuRun("hf:Dinov2Model", 0)),
    (8, GpuRun(BASE, 0, {"checkpointing": True})),
    (16, GpuRun(BASE, 0, {"lora": "r=8,targets=qkv", "precision": "bf16-mixed"})),
]
"""GiB that the allocator may take, and a run at any batch."""

KERNELS = {"flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION", "math": "MATH"}


def measured(run: GpuRun, started: Callable[[int], Any] = lambda step: None) -> tuple[int, int]:
    """Bytes allocated and reserved at most in three steps on the GPU.

    Args:
        started: called before each step with its number.
    """
    import torch
    from timm.layers import set_fused_attn
    from torch.nn.attention import SDPBackend, sdpa_kernel

    set_fused_attn(run.fused)
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    kernel = run.options.get("attention")
    with sdpa_kernel(getattr(SDPBackend, KERNELS[kernel])) if kernel else nullcontext():
        _train(run, started)
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def largest(run: GpuRun, limit: int) -> int:
    """The largest batch that runs in so many bytes of the allocator; one more does not."""
    import torch

    def fits(batch: int) -> bool:
        try:
            measured(run._replace(batch=batch))
        except torch.OutOfMemoryError:
            return False
        return True

    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    low, high = 0, 16
    while fits(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    torch.cuda.set_per_process_memory_fraction(1.0)
    return low


def _train(run: GpuRun, started: Callable[[int], Any]) -> None:
    import torch

    options = run.options
    precision = options.get("precision", "fp32")
    whole = torch.bfloat16 if precision == "bf16" else torch.float32
    model, size = _built(run)
    if precision == "bf16":
        model = model.to(whole)
    images = torch.rand(run.batch, 3, size, size, device="cuda", dtype=whole)
    lower = {"bf16-mixed": torch.bfloat16, "fp16-mixed": torch.float16}.get(precision)
    around = partial(torch.autocast, "cuda", lower) if lower is not None else nullcontext
    if options.get("inference"):
        with torch.no_grad():
            for step in range(3):
                started(step)
                with around():
                    out = model.eval()(images)
                del out
        return
    optimizer = _optimizer(options.get("optimizer", "adamw"), [one for one in model.parameters() if one.requires_grad])
    scaler = torch.amp.GradScaler(
        "cuda", init_scale=1.0, enabled=precision == "fp16-mixed"
    )  # the loss is a sum: it is large
    averaged = copy.deepcopy(model) if options.get("ema") else None
    following = torch.rand_like(images) if options.get("input_on_device") else None
    for step in range(3):
        started(step)
        for _ in range(options.get("accumulate", 1)):
            with around():
                out = model(images)
            scaler.scale(_loss(out)).backward()
            del out
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    del averaged, following


def _built(run: GpuRun) -> tuple[Any, int]:
    """The model on the GPU, with what the options change in it, and the side of its images."""
    import torch

    library, _, name = run.model.partition(":")
    with torch.device("cuda"):
        if library == "timm":
            import timm

            model = timm.create_model(name, **run.settings)
            size = model.pretrained_cfg["input_size"][-1]
        elif library == "torchvision":
            import torchvision

            model, size = torchvision.models.get_model(name), 224
        else:
            import transformers

            kind = getattr(transformers, name)
            config = kind.config_class(**run.settings)
            model, size = kind(config), getattr(config, "image_size", 224)
    options = run.options
    model.train()
    for parameter in (one for name, one in model.named_parameters() if _matches(name, options.get("freeze", ()))):
        parameter.requires_grad_(False)
    if "lora" in options:
        from peft import LoraConfig, get_peft_model

        parts = dict(part.split("=") for part in options["lora"].split(","))
        save = parts["save"].split("+") if "save" in parts else None
        config = LoraConfig(r=int(parts["r"]), target_modules=parts["targets"].split("+"), modules_to_save=save)
        model = get_peft_model(model, config)
    every = options.get("checkpoint_every", 1)
    if options.get("checkpointing") or "checkpoint_every" in options:
        for block in list(model.blocks)[::every]:
            block.forward = partial(torch.utils.checkpoint.checkpoint, block.forward, use_reentrant=False)
    return model, size


def _matches(name: str, globs: Any) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _optimizer(name: str, parameters: list[Any]) -> Any:
    import timm.optim
    import torch

    optimizers: dict[str, Callable[..., Any]] = {
        "adamw": torch.optim.AdamW,
        "sgd": partial(torch.optim.SGD, lr=0.01),
        "sgd+momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
        "lion": timm.optim.Lion,
        "lamb": timm.optim.Lamb,
        "adafactor": torch.optim.Adafactor,
    }
    return optimizers[name](parameters)


def _loss(out: Any) -> Any:
    """The sum of all outputs that need a gradient."""
    from torch import Tensor
    from torch.utils._pytree import tree_leaves

    leaves = tree_leaves(list(out.values()) if isinstance(out, dict) else out)
    return sum(leaf.sum() for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad)
