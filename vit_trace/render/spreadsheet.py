"""Writes a trace as CSV, for spreadsheets and programs: one stage a row, numbers as numbers."""

import csv
from typing import IO

from vit_trace.base.trace import Trace
from vit_trace.render.tabular import RECORD, Record, records
from vit_trace.view.screen import Screen

BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet computes; an apostrophe before it says that it is text."""


def write_csv(trace: Trace, screen: Screen, stream: IO[str]) -> None:
    """The columns that were asked for; without any those that hold something, stage to formula always."""
    rows = list(records(trace, screen))
    always = (*RECORD[:4], "params", "flops")
    some = [name for name in RECORD if name in always or any(row[name] not in ("", None, 1) for row in rows)]
    writer = csv.writer(stream, lineterminator="\n")
    names = screen.columns or some
    writer.writerow(names)
    writer.writerows([_cell(row, name) for name in names] for row in rows)


def _cell(row: Record, name: str) -> str | int:
    value = row[name]
    if isinstance(value, str) and value.startswith(BEGINS_FORMULA):
        return f"'{value}"
    return "" if value is None else value
