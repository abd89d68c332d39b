"""Runs a script or a module as Python itself does. Imports the standard library only.

What ends the script leaves as it would leave Python: its traceback without our frames, its own hook, its exit code.
"""

import builtins
import io
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import CodeType, ModuleType, TracebackType
from typing import Any

LONGEST = 2**26
"""Bytes of a script above which it is not read: a device never ends."""


@dataclass(frozen=True)
class Job:
    """What to run, with its arguments, as a file or as a module; where to keep the report.

    With `steps` it is stopped after so many, and `show` gets the trace of the first, made inside `around`.
    """

    name: str
    arguments: tuple[str, ...] = ()
    module: bool = False
    files: tuple[str, ...] = ()
    steps: int = 0
    show: Callable[[Any], int] = lambda trace: 0
    around: Callable[[], AbstractContextManager[None]] = nullcontext


def plain_job(words: list[str]) -> Job | None:
    """The job of a command line without options of ours; None where there are some, or nothing to run."""
    module = words[:1] == ["-m"]
    rest = words[module:]
    if not rest or rest[0].startswith("-"):
        return None
    return Job(rest[0], tuple(rest[1:]), module)


def start(job: Job) -> None:
    """Run the job in place of this program. Raises what it raises; once Python has told an exception, we explain it."""
    own, before = ModuleType("__main__"), list(sys.path)
    vars(own).update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = own
    sys.argv = [job.name, *job.arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd() if job.module else os.path.dirname(os.path.realpath(job.name))
    try:
        if job.steps:
            from vit_trace.scripts.watch import watching

            with watching(job.steps, job.show, job.around):
                _execute(job, own)
        else:
            from vit_trace.scripts.children import follow

            follow()
            _execute(job, own)
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook = _Told(job, sys.excepthook, before)
        raise


def _execute(job: Job, own: ModuleType) -> None:
    """Run it as `__main__`."""
    if job.module:
        import runpy

        runpy._run_module_as_main(job.name)  # type: ignore[attr-defined]  # what `python -m` itself calls
    elif os.path.isdir(job.name) or _is_archive(job.name):
        import runpy

        sys.path[0] = job.name
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
    else:
        exec(_compiled(job.name, own), vars(own))


def _is_archive(name: str) -> bool:
    if not os.path.isfile(name):
        return False
    with open(name, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _compiled(name: str, own: ModuleType) -> CodeType:
    """The script's code; its module says where it comes from, as Python's would."""
    path = os.path.abspath(name)
    try:
        with io.open_code(path) as file:
            source = file.read(LONGEST + 1)
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        raise SystemExit(2) from None
    if len(source) > LONGEST:
        sys.stderr.write(f"vit-trace run: {path!r} has more than {LONGEST:,} bytes: it is no script\n")
        raise SystemExit(2)
    from importlib.machinery import SourceFileLoader

    vars(own).update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
    return compile(source, path, "exec", dont_inherit=True)


def without_us(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from the script's own first frame on."""
    kept, walked = traceback, traceback
    while walked is not None:
        if walked.tb_frame.f_code in (_execute.__code__, _compiled.__code__):
            kept = walked.tb_next
        walked = walked.tb_next
    return kept


class _Told:
    """The hook for the exception that ended the script: Python's account of it first, then ours."""

    def __init__(self, job: Job, hook: Any, path: list[str]) -> None:
        self.job, self.hook, self.path = job, hook, path

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = self.hook
        traceback = without_us(traceback)
        error.__traceback__ = traceback
        if hasattr(sys, "last_traceback"):
            sys.last_traceback = traceback
        self.hook(kind, error, traceback)
        if isinstance(error, Exception) and "torch" in sys.modules:
            sys.path[:0] = self.path  # a file beside the script may have the name of a package of ours
            from vit_trace.scripts.report import tell

            tell(error, self.job.files)
