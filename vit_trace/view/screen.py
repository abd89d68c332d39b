"""Holds what of a trace to show: the view, which stages, how deep, its columns and their order."""

from typing import NamedTuple

from vit_trace.base.trace import Trace

VIEWS = ("table", "tree", "source")

COLUMNS = ("stage", "operation", "shape", "formula", "params", "flops", "mixes", "source")
"""Columns of a table; a narrower screen drops the last ones first."""

ORDERS = ("params", "flops", "saved")
"""What rows can be sorted by."""


class Screen(NamedTuple):
    """What the command line asks to see of a trace; `ran` and `traceback` add to a listing and to a crash.

    `columns` are shown at any width; without them the width decides. `sort` shows the steps that have most of a
    quantity first, `top` so many of them.
    """

    view: str = "table"
    stage: str | None = None
    levels: int | None = None
    fold: bool = True
    ran: bool = False
    traceback: bool = False
    constructor: bool = False
    columns: tuple[str, ...] = ()
    sort: str | None = None
    top: int | None = None
    width: int | None = None


class Viewed(NamedTuple):
    """A trace, and what of it to show; `beside` are traces to put side by side, each with the values that it is at."""

    trace: Trace
    screen: Screen
    beside: tuple[tuple[str, Trace], ...] = ()
