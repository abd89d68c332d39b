"""One peer, one model, one process: `python peers.py torchinfo configs/reference.yaml 5`. Timed by run.py."""

import os
import sys
from pathlib import Path

import torch

from vit_trace.config import load
from vit_trace.targets.builtin import build


def main(peer: str, config: str, batch: str) -> None:
    values = load(Path(config), {"batch_size": batch})
    shape = (values.batch_size, values.channels, *values.image_size)
    if peer == "bare meta":
        with torch.device("meta"), torch.no_grad():
            build(values).eval()(torch.empty(shape))
        return
    model = build(values).eval()
    if peer == "torchinfo":
        import torchinfo

        print(torchinfo.summary(model, input_size=shape, verbose=0, depth=6))
    if peer == "torchlens":
        import torchlens

        print(torchlens.trace(model, torch.zeros(shape)))


def forward() -> None:
    """The entry point torchtyc runs on meta tensors; the model comes from the environment."""
    config, batch = os.environ["BENCHMARK_MODEL"].split(",")
    main("bare meta", config, batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
