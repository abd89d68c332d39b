"""Runs other people's code: silences it, builds its model, and turns what it raises into one diagnostic."""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vit_trace.base import network
from vit_trace.base.leaving import Exited, exceptions_only
from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.base.words import exception_text
from vit_trace.record.source import frames

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built

LIKE = 0.85
"""Least similarity of a misspelt name and the name that was meant; 1 is equal."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Sends foreign prints to stderr, drops foreign warnings, stays off the network, lets only exceptions out."""
    network.close()
    with (
        contextlib.redirect_stdout(sys.stderr),
        _descriptor_moved(2),
        warnings.catch_warnings(),
        exceptions_only(),
        _python_kept(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            if sys.stderr.closed:  # the model's code took it for its own
                sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  # for good


@contextlib.contextmanager
def _python_kept() -> Iterator[None]:
    """Gives back what other people's code takes from Python itself: builtins, and what finds modules."""
    own, finders, hooks = vars(builtins), [*sys.meta_path], [*sys.path_hooks]
    before = own.copy()
    try:
        yield
    finally:
        own.update(before)
        sys.meta_path += [one for one in finders if one not in sys.meta_path]
        sys.path_hooks += [one for one in hooks if one not in sys.path_hooks]


@contextlib.contextmanager
def returning() -> Iterator[None]:
    """Comes back to the current directory after other people's code, which may leave it."""
    try:
        here = os.open(".", os.O_RDONLY)
    except OSError:  # it was removed: there is nothing to come back to
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # closed by the code
            os.fchdir(here)
            os.close(here)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Like `contained`, but drops what is printed: the first run has printed it."""
    with open(os.devnull, "w") as null, contained(), contextlib.redirect_stdout(null), _descriptor_moved(null.fileno()):
        yield


@contextlib.contextmanager
def _descriptor_moved(to: int) -> Iterator[None]:
    """Also moves what C libraries and child processes write to standard output."""
    kept: int | None = None
    with contextlib.suppress(OSError):  # closed: nothing can reach it
        kept = os.dup(1)
        os.dup2(to, 1)
    try:
        yield
    finally:
        if kept is not None:
            try:
                os.dup2(kept, 1)
            except OSError:
                raise refuse("cannot-write", "the model's code has closed the output of vit-trace") from None
            os.close(kept)


def refusal(
    code: str, message: str, error: BaseException | None = None, help: Iterable[str] = (), notes: Iterable[str] = ()
) -> Refused:
    """One error, with the line of the user's own file that raised `error`, and its words.

    It is `needs-download` in place of `code` where the error comes of a refused connection.
    """
    if network.refusal_behind(error) is not None:
        code, message, help = network.CODE, f"{message} without a download", (*help, network.HELP)
    span = _raised_at(error) if error is not None else None
    said = [words(error)] if error is not None else []
    return Refused(Diagnostic(code, "error", message, span, (*said, *notes), tuple(help)))


def words(error: BaseException) -> str:
    """`ValueError: dim must divide`."""
    try:
        text = str(error)
    except Exception:
        text = "(its text could not be read)"
    return exception_text("" if isinstance(error, Exited) else type(error).__name__, text)


def _raised_at(error: BaseException) -> Source | None:
    """The innermost expression of the user's own files on the traceback, else of any library but torch."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return _syntax_span(error)
    spans: dict[bool, Source | None] = {}
    for frame, lasti in frames.entries(error.__traceback__):
        file = frame.f_code.co_filename
        if frames.owner(file) == frames.OWN and not file.startswith("<"):
            spans[frames.is_installed(file)] = frames.span(frame.f_code, lasti)
    return spans.get(False) or spans.get(True)


def raised_by_model(error: Exception) -> Refused | None:
    """The refusal where a method of the model raised while vit-trace looked at it; None where no code of its did."""
    files = [frame.f_code.co_filename for frame, _ in frames.entries(error.__traceback__)]
    last = next((file for file in reversed(files) if frames.owner(file) == frames.OWN or frames.is_machinery(file)), "")
    if not last or last.startswith("<") or frames.is_machinery(last):
        return None
    return refusal("model-raised", "code of the model raised while vit-trace looked at the model", error)


def _syntax_span(error: SyntaxError) -> Source:
    text, line = (error.text or "").rstrip("\n"), error.lineno or 1
    start = max((error.offset or 1) - 1, 0)
    end = max((error.end_offset or 0) - 1 if error.end_lineno == error.lineno else len(text), start + 1)
    return Source(str(error.filename), line, line, start, end, text[start:end])


def nearest_names(name: str, names: Iterable[str], count: int = 3, likeness: float = 0.5) -> list[str]:
    """The most similar names, regardless of case; else those that begin with this one, or contain it."""
    known = {one.lower(): one for one in names}
    asked = name.lower()
    begun = sorted((one for one in known if asked and one.startswith(asked)), key=len)[:count]
    like = get_close_matches(asked, known, count, likeness) if asked else []
    twins = get_close_matches(asked, like, count, LIKE)
    return [known[one] for one in twins or begun or like or [one for one in known if asked in one][:count]]


def did_you_mean(name: str, names: Iterable[str], prefix: str = "", otherwise: str = "") -> tuple[str, ...]:
    """A help with the most similar names; where there are none, `otherwise`."""
    near = nearest_names(name, names)
    help = f"did you mean {', '.join(prefix + one for one in near)}?" if near else otherwise
    return (help,) if help else ()


def build_first(spec: str, make: Callable[[], object], rules: bool = True) -> Built:
    """The model, built without memory. Raises Refused with the place in the user's code that raised."""
    from vit_trace.record.build.anyhow import NotAModel, build_anyhow

    try:
        with contained():
            return build_anyhow(make, rules)
    except NotAModel as other:
        message = f"{spec} gives {typed_text(other.value)}, not a torch.nn.Module"
        help = "name a class or a function that returns the model"
        if type(other.value).__name__ == "ExportedProgram":
            help = "name a function that returns its .module()"
        raise refusal("not-a-model", message, help=(help,)) from None
    except Exception as error:
        if hasattr(error, "diagnostics"):
            raise
        raise refusal("build-failed", f"{spec} could not be built", error) from error


def typed_text(value: object) -> str:
    """None, a dict, a class: what a factory returned."""
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
