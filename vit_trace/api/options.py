"""Refuses options by name that there are not, as a program misspells them."""

from collections.abc import Collection
from difflib import get_close_matches


def require_options(what: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError for the first name that is not known, with the nearest that is."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise TypeError(f"{what} has no option {name}" + (f"; did you mean {near[0]}?" if near else ""))
