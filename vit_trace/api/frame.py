"""Makes a DataFrame of a trace's rows, with whichever library of them is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

LIBRARIES = ("pandas", "polars")
COUNTS = ("params", "flops", "saved", "blocks")
"""Columns of whole numbers."""


def frame_of(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows as a DataFrame; whole numbers stay whole where one is not known. Raises ImportError."""
    library = next((one for one in LIBRARIES if find_spec(one) is not None), None)
    if library is None:
        raise ImportError("to_frame makes a DataFrame: pip install pandas, or polars; to_csv needs neither")
    if library == "polars":
        return import_module(library).DataFrame(rows, infer_schema_length=None)
    return import_module(library).DataFrame(rows).astype(dict.fromkeys(COUNTS, "Int64"))
