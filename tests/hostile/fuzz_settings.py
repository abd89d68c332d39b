"""Traces models of mutated settings: `python -m tests.hostile.fuzz_settings COUNT [FIRST]`; a seed is a command line.

A seed mutates a config.json, a YAML file of the built-in ViT, or a spec with its --set. Whatever comes of it, the exit
code is 0, 1 or 2 with one diagnostic, in time, and nothing asks for the network.
"""

import json
import random
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hostile.fuzz import DEEP, NUMBERS, TEXTS, changed, mutated_bytes, mutated_tree, outcome

SECONDS = 10.0
"""Processor time that one command may take."""

MEGABYTES = 1_000
"""Memory by which one command may raise the peak, imports included."""

MOST_IN_YAML = 12
"""Errors that one YAML file may bring: each of its keys can be wrong."""

LAYERS = {"num_hidden_layers": 1, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40}
IMAGES = {"image_size": 32, "patch_size": 8}
STAGES = {"embed_dim": 12, "depths": [2, 1], "num_heads": [2, 3], "window_size": 4}
CONFIGS: tuple[dict[str, Any], ...] = (
    {"model_type": "vit", "architectures": ["ViTForImageClassification"], **LAYERS, **IMAGES, "id2label": {"0": "a"}},
    {"model_type": "dinov2", **LAYERS, **IMAGES, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "qkv_bias": True},
    {"model_type": "swin", **STAGES, "image_size": 64, "patch_size": 4, "out_features": ["stage2"]},
    {"model_type": "clip", "projection_dim": 16, "vision_config": LAYERS | IMAGES, "text_config": LAYERS},
    {"model_type": "segformer", "depths": [1, 1], "hidden_sizes": [8, 16], "num_attention_heads": [1, 2], **IMAGES},
)
"""Settings of models that build in no time."""

YAML = """image_size: 64
patch_size: 16  # pixels
num_classes: 20
dim: 24
depth: 1
heads: 2
dim_head: 12
mlp_dim: 32
pool: cls
channels: 3
dropout: 0.1
"""
SPECS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hf:ViTConfig", LAYERS | IMAGES),
    ("hf:SwinForImageClassification", STAGES),
    ("timm:vit_tiny_patch16_224", {"depth": 1, "img_size": [32, 32], "embed_dim": 24, "num_heads": 3}),
    ("torchvision:vit_b_16", {"image_size": 32, "num_classes": 5}),
    ("vit-pytorch:ViT", {"image_size": 32, "patch_size": 8, "dim": 24, "depth": 1, "heads": 3, "mlp_dim": 8}),
    ("vit_pytorch.simple_vit:SimpleViT", {"image_size": 32, "patch_size": 8, "dim": 24, "depth": 1}),
)


def _mutated_text(text: str, dice: random.Random) -> str:
    """A word of a command line, which holds no null byte."""
    raw = mutated_bytes(text.encode(), dice) if dice.random() < 0.7 else dice.choice(TEXTS).encode("utf-8", "replace")
    return raw.decode(errors="replace").replace("\0", "") or "x"


def _config(folder: Path, dice: random.Random) -> list[str]:
    """A mutated config.json."""
    file, tree = folder / "config.json", dice.choice(CONFIGS)
    raw = json.dumps(tree, indent=1).encode()
    file.write_bytes(mutated_bytes(raw, dice) if dice.random() < 0.2 else mutated_tree(tree, dice))
    return [str(file)]


def _yaml(folder: Path, dice: random.Random) -> list[str]:
    """A mutated YAML file, to be traced or checked."""
    file, lines = folder / "c.yaml", YAML.splitlines(keepends=True)
    if dice.random() < 0.6:
        place = dice.randrange(len(lines))
        name, _, value = lines[place].partition(": ")
        value = json.loads(value) if value.strip().isdecimal() else value
        lines[place] = f"{name}: {json.dumps(changed(value, dice), ensure_ascii=dice.random() < 0.5)}\n"
        lines[place] = lines[place].replace(f'"{DEEP}"', "[" * 1000 + "]" * 1000)
    raw = "".join(lines).encode("utf-8", "surrogatepass")
    file.write_bytes(mutated_bytes(raw, dice) if dice.random() < 0.5 else raw)
    return ["check", str(file)] if dice.random() < 0.3 else [str(file)]


def _spec(folder: Path, dice: random.Random) -> list[str]:
    """A spec with --set; one of its words, or some values, are odd."""
    spec, settings = dice.choice(SPECS)
    texts = {name: json.dumps(value) for name, value in settings.items()}
    words = [spec, *(word for name, text in texts.items() for word in ("--set", f"{name}={text}"))]
    if dice.random() < 0.4:
        place = dice.randrange(len(words))
        words[place] = _mutated_text(words[place], dice)
        return words
    name = dice.choice(sorted(texts))
    value = changed(settings[name], dice)
    text = str(dice.choice(NUMBERS)) if dice.random() < 0.3 else json.dumps(value, ensure_ascii=False)
    return [*words, "--set", f"{name}={text[:100_000]}".encode("utf-8", "replace").decode().replace("\0", "")]


def _peak() -> int:
    """The most memory this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def command(seed: int, folder: Path) -> list[str]:
    """The command line of a seed; its file is written to the folder."""
    dice = random.Random(seed)
    words = dice.choice((_config, _yaml, _spec))(folder, dice)
    return words if words[0] == "check" else [*words, "--no-formulas"]


def faults_of(words: list[str]) -> Iterator[str]:
    """What is wrong with how a command line ends."""
    peak = _peak()
    code, text, seconds = outcome(words)
    most = MOST_IN_YAML if words[0].endswith(".yaml") else 1
    if code not in (0, 1, 2) or "Traceback (most recent call last)" in text:
        yield f"exit {code}: {text.strip()[-600:]}"
    elif code and words[0] != "check" and not 1 <= text.count("error[") <= most:
        yield f"exit {code} with {text.count('error[')} errors: {text[:600]}"
    if seconds > SECONDS:
        yield f"{seconds:.1f} s"
    if _peak() > peak + MEGABYTES:
        yield f"{_peak() - peak} MiB"
    if "asked for, and connections are refused" in text:
        yield f"the network was asked: {text[:300]}"
    if odd := {letter for letter in text if not letter.isprintable()} - set("\n\t\f"):
        yield f"{odd} on the screen"


def main(count: int, first: int = 0) -> int:
    """Run that many command lines; print those that end wrong and return their number."""
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        for seed in range(first, first + count):
            words = command(seed, Path(place))
            if faults := list(faults_of(words)):
                wrong += 1
                print(f"seed {seed}: {' '.join(words)[:300]!r}: {faults}", flush=True)
    print(f"{count} command lines, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    raise SystemExit(bool(main(*map(int, sys.argv[1:]))))
