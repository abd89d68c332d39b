"""Takes apart what training wraps around a model: copies of the network, adapters, wrappers in names. No torch.

What is left has the names of the model itself; the rest is set aside, with a word on what it is.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import Struct

from vit_trace.weights.data import Entry

COPIES = ("teacher", "base_encoder", "encoder_q", "online", "ema", "target", "student", "model")
"""Words in the name of the copy of a network that is wanted, the likeliest first; else the first copy is."""

WRAPPER = re.compile(r"(_fsdp_wrapped_module|_checkpoint_wrapped_module|_orig_mod|base_layer|modules_to_save\.\w+)\.")
"""Modules that a library puts between a module and its tensors."""

ADAPTER = re.compile(r"\.(lora_[A-Za-z_]+|ia3_l|oft_[A-Za-z]+|vera_[A-Za-z_]+|hada_\w+|prompt_encoder)(\.|$)")
REPLACED = ".original_module."

MOST_COPIES = 40
"""Prefixes that are compared with one another to find copies of a network."""

FEWEST = 8
"""Tensors that a copy of a network has at least."""


class Unwrapped(Struct, frozen=True):
    """The tensors under their plain names, and those names in the file. What was taken off: prefixes of copies that
    were left (`copies`, the taken one first) and their tensors (`others`), tensors of adapters, wrappers in names.
    """

    entries: dict[str, Entry]
    names: dict[str, str]
    copies: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    adapters: dict[str, Entry] = {}
    replaced: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether anything was taken off."""
        return bool(self.copies or self.adapters or self.replaced or self.wrappers)


def unwrapped(entries: Mapping[str, Entry]) -> Unwrapped:
    """The tensors of one copy of the network, without adapters, under plain names."""
    copies = _copies(entries)
    dropped = {name for name in entries if any(name.startswith(prefix) for prefix in copies[1:])}
    adapters = {name: entry for name, entry in entries.items() if ADAPTER.search(name)}
    replaced = tuple(name for name in entries if REPLACED in name)
    kept: dict[str, Entry] = {}
    names: dict[str, str] = {}
    wrappers: dict[str, None] = {}
    for name, entry in entries.items():
        if name in dropped or name in adapters or name in replaced:
            continue
        plain = name
        for found in [*WRAPPER.finditer(name)][::-1]:
            if found.start():
                plain = plain[: found.start()] + plain[found.end() :]
                wrappers[found[1]] = None
        if plain not in kept:
            kept[plain], names[plain] = entry, name
    others = tuple(name for name in entries if name in dropped)
    return Unwrapped(kept, names, tuple(copies), others, adapters, replaced, tuple(wrappers))


def _copies(entries: Mapping[str, Entry]) -> list[str]:
    """Prefixes under which the same network lies more than once, the wanted one first; empty where it does not."""
    groups: dict[str, dict[str, Entry]] = defaultdict(dict)
    for name, entry in entries.items():
        for prefix in _prefixes(name):
            groups[prefix][name[len(prefix) :]] = entry
    networks = [prefix for prefix, held in groups.items() if _is_network(held)][:MOST_COPIES]
    for first in networks:
        others = (other for other in networks if other != first and _are_copies(groups[first], groups[other]))
        same = [first, *others]
        apart = [one for one in same if not any(other != one and one.startswith(other) for other in same)]
        if len(apart) > 1:
            return sorted(apart, key=_wanted)
    return []


def _prefixes(name: str) -> Iterator[str]:
    """The first modules of a name, up to three, none of them a number."""
    parts = name.split(".")
    for count in range(1, min(len(parts), 4)):
        if parts[count - 1].isdigit():
            return
        yield ".".join(parts[:count]) + "."


def _is_network(held: Mapping[str, Entry]) -> bool:
    """Whether it holds a first convolution and enough else."""
    return len(held) >= FEWEST and any(len(entry.shape) == 4 for entry in held.values())


def _are_copies(one: Mapping[str, Entry], two: Mapping[str, Entry]) -> bool:
    """Whether most tensors of the smaller one are in the other, in the same shape."""
    common = sum(name in two and two[name].shape == entry.shape for name, entry in one.items())
    return common >= FEWEST and 5 * common >= 4 * min(len(one), len(two))


def _wanted(prefix: str) -> int:
    words = prefix.split(".")
    return next((rank for rank, word in enumerate(COPIES) if any(word in one for one in words)), len(COPIES))
