"""Holds what of a trace to show: the view, which stages, how deep."""

from typing import NamedTuple

from vit_trace.base.trace import Trace

VIEWS = ("table", "tree", "source")


class Screen(NamedTuple):
    """What the command line asks to see of a trace; `ran` and `traceback` add to a listing and to a crash."""

    view: str = "table"
    stage: str | None = None
    levels: int | None = None
    fold: bool = True
    ran: bool = False
    traceback: bool = False


class Viewed(NamedTuple):
    """A trace, and what of it to show."""

    trace: Trace
    screen: Screen
