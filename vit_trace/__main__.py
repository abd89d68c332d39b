"""Runs `vit-trace` and `python -m vit_trace`, and turns every way out into an exit code.

0 all is well, 1 it ran and found something, 2 it could not start, 3 a defect of vit-trace; 130 Ctrl-C, 143 SIGTERM and
129 SIGHUP, as a shell counts signals.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn


def interrupted(number: int, frame: FrameType | None) -> None:
    """End at once. As an exception, Ctrl-C could get lost in some import that catches everything."""
    output = sys.modules.get("vit_trace.cli.output")
    for path in tuple(getattr(output, "UNFINISHED", ())):
        with contextlib.suppress(OSError):  # not made yet, or complete by now
            os.unlink(path)
    if (processes := sys.modules.get("multiprocessing")) is not None:
        for child in processes.active_children():
            child.kill()
    os._exit(128 + number)


def name_lost(lost: "sys.UnraisableHookArgs | threading.ExceptHookArgs") -> None:
    """Name in one line what a model's code raises where nobody can catch it: in `__del__`, in a thread."""
    try:
        print(f"ignored {lost.exc_type.__name__}: {str(lost.exc_value)[:200]!r}", file=sys.stderr)
    except Exception:  # not even its text can be had, or stderr is gone
        return


def main() -> None:
    """Entry point of the console script."""
    if (shell := os.environ.get("_VIT_TRACE_COMPLETE")) in ("bash", "zsh", "fish"):
        from vit_trace.cli.completing import answer

        print(answer(shell))
        return
    if sys.argv[1:2] == ["run"]:
        _run_script()
        return
    signal.signal(signal.SIGINT, interrupted)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, interrupted)
    sys.unraisablehook = threading.excepthook = name_lost
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115  # for good
    gc.disable()  # importing torch makes 500,000 objects and no garbage; scanning them takes 100 ms
    try:
        from vit_trace.cli.app import run
        from vit_trace.render.legible import make_legible

        make_legible(sys.stdout, sys.stderr)
        code = run(sys.argv[1:])
    except BrokenPipeError:  # the reader of our output has closed it
        code = 0
    except OSError:  # stderr is full: nothing can be said
        code = 2
    except (ImportError, AttributeError) as error:  # a library that we start with
        from vit_trace.base.imports import broken_library

        if not (said := broken_library(error)):
            raise
        print(said, file=sys.stderr)
        code = 2
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Write what is left and end; at once where the user's code ran, which may have left threads and hooks."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # drop what is left, or Python complains of it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if "vit_trace.targets.importing" in sys.modules:
        os._exit(code)
    sys.exit(code)


def _run_script() -> None:
    """`vit-trace run`: from here on the process is the script's. Nothing of it is touched before the script starts."""
    from vit_trace.scripts.launch import plain_job, start

    job = plain_job(sys.argv[2:])
    if job is None:
        from vit_trace.cli.app import run
        from vit_trace.cli.verbs import run as verb

        code = run(sys.argv[1:])
        if verb.WANTED is None:
            sys.exit(code)
        job = verb.WANTED
    start(job)


if __name__ == "__main__":
    main()
