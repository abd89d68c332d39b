"""How long vit-trace takes beside `import torch`, a bare meta forward and its rivals: medians of pairs, and ratios.

    python tests/benchmarks/run.py                 everything (about ten minutes)
    python tests/benchmarks/run.py --only process  whole processes; --only inside for the figures of one process
    python tests/benchmarks/run.py --case reference --pairs 9

Whole processes are run in turn (ours, theirs, ours, theirs ...) so that both meet the same machine; a peer that is not
installed or cannot run is skipped with a line. Install the peers with: pip install torchinfo torchlens torchtyc
Ratios are what counts; seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent


class Case(NamedTuple):
    """A model: our arguments, and the batch that peers get too. `real` is whether its weights fit in memory.

    `memory` is the budget of a check that weighs a training step, which is then what is timed. `library` is the
    statement that imports what a library's model needs; peers know the built-in ViT only.
    """

    config: str
    batch: int
    real: bool
    memory: str = ""
    library: str = ""


CASES = {
    "reference": Case("configs/reference.yaml", 5, True),
    "ViT-L/16": Case("configs/vit_l_16.yaml", 8, True),
    "ViT-22B": Case("configs/vit_22b_14.yaml", 1, False),
    "ViT-22B, --memory": Case("configs/vit_22b_14.yaml", 1, False, "500GiB"),
    "timm ViT-B/16": Case("timm:vit_base_patch16_224", 1, False, library="import timm"),
    "HF ViT-B/16": Case("hf:ViTConfig", 1, False, library="from transformers import ViTForImageClassification"),
}
PEERS = ("import torch", "import the library", "no formulas", "page", "bare meta", "torchinfo", "torchlens", "torchtyc")
NEEDS_WEIGHTS = {"torchinfo", "torchlens", "torchtyc"}


class Run(NamedTuple):
    """Wall and processor seconds, and peak memory in MiB, of one process."""

    wall: float
    cpu: float
    memory: float


def command(peer: str, case: Case) -> list[str]:
    """What to run for one peer."""
    ours = [sys.executable, "-P", "-m", "vit_trace", case.config, "--batch-size", str(case.batch)]
    if case.memory:
        ours[4:4] = ["check", "--memory", case.memory]
    if peer == "vit-trace":
        return ours
    if peer == "no formulas":
        return [*ours, "--no-formulas"]
    if peer == "page":
        return [*ours, "-o", f"{tempfile.gettempdir()}/page.html"]
    if peer == "import torch":
        return [sys.executable, "-c", "import torch"]
    if peer == "import the library":
        return [sys.executable, "-c", case.library]
    if peer == "torchtyc":
        os.environ["BENCHMARK_MODEL"] = f"{ROOT / case.config},{case.batch}"  # it runs in a directory of its own choice
        program = str(Path(sys.executable).parent / "torchtyc")
        return [program, "run", f"{HERE / 'peers.py'}::forward", "--python", sys.executable]
    return [sys.executable, str(HERE / "peers.py"), peer, case.config, str(case.batch)]


def measure(arguments: list[str]) -> Run | None:
    """One process, accounted for by the operating system; None where it failed."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        return None
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(name: str, case: Case, peer: str, pairs: int) -> str:
    """One line: medians of both, and the median of the pairs' ratios."""
    if (peer in ("bare meta", *NEEDS_WEIGHTS) and case.library) or (peer == "import the library" and not case.library):
        return f"| {name} | {peer} | skipped: not for this model | | | |"
    if peer in NEEDS_WEIGHTS and not case.real:
        return f"| {name} | {peer} | skipped: it needs the weights in memory | | | |"
    if peer in NEEDS_WEIGHTS and find_spec(peer) is None:
        return f"| {name} | {peer} | skipped: not installed | | | |"
    both = [(measure(command("vit-trace", case)), measure(command(peer, case))) for _ in range(pairs + 1)][1:]
    if any(one is None or two is None for one, two in both):
        return f"| {name} | {peer} | skipped: it failed here | | | |"
    ours = [one for one, _ in both if one]
    theirs = [two for _, two in both if two]
    walls = [one.wall / two.wall for one, two in zip(ours, theirs, strict=True)]
    memories = [one.memory / two.memory for one, two in zip(ours, theirs, strict=True)]
    seconds = f"{median(run.wall for run in ours):.2f} s / {median(run.wall for run in theirs):.2f} s"
    memory = f"{median(run.memory for run in ours):.0f} / {median(run.memory for run in theirs):.0f} MiB"
    return f"| {name} | {peer} | {seconds} | **{median(walls):.2f}** | {memory} | **{median(memories):.2f}** |"


def median(values: object) -> float:
    return statistics.median(list(values))  # type: ignore[call-overload, no-any-return]


# -- inside one process --------------------------------------------------------------------------------------------


def timed(function: Callable[[], object], runs: int = 15) -> float:
    """Median processor time of a call, in milliseconds, after two calls that do not count."""
    for _ in range(2):
        function()
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def inside() -> list[str]:
    """Traced forward against torch's bare meta forward, traces per second, cost per stage by depth."""
    import gc

    import torch

    from vit_trace.config import ViTConfig
    from vit_trace.probing.run import trace_once
    from vit_trace.record.record import record
    from vit_trace.targets.builtin import build, builtin, inputs

    config = ViTConfig()
    with torch.device("meta"):
        model = build(config).eval()
    (image,), _ = inputs(config)

    def bare() -> None:
        with torch.no_grad():
            model(image)

    plain, traced = timed(bare), timed(lambda: record(model, (image,)))
    once = timed(lambda: trace_once(builtin(config)))
    lines = [
        f"- bare meta forward {plain:.1f} ms, traced forward {traced:.1f} ms: **{traced / plain:.2f}**",
        f"- build and trace of one config {once:.1f} ms: **{1000 / once:.0f} configs per second**",
    ]
    gc.collect()
    costs = {}
    for depth in (1, 12, 100, 1000):
        target = builtin(ViTConfig(depth=depth, dim=64, heads=2, dim_head=8, mlp_dim=64))
        stages = trace_once(target).totals.stages
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        costs[depth] = 1000 * timed(lambda target=target: trace_once(target), 5 if depth > 100 else 9) / stages
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / stages
        lines.append(f"- depth {depth}: {costs[depth]:.1f} µs and {max(grown, 0):.2f} KiB per stage, {stages} stages")
    lines.append(f"- cost per stage at depth 1000 against depth 12: **{costs[1000] / costs[12]:.2f}**")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--only", choices=("process", "inside"))
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--peer", choices=PEERS, action="append")
    options = parser.parse_args()
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"medians of {options.pairs} pairs; ours / theirs\n", flush=True)
    if options.only != "inside":
        print("| model | against | wall | ratio | peak memory | ratio |\n| --- | --- | --- | --- | --- | --- |")
        for name in options.case or CASES:
            for peer in options.peer or PEERS:
                print(compare(name, CASES[name], peer, options.pairs), flush=True)
        print()
    if options.only != "process":
        print("\n".join(inside()))


if __name__ == "__main__":
    main()
