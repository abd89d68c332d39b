"""Says what an axis counts: images, tokens, features …, by the symbols of its formula. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from vit_trace.base.roles import role_named
from vit_trace.base.trace import Symbol
from vit_trace.dims.formula import FormulaError, parse, symbols_of

ORDER = ("batch", "frames", "tokens", "h", "w", "heads", "features", "channels", "pixels")
"""What an axis may count, in the order where it is said; what has no word is said by its symbol or its size."""

GRID = re.compile(r"(?:win|n)?([hw])\d*_?|([HW])")
TOKENS = re.compile(r"token|quer|regist|seq|position|num_lat|slots")
ROLES = {"heads": "heads", "patch": "pixels", "frame_patch": "pixels", "window": "tokens", "frames": "frames"}
ROLES |= {"dim": "features", "dim_head": "features", "mlp_dim": "features", "classes": "features"}
ROLES |= {"channels": "channels", "image": "tokens"}


def words_of(dim: str, symbols: Mapping[str, Symbol]) -> tuple[str, ...]:
    """What an axis of such a formula counts: ("tokens",) for "n + 1", ("batch", "tokens") for "b*n"."""
    try:
        names = symbols_of(parse(dim))
    except FormulaError:
        return (dim,)
    found = {word for name in names for word in _meant(name.removesuffix("_model"), symbols)} or {dim}
    if {"h", "w"} <= found:
        found = found - {"h", "w"} | {"tokens"}
    if "tokens" in found:
        found -= {"pixels"}
    if "features" in found:
        found -= {"heads"}
    return in_order(found)


def in_order(found: Iterable[str]) -> tuple[str, ...]:
    """Words in the order of ORDER, each once."""
    return tuple(sorted(set(found), key=lambda word: (ORDER.index(word) if word in ORDER else len(ORDER), word)))


def _meant(name: str, symbols: Mapping[str, Symbol]) -> Iterator[str]:
    """What a symbol counts."""
    fixed = {"b": "batch", "n": "tokens", "t": "frames", "T": "frames"}.get(name)
    if fixed is not None:
        yield fixed
    elif grid := GRID.fullmatch(name):
        yield (grid[1] or grid[2]).lower()
    elif name in symbols and symbols[name].hyperparameter is not None:
        own = re.sub(r"\[\d+\]", "", str(symbols[name].hyperparameter)).rpartition(".")[2]
        yield ROLES.get(role_named(own)) or ("tokens" if TOKENS.search(own) else "features")
    elif name in symbols and symbols[name].formula:
        for inner in symbols_of(parse(str(symbols[name].formula))):
            yield from _meant(inner, symbols)
    else:
        yield name
