"""Switches Python's garbage collector off while a trace without memory is made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(wanted: bool = True) -> Iterator[None]:
    """No garbage collection meanwhile: it goes through all that torch, a library and the trace hold, and finds nothing.

    With it a stage costs the more the longer the trace is. Not wanted where tensors hold memory: cycles keep it.
    """
    was = gc.isenabled() and wanted
    if was:
        gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
