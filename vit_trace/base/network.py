"""Keeps other people's code off the network, and recognises the exceptions that come of that.

Libraries are told to stay offline before they are imported; whoever opens a connection anyway gets an OSError at once.
Loopback and Unix sockets stay open.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

OFFLINE = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"), "1"),
    **dict.fromkeys(("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_DISABLE_XET"), "1"),
    **dict.fromkeys(("HF_HUB_DISABLE_UPDATE_CHECK", "NO_ALBUMENTATIONS_UPDATE", "WANDB_DISABLED"), "1"),
    **dict(WANDB_MODE="offline", USE_HUB_KERNELS="OFF"),
}
"""Variables with which libraries stay offline and send nothing home."""

EVENTS = {
    *("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"),
    *("socket.gethostbyaddr", "socket.getnameinfo"),
}
"""Audit events of Python's sockets; a host comes first or second among their arguments."""

LOCAL = {"", "localhost", "ip6-localhost", "0.0.0.0", "::", "::1"}
OFFLINE_ERRORS = {"NoNetwork", "TooManyTries", "OfflineModeIsEnabled", "LocalEntryNotFoundError"}
"""Names of exceptions by which code learns that there is no network; two are huggingface_hub's."""

MOST_TRIES = 30
"""Refused tries after which code that asks again and again is ended."""


CODE = "needs-download"
HELP = "--allow-network lets the model's code use the network"


class NoNetwork(OSError):
    """A connection that was refused."""


class TooManyTries(BaseException):
    """Code asked for the network without end."""


class _State:
    """`allowed` is --allow-network; `closed` once the process stays off the network; `tries` counts refusals."""

    allowed = False
    closed = False
    hooked = False
    tries = 0


def allow(wanted: bool) -> None:
    """Let other people's code use the network, or not."""
    _State.allowed = wanted


def close() -> None:
    """Stay off the network from here on, unless it is allowed. Call before a library is imported."""
    _State.closed = not _State.allowed
    if _State.closed and not _State.hooked:
        _State.hooked = True
        os.environ.update(OFFLINE)
        sys.addaudithook(refuse_connection)


@contextmanager
def closed_meanwhile() -> Iterator[None]:
    """Off the network for a while, in a process that is not ours; afterwards everything is as it was."""
    closed, before = _State.closed, {name: os.environ.get(name) for name in OFFLINE}
    close()
    try:
        yield
    finally:
        _State.closed = closed
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def refuse_connection(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook. Raises NoNetwork at once for every host but this machine; TooManyTries after many."""
    if event not in EVENTS or not _State.closed:
        return
    host = _host_of(event, arguments)
    if host is None or host in LOCAL or host.startswith(("127.", "/")):
        return
    _State.tries += 1
    time.sleep = _no_wait
    if _State.tries > MOST_TRIES:
        raise TooManyTries(f"{host}, {_State.tries} times")
    raise NoNetwork(f"no network: {host[:253]} was asked for, and connections are refused without --allow-network")


def _host_of(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The host that is asked for; None for a Unix socket and what else has none."""
    found = arguments[0] if isinstance(arguments[0], (str, bytes)) else (*arguments, None)[1]
    if isinstance(found, tuple):
        found = found[0] if found else None
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return None  # the path of a Unix socket
    return os.fsdecode(found) if isinstance(found, (str, bytes)) else None


def _no_wait(seconds: object, /) -> None:
    """Stands in for time.sleep after a refusal: the next try would be refused too."""


def refusal_behind(error: BaseException | None) -> str | None:
    """The text of the refused connection that caused an exception; None where something else did."""
    seen: list[BaseException] = []
    while error is not None and error not in seen and len(seen) < 50:
        if type(error).__name__ in OFFLINE_ERRORS:
            return str(error)
        seen.append(error)
        reason = getattr(error, "reason", None)  # urllib's
        error = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)
    return None
