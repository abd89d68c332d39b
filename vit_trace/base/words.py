"""How shapes, counts and bytes are written."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import prod

LONGEST_QUOTE = 800
"""Characters of an exception's message that are quoted; the rest is cut off."""

OF_TORCHSCRIPT = "Traceback of TorchScript"

_OPERATORS = {"+": "add radd", "-": "sub rsub", "*": "mul rmul", "/": "div truediv rtruediv"}
_IN_PLACE = {"+=": "iadd add_", "-=": "isub sub_", "*=": "imul mul_", "/=": "div_"}
SIGNS = {name: sign for sign, names in (_OPERATORS | _IN_PLACE).items() for name in names.split()}
"""Arithmetic as it is written."""


def shape_text(shape: Sequence[int]) -> str:
    """5×65×1024; ? for a size that is not known (below 0); a tensor without axes is a scalar."""
    return "×".join(str(size) if size >= 0 else "?" for size in shape) or "scalar"


def unnumbered(name: str) -> str:
    """A stage's name without the number that tells it from earlier ones of the same name: `x` of `x#2`."""
    plain, _, count = name.rpartition("#")
    return plain if plain and count.isdigit() else name


def exception_text(kind: str, message: str) -> str:
    """`ValueError: dim must divide`: an exception word for word, as a traceback ends."""
    said = message_text(kind, message)
    return f"{kind}: {said}" if kind and said else kind or said


def message_text(kind: str, message: str, most: int = LONGEST_QUOTE) -> str:
    """An exception's message word for word; of TorchScript's, which holds a traceback, what follows that."""
    message = message.strip()
    if OF_TORCHSCRIPT in message:
        *_, message = re.split(r"^(?=\w+(?:Error|Exception): )", message, flags=re.MULTILINE)
        message = message.removeprefix(f"{kind}: ").strip()
    return message if len(message) <= most else f"{message[:most].rstrip()}…"


def whole_number(digits: str) -> int:
    """The number that digits write; of more than 20 digits the first 20, which no size has either.

    Python refuses to convert thousands of digits.
    """
    return int(digits if len(digits) <= 20 else digits.lstrip("0")[:20] or "0")


def product_text(sizes: Sequence[int]) -> str:
    """2·5·153"""
    return "·".join(map(str, sizes))


def ranges_text(numbers: Iterable[int], joint: str = ",") -> str:
    """0…2,5 for 0, 1, 2, 5."""
    by_rise = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in by_rise]
    return joint.join(f"{run[0]}…{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def name_range(first: str, last: str) -> str:
    """blocks.0…5.norm for blocks.0.norm and blocks.5.norm; both names where they differ in more than numbers."""
    one, two = re.split(r"(\d+)", first), re.split(r"(\d+)", last)
    if one[::2] != two[::2]:
        return f"{first} … {last}"
    return "".join(start if start == end else f"{start}…{end}" for start, end in zip(one, two, strict=True))


def first_few(words: Sequence[str], most: int) -> str:
    """a, b, …"""
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")


def compact(number: int) -> str:
    """3146752 as 3.15 M, to three digits; exact below a thousand; 1.23e+40 above all units."""
    if number >= 10**18:
        digits = str(number)
        return f"{digits[0]}.{digits[1:3]}e+{len(digits) - 1}"
    for limit, unit in ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "K")):
        if number >= limit * 0.9995:
            scaled = number / limit
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return str(number)


def flops_text(flops: int, batch: int | None) -> str:
    """17.6 GMACs (35.2 GFLOPs) per image, batch 2: multiply-adds, as papers count, and both operations of each."""
    macs, both = (compact(count // (batch or 1)) for count in (flops // 2, flops))
    macs, both = (f"{count}{'' if count[-1].isalpha() else ' '}" for count in (macs, both))
    return f"{macs}MACs ({both}FLOPs) {f'per image, batch {batch}' if batch else 'forward'}"


def bytes_text(count: int) -> str:
    """Bytes in binary units: 12 B, 204.5 MiB; a count that no disk holds is said to be one."""
    for unit, size in (("EiB", 2**60), ("PiB", 2**50), ("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 2**70 else "more than any disk holds"
    return f"{count} B"


def module_ranges(modules: Sequence[str]) -> str:
    """layers.0.fn, layers.1.fn, layers.2.fn as layers.0…2.fn."""
    groups: dict[str, list[list[int]]] = {}
    for module in modules:
        groups.setdefault(re.sub(r"\d+", "*", module), []).append(
            [whole_number(one) for one in re.findall(r"\d+", module)]
        )
    return ", ".join(_path_range(template, numbers) or "the root" for template, numbers in groups.items())


def _path_range(template: str, rows: list[list[int]]) -> str:
    """One pattern of paths with its numbers: ranges if all combinations exist, else each path's numbers."""
    columns = [sorted(set(column)) for column in zip(*rows, strict=True)]
    if prod(map(len, columns)) == len(set(map(tuple, rows))):
        pieces = zip(template.split("*"), [*map(ranges_text, columns), ""], strict=True)
        return "".join(piece + numbers for piece, numbers in pieces)
    inside: dict[int, list[list[int]]] = {}
    for row in rows:
        inside.setdefault(row[0], []).append(row[1:])
    same: dict[str, list[int]] = {}
    head, _, tail = template.partition("*")
    for number, rest in inside.items():
        same.setdefault(_path_range(tail, rest), []).append(number)
    return ", ".join(f"{head}{ranges_text(numbers)}{rest}" for rest, numbers in same.items())
