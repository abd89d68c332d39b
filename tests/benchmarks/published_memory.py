"""Compares `check --memory` with GPU memory that others published: writes the tables of docs/how-to/gpu-memory.md.

    python tests/benchmarks/published_memory.py            print the tables (about five minutes)
    python tests/benchmarks/published_memory.py --write    also put them into the page

Needs timm, transformers and peft, but no GPU: the figures that are compared with are in this file, with their sources.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from published_models import attend_as_in_2022

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.chdir(ROOT)
PAGE = ROOT / "docs" / "how-to" / "gpu-memory.md"
GITHUB = "https://github.com/"
MIB, GIB, GB = 2**20, 2**30, 10**9


class Published(NamedTuple):
    """One figure: where, what was run, its bytes, and what it counts: allocated or reserved by torch, or the process.

    `fused` is whether timm's attention is; `unknown` says what of the setting is not known, and so assumed.
    """

    where: str
    what: str
    spec: str
    settings: tuple[str, ...]
    batch: int
    options: dict[str, object]
    bytes: int
    counts: str = "allocated"
    fused: bool = True
    unknown: str = ""
    at_most: bool = False  # the card's memory: the run fits


AMP = {"precision": "fp16-mixed"}
MODELS = "tests/benchmarks/published_models.py"
SMALL = "timm:vit_small_patch14_dinov2"
AT_224 = ("img_size=224", "num_classes=100")
DINO, GETI = "facebookresearch/dinov2/issues/553", "open-edge-platform/geti/pull/4466"
NO_CODE, NO_SETTING = "float32", "batch 64, AMP, fused attention, and what is counted"

FIGURES = [
    Published(
        "open-mmlab/mmengine/pull/1319",
        "ViT-L/16, dropout 0.1, 2 GPUs",
        "timm:vit_large_patch16_224",
        ("proj_drop_rate=0.1", "pos_drop_rate=0.1"),
        64,
        {"ddp": True},
        26012 * MIB,
    ),
    Published(
        "open-mmlab/mmpretrain/issues/1632",
        "MAE ViT-B/16, AMP, 8 GPUs",
        f"{MODELS}:masked_autoencoder",
        (),
        512,
        {**AMP, "ddp": True},
        48596 * MIB,
        unknown="attention that is not fused",
    ),
    Published(
        "microsoft/Swin-Transformer/issues/183",
        "Swin-T, 8 GPUs",
        "timm:swin_tiny_patch4_window7_224",
        ("drop_path_rate=0.2",),
        128,
        {"ddp": True},
        14764 * MIB,
        fused=False,
        unknown="float32",
    ),
    Published(
        "microsoft/Swin-Transformer/issues/20",
        "Swin-T, on a GTX 1080 Ti",
        "timm:swin_tiny_patch4_window7_224",
        ("drop_path_rate=0.2",),
        64,
        {},
        11 * GIB,
        "process",
        fused=False,
        unknown="float32",
        at_most=True,
    ),
    Published(
        DINO,
        "CLIP ViT-B/16 at 512",
        "timm:vit_base_patch16_clip_224",
        ("img_size=512",),
        8,
        {},
        6 * GIB,
        "process",
        unknown=NO_CODE,
    ),
    Published(
        DINO,
        "DINOv2-B/14 with registers at 518, attention not fused",
        "timm:vit_base_patch14_reg4_dinov2",
        ("img_size=518",),
        8,
        {},
        19 * GIB,
        "process",
        fused=False,
        unknown=NO_CODE,
    ),
    Published(GETI, "DINOv2-S/14", SMALL, AT_224, 64, {**AMP}, 4032 * GB // 1000, "reserved", unknown=NO_SETTING),
    Published(
        GETI,
        "DINOv2-S/14, LoRA of q and v",
        SMALL,
        AT_224,
        64,
        {**AMP, "lora": "r=8,targets=qkv,save=head"},
        2587 * GB // 1000,
        "reserved",
        unknown=NO_SETTING,
    ),
    Published(
        GETI,
        "DINOv2-S/14, frozen but for the head",
        SMALL,
        AT_224,
        64,
        {**AMP, "freeze": ("[!h]*",)},
        548 * GB // 1000,
        "reserved",
        unknown=NO_SETTING,
    ),
]

CARD = int(23.70 * GIB)
"""Bytes of an RTX 3090, as torch says."""
LADDER = (512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Batches that timm's benchmark tries, until one fits."""

