"""Compares `check --memory` with training runs measured on a GPU: predicted, measured, difference.

    python tests/benchmarks/gpu_memory.py              measure here and compare; without a GPU, with what was measured
    python tests/benchmarks/gpu_memory.py --measure    measure and keep it in tests/memory/gpu.json; no vit_trace
    python tests/benchmarks/gpu_memory.py --write      compare with what was measured, and put it into the page

Each line compares torch.cuda.max_memory_allocated and max_memory_reserved over three steps, as gpu_runs.py runs them.
Needs timm, torchvision, transformers and peft.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gpu_runs import BATCHES, LARGEST, LATER, LATER_OPTIONS, RUNS, GpuRun, largest, measured

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
KEPT = ROOT / "tests" / "memory" / "gpu.json"
PAGE = ROOT / "docs" / "how-to" / "gpu-memory.md"
MIB, GIB = 2**20, 2**30
NEXT = ",\n"


def measure(runs: Iterable[GpuRun] = RUNS, most: Iterable[tuple[int, GpuRun]] = LARGEST) -> dict[str, Any]:
    """The card, the libraries, the bytes of each run and the largest batches."""
    import timm
    import torch

    found: dict[str, Any] = {
        "card": torch.cuda.get_device_name(),
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
        "runs": [],
        "largest": [],
    }
    for run in runs:
        try:
            found["runs"].append([*run, *measured(run)])
        except Exception as error:
            print(*run, f"{type(error).__name__}: {str(error)[:200]}", flush=True)
    for gib, run in most:
        found["largest"].append([gib, *run, largest(run, gib * GIB)])
        print(*found["largest"][-1], flush=True)
    return found


def asked(run: GpuRun) -> Any:
    """The run as `check --memory` has it."""
    from helpers.targets import library_target
    from timm.layers import set_fused_attn

    from vit_trace.memory.judge import Run
    from vit_trace.memory.options import TrainingAsked

    set_fused_attn(run.fused)
    flags = {"batch_size": str(run.batch)} if run.batch else {}
    target = library_target(run.model, [f"{name}={value}" for name, value in run.settings.items()], flags=flags)
    options = {name: tuple(value) if name == "freeze" else value for name, value in run.options.items()}
    return Run(target, TrainingAsked(**options).training())


def predicted(run: GpuRun) -> tuple[int, int]:
    """Bytes allocated and reserved at most."""
    found = asked(run)
    both = found.allocated(found.timeline(found.tape(run.batch)))
    return both[1].allocated, both[1].reserved


def predicted_largest(run: GpuRun, gib: int) -> int:
    found = asked(run)
    return found.largest(gib * GIB + found.reserve)


def words(run: GpuRun) -> str:
    options = ", ".join(f"{name}={value}" for name, value in (run.options | run.settings).items())
    return f"{run.model:38} {run.batch or '':4} {options}{'' if run.fused else ', attention not fused'}"


def compared(kept: dict[str, Any]) -> Iterator[tuple[GpuRun, float, float]]:
    """Prints a line for each run; gives how far what is allocated and reserved is off, in percent."""
    print(kept["card"], kept["versions"], "MiB")
    for *fields, allocated, reserved in kept["runs"]:
        run = GpuRun(*fields)
        ours, theirs = predicted(run), (allocated, reserved)
        off = [100 * (one - other) / other for one, other in zip(ours, theirs, strict=True)]
        sizes = "   ".join(
            f"{what} {one // MIB:6} predicted {other // MIB:6} measured {percent:+5.1f} %"
            for what, one, other, percent in zip(("allocated", "reserved"), ours, theirs, off, strict=True)
        )
        print(f"{words(run):100} {sizes}", flush=True)
        yield run, *off


def table(kept: dict[str, Any]) -> Iterator[str]:
    """Groups of runs, how many, and how far off."""
    groups: dict[str, list[tuple[float, float]]] = {}
    later = [GpuRun(*one) for one in LATER_OPTIONS]
    for run, *off in compared(kept):
        name = "options, dropout, small batches" if run.model in BATCHES else "other models"
        if run.model in LATER or run in later:
            name = "measured after the model was finished"
        elif run.batch == BATCHES.get(run.model):
            plain = (
                run.options.keys() <= {"precision"}
                and not run.settings
                and run.options.get("precision") != "fp16-mixed"
            )
            name = "12 models, 3 precisions, 2 attentions" if plain else "options, dropout, small batches"
        groups.setdefault(name, []).append((abs(off[0]), abs(off[1])))
    yield "| runs | count | allocated: median, most | reserved: median, most |"
    yield "| --- | --- | --- | --- |"
    for name, found in groups.items():
        cells = (f"{statistics.median(one):.2f} %, {max(one):.1f} %" for one in zip(*found, strict=True))
        yield f"| {name} | {len(found)} | {' | '.join(cells)} |"


def batches(kept: dict[str, Any]) -> Iterator[str]:
    """The largest batches, predicted and measured."""
    yield "| run | memory | predicted | measured |"
    yield "| --- | --- | --- | --- |"
    for gib, *fields, count in kept["largest"]:
        run = GpuRun(*fields)
        what = ", ".join([run.model, *(f"{name} {value}" for name, value in run.options.items())])
        yield f"| {what} | {gib} GiB | {predicted_largest(run, gib)} | {count} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="", help="models whose name has this")
    asked = parser.parse_args()
    import torch

    warnings.simplefilter("ignore")
    if asked.measure or (torch.cuda.is_available() and not asked.write):
        kept = measure([run for run in RUNS if asked.only in run.model], [] if asked.only else LARGEST)
    else:
        kept = json.loads(KEPT.read_text())
        kept["runs"] = [row for row in kept["runs"] if asked.only in row[0]]
    if asked.measure:
        rows = [f'"{name}": [\n{NEXT.join(map(json.dumps, kept.pop(name)))}\n]' for name in ("runs", "largest")]
        KEPT.write_text(json.dumps(kept)[:-1] + ",\n" + ",\n".join(rows) + "\n}\n")
        return 0
    page = PAGE.read_text()
    for name, lines in (("measured", table(kept)), ("batches", batches(kept))):
        text = "\n".join(lines)
        print(text)
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        page = f"{before}<!-- {name} -->\n{text}\n<!-- end of {name} -->" + rest.partition(f"<!-- end of {name} -->")[2]
    if asked.write:
        PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
