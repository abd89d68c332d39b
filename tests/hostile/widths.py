"""Screens of odd widths: every view, and what check and explain show."""

from tests.hostile.case import Case

WIDTHS = (1, 2, 3, 5, 20, 40, 10**9, 10**30)
SMALL = ("--depth", "1", "--dim", "32", "--no-formulas")
VIEWS = {f"the {view}": (*SMALL, "--view", view) for view in ("table", "tree", "source")}
OTHERS = {
    "check": ("check", "--depth", "1", "--dim", "33"),
    "check of memory": ("check", "--depth", "1", "--memory", "1MiB"),
    "an explanation": ("explain", "--depth", "1", "64"),
    "a stage's explanation": ("explain", "--depth", "1", "to_qkv"),
    "a crash": (*SMALL, "--input", "2x3x288x288", "--traceback"),
    "a code": ("explain", "broadcast"),
}
EXITS = {"check of memory": 1, "a crash": 1}


CASES = [
    Case(f"{what} at {width} columns", words, EXITS.get(what, 0), environment=(("COLUMNS", str(width)),))
    for what, words in (VIEWS | OTHERS).items()
    for width in (WIDTHS if what in VIEWS else (1, 3, 20))
]