LARGEST = {
    "vit_small_patch16_224": 384,
    "vit_base_patch32_384": 256,
    "vit_base_patch16_224": 192,
    "deit_base_patch16_224": 192,
    "deit3_base_patch16_224": 192,
    "beit_base_patch16_224": 192,
    "vit_tiny_patch16_384": 128,
    "vit_large_patch32_384": 96,
    "vit_small_patch16_384": 64,
    "vit_large_patch16_224": 64,
    "deit3_large_patch16_224": 64,
    "vit_base_patch16_384": 32,
    "vit_base_patch8_224": 24,
    "vit_huge_patch14_224": 16,
    "deit3_huge_patch14_224": 16,
    "vit_large_patch16_384": 12,
    "vit_giant_patch14_224": 8,
}
"""Batch of results/benchmark-train-amp-nchw-pt112-cu113-rtx3090.csv in huggingface/pytorch-image-models."""


def run_of(
    spec: str, settings: tuple[str, ...], batch: int, options: dict[str, object], fused: bool = False, old: bool = False
):
    """The run, as the command line makes it."""
    from helpers.targets import library_target
    from timm.layers import set_fused_attn
    from timm.models.vision_transformer import Attention

    from vit_trace.memory.cuda import BEFORE_HOPPER
    from vit_trace.memory.judge import Run
    from vit_trace.memory.options import TrainingAsked

    set_fused_attn(fused)
    if old:
        Attention.forward = attend_as_in_2022
    target = library_target(spec, settings, flags={"batch_size": str(batch)})
    return Run(target, TrainingAsked(**options).training(), card=BEFORE_HOPPER)


def compared(one: Published) -> tuple[int, int]:
    """Bytes as predicted, and as published."""
    run = run_of(one.spec, one.settings, one.batch, one.options, one.fused)
    reached = run.allocated(run.timeline(run.tape(one.batch)))
    assert reached is not None
    held = reached[1]._asdict() | {"process": reached[1].reserved + run.reserve}
    return held[one.counts], one.bytes


def figures() -> Iterator[str]:
    yield "| what was trained | batch | counted | reported | predicted | difference | not known, assumed |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in FIGURES:
        predicted, reported = compared(one)
        more = f"{100 * (predicted - reported) / reported:+.0f} %"
        if one.at_most:
            more = "fits" if predicted <= reported else "does not fit"
        sizes = f"{'at most ' * one.at_most}{reported / GIB:.2f} GiB | {predicted / GIB:.2f} GiB"
        link = f"[{one.what}]({GITHUB}{one.where})"
        yield f"| {link} | {one.batch} | {one.counts} | {sizes} | {more} | {one.unknown} |"


def largest() -> Iterator[str]:
    yield "| model | ran at | not at | predicted largest | |"
    yield "| --- | --- | --- | --- | --- |"
    options: dict[str, object] = {"precision": "fp16-mixed", "optimizer": "sgd+momentum", "accumulate": 2}
    hits = 0
    for name, batch in LARGEST.items():
        above = LADDER[LADDER.index(batch) - 1]
        found = run_of(f"timm:{name}", (), batch, options, old=True).largest(CARD)
        hits += batch <= found < above
        where = "" if batch <= found < above else "below" if found < batch else "above"
        yield f"| {name} | {batch} | {above} | {found} | {where} |"
    yield f"\n{hits} of {len(LARGEST)} lie in the bracket."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", choices=("figures", "largest"))
    asked = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name, lines in (("figures", figures), ("largest", largest)):
        if asked.only in (None, name):
            table = []
            for line in lines():
                print(line, flush=True)
                table.append(line)
            if asked.write:
                before, _, rest = PAGE.read_text().partition(f"<!-- {name} -->\n")
                _, end, after = rest.partition(f"<!-- end of {name} -->")
                PAGE.write_text(f"{before}<!-- {name} -->\n" + "\n".join(table) + f"\n{end}{after}")


if __name__ == "__main__":
    main()
