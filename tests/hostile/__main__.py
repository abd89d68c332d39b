"""Runs hostile cases: `python -m tests.hostile [--forked] [NAME…]`; a NAME is a file here or part of a case's name.

Each case is a process in an empty folder. It is measured from outside: wall time, peak memory, exit code, output, and
what an audit hook in a sitecustomize.py saw (sockets, processes, files opened for writing). It prints what failed.
With --forked this process imports the libraries once and each case is a fork of it, whose processor time counts: many
times as fast, and nearly as true. Cases about the environment or the imports of a process are left out then.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import re
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import NamedTuple

from tests.hostile.case import Case

ROOT = Path(__file__).parents[2]
RAW = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")
"""Control characters that may not reach a terminal: all but tab, line end, form feed and carriage return."""

HOOK = """
import os, sys
_log, _writing = os.environ.get("HOSTILE_LOG"), os.O_WRONLY | os.O_RDWR | os.O_CREAT
_asks = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
_state = {"hooks": 0, "last": 0}
def _hear(event, given, log=_log and os.open(_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
    if event == "sys.addaudithook":
        _state["hooks"] += 1
    elif event in _asks and _state["hooks"] != _state["last"]:
        place = _state["last"] = _state["hooks"] + 1
        sys.addaudithook(lambda event, given: _reached(event, given, place, log))
    elif event == "open":
        path, mode, flags = given
        if isinstance(flags, int) and flags & _writing and isinstance(path, (str, bytes)):
            _write(log, event, os.path.abspath(os.fsdecode(path)))
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        _write(log, event, repr(given)[:300])
def _reached(event, given, place, log):
    if event in _asks and place == _state["last"]:
        text = repr(given)[:300]
        if not any(own in text for own in ("'127.", "'localhost'", "'::1'", "family=1,")):
            _write(log, event, text)
def _write(log, event, text):
    os.write(log, f"{event}\\t{text}\\n".encode(errors="backslashreplace"))
if _log:
    sys.addaudithook(_hear)
"""
"""What a case's process runs first. A socket's event counts where no hook that came before refused it."""

LIBRARIES = {"timm": "timm", "hf": "transformers", "torchvision": "torchvision", "vit-pytorch": "vit_pytorch"}
SPARE = ("/dev/null", "/dev/full", "/proc/", "__pycache__", "/torch/", "/dev/tty", "/pymp-", "/dev/shm")
"""Parts of the names of files that Python and the libraries write for themselves."""

WORKERS = ("multiprocessing", "resource_tracker", "ldconfig", "uname", "lscpu", "gcc", "cc", "ld", "rocm", "nvidia-smi")
"""Processes that check starts, and that the libraries start while they are imported."""


PROBE = re.compile(rf"{re.escape(tempfile.gettempdir())}/[a-z0-9_]{{8}}")
"""What Python's tempfile writes to see which directory it can use."""


class Outcome(NamedTuple):
    """What one process did: seconds, MiB at its peak, its exit code (-9: stopped), its output, what the hook saw."""

    seconds: float
    megabytes: float
    code: int
    output: bytes
    seen: tuple[str, ...]
    left: tuple[str, ...]


def cases(names: list[str]) -> Iterator[tuple[str, Case]]:
    """Every case of the files in this folder, or those that a name chooses, with its kind."""
    folder = Path(__file__).parent
    for found in sorted(pkgutil.iter_modules([str(folder)]), key=lambda one: one.name):
        if found.name == "__main__":
            continue
        for case in getattr(importlib.import_module(f"tests.hostile.{found.name}"), "CASES", ()):
            if not names or any(name == found.name or name in case.name for name in names):
                yield found.name, case


def run(arguments: list[str], case: Case, folder: Path, limit: float, begin: "Begin") -> Outcome:
    """Run a command line in the folder with the hook, and measure it; it is stopped at `limit` seconds.

    A fork is stopped at so many seconds of the processor, or ten times as many: a busy machine is no fault of its own.
    """
    hook = folder.parent / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(HOOK)
    log, output = folder.parent / "log", folder.parent / "output"
    given = folder.parent / "stdin"
    given.write_bytes(case.stdin)
    log.write_text("")
    environment = {**os.environ, "PYTHONPATH": f"{hook}{os.pathsep}{ROOT}", "HOSTILE_LOG": str(log), "COLUMNS": "100"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", **dict(case.environment)}
    before = set(os.listdir(folder))
    sys.stdout.flush()
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.chdir(folder)
        if begin is begin_here:
            resource.setrlimit(resource.RLIMIT_CPU, (ceil(limit), ceil(limit)))
        for number, file, mode in ((0, given, os.O_RDONLY), (1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(file, mode, 0o600), number)
        os.dup2(os.open(f"{output}.2", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if case.json else 1, 2)
        begin(arguments, environment)
    timer = threading.Timer(limit * (10 if begin is begin_here else 1), lambda: os.killpg(child, signal.SIGKILL))
    timer.start()
    _, status, usage = os.wait4(child, 0)
    timer.cancel()
    timer.join()  # the next fork finds one thread
    seconds = time.monotonic() - start if begin is begin_anew else usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    seen = tuple(log.read_text(errors="replace").splitlines())
    left = tuple(sorted(set(os.listdir(folder)) - before))
    return Outcome(seconds, usage.ru_maxrss / 1024, code, output.read_bytes(), seen, left)


Begin = Callable[[list[str], dict[str, str]], None]
"""What a child does with its command line and its environment; it never returns."""


def begin_anew(arguments: list[str], environment: dict[str, str]) -> None:
    """Become a Python of its own."""
    os.execve(sys.executable, [sys.executable, *arguments], environment)


def begin_here(arguments: list[str], environment: dict[str, str]) -> None:
    """Go on as `python -m vit_trace`, with what this process has imported."""
    code: object = 3
    try:
        os.environ.clear()
        os.environ.update(environment)
        sys.dont_write_bytecode = True
        sys.stdin, sys.stdout, sys.stderr = (open(number, "rw"[number > 0]) for number in range(3))  # noqa: SIM115
        exec(HOOK, {"__name__": "sitecustomize"})
        sys.path[0] = ""
        sys.argv = ["vit-trace", *arguments[2:]]
        from vit_trace.__main__ import main

        main()
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)


def faults(case: Case, found: Outcome, floor: tuple[float, float], folder: Path) -> Iterator[str]:
    """What is wrong with how a case ended; `floor` is what the import of its library takes (seconds, MiB)."""
    text, document = found.output.decode(errors="replace"), ""
    if case.json:
        try:
            json.loads(text)
        except ValueError as error:
            yield f"stdout is not JSON: {error}"
        text, document = (folder.parent / "output.2").read_text(errors="replace"), text
    if case.exit is None:
        if found.code not in (0, 1, 2) or (found.code and text.count("error[") != 1):
            yield f"exit {found.code} with {text.count('error[')} errors"
    elif found.code != case.exit:
        yield f"exit {found.code}, not {case.exit}"
    if case.says not in (document or text):
        yield f"does not say {case.says!r}"
    if "Traceback (most recent call last)" in text and "--traceback" not in case.arguments:
        yield "a traceback"
    if found.seconds > case.seconds + floor[0]:
        yield f"{found.seconds:.1f} s"
    if found.megabytes > case.megabytes + floor[1]:
        yield f"{found.megabytes:.0f} MiB"
    if RAW.search(found.output):
        yield f"raw {RAW.findall(found.output)[0]!r}"
    for line in found.seen:
        event, _, what = line.partition("\t")
        spare = SPARE if event == "open" else WORKERS if not event.startswith("socket") else ()
        inside = event == "open" and (what.startswith(str(folder)) or PROBE.fullmatch(what))
        inside = inside or (event.startswith("socket") and "'127.0.0.1'" in what)
        if not inside and not any(part in what for part in spare):
            yield f"{event} {what[:120]}"
    if others := set(found.left) - set(case.written):
        yield f"wrote {', '.join(sorted(others))}"


def library_of(case: Case) -> str:
    """The library whose import comes on top of a case's own limits."""
    prefixes = [word.partition(":")[0] for word in case.arguments]
    named = [LIBRARIES[prefix] for prefix in prefixes if prefix in LIBRARIES]
    read = ["transformers"] if "config.json" in case.arguments else []
    return case.requires or (named + read + ["torch"])[0]


def main(names: list[str], forked: bool = False, share: int = 1) -> int:
    """Run the cases, or every `share`-th, and print those that failed; 1 where there are any."""
    chosen = [one for one in cases(names) if not (forked and one[1].alone)]
    chosen = [one for one in chosen if importlib.util.find_spec(library_of(one[1])) is not None][::share]
    begin = begin_here if forked else begin_anew
    floors: dict[str, tuple[float, float]] = {}
    failed, slowest = 0, []
    for library in sorted({library_of(case) for _, case in chosen}, key=lambda name: (name != "torch", name)):
        if forked:
            _import_all(library)
        floors[library] = _floor(library, begin)
        for kind, case in chosen:
            if library_of(case) != library:
                continue
            found, wrong = _tried(case, begin, floors[library])
            failed += bool(wrong)
            slowest.append((found.seconds, found.megabytes - floors[library][1], case.name))
            if wrong:
                print(f"FAILED  {kind}: {case.name}\n        {'; '.join(wrong[:6])}", flush=True)
    for seconds, megabytes, name in sorted(slowest, reverse=True)[:5]:
        print(f"{seconds:7.1f} s {megabytes:7.0f} MiB more than the import  {name}")
    print(f"{len(chosen)} cases, {failed} failed")
    return 1 if failed or not chosen else 0


def _tried(case: Case, begin: Begin, floor: tuple[float, float]) -> tuple[Outcome, list[str]]:
    """What a case did in a folder of its own, and what was wrong with it."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as place:
        folder = Path(place).resolve() / "case"
        folder.mkdir()
        if case.prepare is not None:
            case.prepare(folder)
        words = [*case.python, "-m", "vit_trace", *case.arguments]
        found = run(words, case, folder, 3 * case.seconds + floor[0], begin)
        wrong = list(faults(case, found, floor, folder))
        os.system(f"chmod -R u+rwX {json.dumps(place)} 2>/dev/null")
    return found, wrong


def _floor(library: str, begin: Begin) -> tuple[float, float]:
    """Seconds and MiB that the import of a library takes here, measured once; of a fork, those of a version."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as place:
        folder = Path(place).resolve() / "case"
        folder.mkdir()
        words = ["-c", f"import torch, {library}"] if begin is begin_anew else ["-m", "vit_trace", "--version"]
        for _ in range(2):  # the first import fills the disk's cache
            found = run(words, Case("import", ()), folder, 120, begin)
    return found.seconds, found.megabytes


def _import_all(library: str) -> None:
    """Import a library and all of vit-trace, off the network as vit-trace does it."""
    import vit_trace
    from vit_trace.base import network

    network.close()
    everything = [one.name for one in pkgutil.walk_packages(vit_trace.__path__, "vit_trace.")]
    ours = [name for name in everything if not name.startswith("vit_trace.documents.")]  # Sphinx and MkDocs need these
    deeper = ("transformers.models.auto.modeling_auto", "transformers.models.vit.modeling_vit")
    inside = deeper if library == "transformers" else ()
    for name in ("torch", "rich.progress", "rich.table", "rich.tree", "rich.syntax", library, *inside, *ours):
        importlib.import_module(name)
    gc.freeze()


if __name__ == "__main__":
    words = sys.argv[1:]
    raise SystemExit(main([word for word in words if word != "--forked"], "--forked" in words))
