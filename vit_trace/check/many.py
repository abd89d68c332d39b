"""Many specs: what each stands for, and their verdicts in the order given, on several processes where that helps."""

from __future__ import annotations

import glob
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Diagnostic
from vit_trace.check.verdict import Verdict
from vit_trace.config import ConfigError
from vit_trace.targets.libraries import prefixes

if TYPE_CHECKING:
    from vit_trace.check.options import Check
    from vit_trace.targets.request import Request

MANY = 64
"""Specs from which on all cores are used where nobody says how many."""

CHUNK = 8


def expanded(specs: Sequence[str]) -> list[str]:
    """The specs that a command line's words stand for: globs and directories taken apart, each once. Raises Refused."""
    found: dict[str, None] = {}
    for spec in specs:
        found.update(dict.fromkeys(one_expanded(spec)))
    return list(found)


def one_expanded(spec: str) -> Iterable[str]:
    wild = any(sign in spec for sign in "*?[") and not Path(spec).exists()
    if wild and spec.partition(":")[0] in prefixes():
        return library_models(spec)
    if wild:
        files = sorted(glob.glob(spec, recursive=True))
        if not files:
            raise refuse("no-match", f"no file fits {spec}")
        return [one for file in files for one in in_directory(file)]
    return in_directory(spec)


def library_models(pattern: str) -> list[str]:
    from vit_trace.targets.library import listed_models

    specs, complaints = listed_models(pattern)
    if not specs:
        raise refuse("no-match", f"no model fits {pattern}", help=tuple(one.message for one in complaints))
    return specs


def in_directory(spec: str) -> list[str]:
    """The configs below a directory: YAML files and config.json, hidden ones left out; a model's directory is one."""
    path = Path(spec)
    if not path.is_dir() or (path / "config.json").is_file():
        return [spec]
    below = [*path.rglob("*.yaml"), *path.rglob("*.yml"), *path.rglob("config.json")]
    shown = sorted(str(one) for one in below if not any(part.startswith(".") for part in one.relative_to(path).parts))
    if not shown:
        raise refuse("no-match", f"there is no YAML file and no config.json below {spec}")
    return shown


def verdicts(specs: Sequence[str | None], model: Request, asked: Check) -> Iterator[Verdict]:
    """One verdict for each spec, in their order, as they come."""
    cores = (os.cpu_count() or 1) if len(specs) >= MANY else 1
    count = min(asked.jobs or cores, len(specs))
    judge = partial(safely, model=model, asked=asked)
    if count <= 1:
        yield from map(judge, specs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with quiet_tracker():
        executor = ProcessPoolExecutor(count, get_context("spawn"), begin)
    with executor as pool:
        ahead = iter(specs)
        waiting = [pool.submit(judge_all, chunk, judge) for chunk in chunks(ahead, 2 * count)]
        while waiting:  # a few chunks at a time: neither specs nor verdicts pile up
            yield from waiting.pop(0).result()
            waiting += [pool.submit(judge_all, chunk, judge) for chunk in chunks(ahead, 1)]


@contextmanager
def quiet_tracker() -> Iterator[None]:
    """Python's tracker of semaphores, started in here, does not count them aloud when Ctrl-C ends us at once."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def chunks(specs: Iterator[str | None], count: int) -> Iterator[list[str | None]]:
    for _ in range(count):
        if chunk := list(islice(specs, CHUNK)):
            yield chunk


def judge_all(specs: list[str | None], judge: partial[Verdict]) -> list[Verdict]:
    return [judge(spec) for spec in specs]


def begin() -> None:
    """A worker ends at once on Ctrl-C and says nothing."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def safely(spec: str | None, model: Request, asked: Check) -> Verdict:
    """The verdict; where vit-trace itself fails, one that says so."""
    from vit_trace.check.judge import judged
    from vit_trace.check.weigh import weighing

    try:
        verdict = judged(spec, model)
        for more in (fitting, weighing, suggesting):
            verdict = more(verdict, spec, model, asked) if verdict.started else verdict
        return verdict
    except Exception as error:
        message = f"vit-trace failed while it checked: {type(error).__name__}: {error}"
        note = "this is a defect of vit-trace, not of the config: please report it"
        return Verdict(str(spec), (Diagnostic("internal-defect", "error", message, None, (note,)),))


def fitting(verdict: Verdict, spec: str | None, model: Request, asked: Check) -> Verdict:
    """The verdict with what keeps --checkpoint from being loaded into the model, where that can be built."""
    if asked.checkpoint is None or any(one.severity == "error" for one in verdict.diagnostics):
        return verdict
    from vit_trace.check.fitting import misfits

    try:
        found = misfits(asked.checkpoint, spec, model)
    except Refused as refused:
        return replace(verdict, diagnostics=(*verdict.diagnostics, *refused.diagnostics), started=False)
    return replace(verdict, diagnostics=(*found, *verdict.diagnostics))


def suggesting(verdict: Verdict, spec: str | None, model: Request, asked: Check) -> Verdict:
    """The verdict with values that work for what --suggest names, or with the reason why none can be given."""
    for name in asked.suggest:
        from vit_trace.check.suggest import suggestion

        try:
            verdict = replace(verdict, suggestions=(*verdict.suggestions, suggestion(spec, model, name)))
        except (Refused, ConfigError) as refused:
            known = {one.message for one in verdict.diagnostics}
            new = tuple(one for one in refused.diagnostics if one.message not in known)
            verdict = replace(verdict, diagnostics=(*verdict.diagnostics, *new), started=not new)
    return verdict
