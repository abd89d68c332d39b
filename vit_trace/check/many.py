"""Checks many specs: expands globs and directories, judges in the order given, in several processes if that helps."""

from __future__ import annotations

import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Diagnostic
from vit_trace.check.verdict import Verdict
from vit_trace.check.walk import Walk
from vit_trace.config.files import shown_file
from vit_trace.targets.libraries import prefixes

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from vit_trace.check.options import Check
    from vit_trace.targets.request import Request

MANY = 64
"""Specs from which all cores are used unless --jobs says how many."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a worker at once."""

CHUNK = 8
"""Specs that a process judges before it returns their verdicts."""


def expanded(specs: Sequence[str]) -> list[str]:
    """The specs that a command line names, globs and directories expanded, each once. Raises Refused."""
    return list(dict.fromkeys(one for spec in specs for one in _expanded(spec)))


def _expanded(spec: str) -> Iterable[str]:
    if not spec:
        raise refuse("unknown-target", "a SPEC is empty", help=("vit-trace check . checks all configs below it",))
    if not any(sign in spec for sign in "*?[") or os.path.exists(spec):
        return _in_directory(spec)
    if spec.partition(":")[0] in prefixes():
        return _library_models(spec)
    files = sorted(Walk(spec).matching())
    if not files:
        raise refuse("no-match", f"no file matches {shown_file(spec)}")
    return [one for file in files for one in _in_directory(file)]


def _library_models(pattern: str) -> list[str]:
    from vit_trace.targets.library import listed_models

    specs, complaints = listed_models(pattern)
    if not specs:
        raise refuse("no-match", f"no model matches {pattern}", help=tuple(one.message for one in complaints))
    return specs


def _in_directory(spec: str) -> list[str]:
    """The configs below a directory, except hidden ones; a model's directory is one config."""
    if not os.path.isdir(spec) or os.path.isfile(os.path.join(spec, "config.json")):
        return [spec]
    found = sorted(Walk(spec).configs())
    if not found:
        raise refuse("no-match", f"there is no YAML or TOML file and no config.json below {shown_file(spec)}")
    return [InDirectory(one) for one in found]


class InDirectory(str):
    """A file that a directory holds, and that nobody named: without a model it is skipped."""


def verdicts(specs: Sequence[str | None], request: Request, asked: Check) -> Iterator[Sequence[Verdict]]:
    """The verdicts on the models of each spec, in the order of the specs, as they come."""
    cores = (os.cpu_count() or 1) if len(specs) >= MANY else 1
    count = min(asked.jobs or cores, len(specs))
    judge = partial(_safely, request=request, asked=asked)
    if count <= 1:
        yield from map(judge, specs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with _quiet_tracker():
        executor = ProcessPoolExecutor(
            count, get_context("spawn"), signal.pthread_sigmask, (signal.SIG_UNBLOCK, ENDING)
        )
    with executor as pool:
        chunks = (specs[start : start + CHUNK] for start in range(0, len(specs), CHUNK))
        submitted = (_submit(pool, chunk, judge) for chunk in chunks)
        waiting = deque(islice(submitted, 2 * count))
        while waiting:  # a few chunks at a time, so that verdicts do not pile up
            yield from waiting.popleft().result()
            waiting.extend(islice(submitted, 1))


@contextmanager
def _quiet_tracker() -> Iterator[None]:
    """Keeps Python's semaphore tracker, which starts in here, from printing a warning when Ctrl-C ends the program."""
    before = os.environ.get("PYTHONWARNINGS", "")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    try:
        yield
    finally:
        os.environ["PYTHONWARNINGS"] = before


_Judge = Callable[[str | None], list[Verdict]]


def _submit(pool: ProcessPoolExecutor, chunk: Sequence[str | None], judge: _Judge) -> Future[list[list[Verdict]]]:
    """Hand a chunk to the pool, which may start a worker for it.

    Signals wait meanwhile: a worker whose parent ends while it starts prints a traceback. The worker keeps Ctrl-C
    blocked for good, and ends when vit_trace.__main__.interrupted kills it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *ENDING})
    try:
        return pool.submit(_judge_all, chunk, judge)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _judge_all(specs: Sequence[str | None], judge: _Judge) -> list[list[Verdict]]:
    return [judge(spec) for spec in specs]


def _safely(spec: str | None, request: Request, asked: Check) -> list[Verdict]:
    """A verdict for each model of a spec; where vit-trace itself fails, one that says so."""
    from vit_trace.check.judge import judge_spec, specs_in

    warnings.filterwarnings("ignore", "Failed to initialize NumPy", UserWarning)  # in each process
    try:
        found = specs_in(spec and str(spec), request, isinstance(spec, InDirectory))
        return [judge_spec(one, request, asked) for one in found]
    except Exception as error:
        message = f"vit-trace failed while it checked: {type(error).__name__}: {error}"
        note = "this is a defect of vit-trace, not of the config: please report it"
        return [Verdict(str(spec), (Diagnostic("internal-defect", "error", message, None, (note,)),))]
