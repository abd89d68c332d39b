"""Reads a value from its text: typed and in its range, or refused with a value to write instead.

Checks each value alone; `grid` checks that patches fit the image. The caller of `typed_value` adds the name and the
place to `Refused`.
"""

import math
import re

from vit_trace.base.trace import Source
from vit_trace.config.hyperparameters import MAX_COUNT, MAX_DEPTH, REFERENCE, Value
from vit_trace.config.words import NO_VALUE, Node, axis_span, cut, in_quotes

_POOLINGS = dict.fromkeys(["mean", "avg", "average", "gap", "global"], "mean")
_POOLINGS |= dict.fromkeys(["cls", "token", "class"], "cls")
_INTEGER = re.compile("[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?\.?(inf|infinity|nan)", re.IGNORECASE)
_PAIR = re.compile(r"([+-]?[0-9]+)\s*[x×X]\s*([+-]?[0-9]+)")
_YES_NO = {"true", "false", "yes", "no", "on", "off", "y", "n"}


class BadValue(Exception):
    """Why a value is refused, without its name and place; `works` is a value to write instead."""

    def __init__(self, code: str, why: str, works: str = "", notes: tuple[str, ...] = (), at: Source | None = None):
        super().__init__(why)
        self.code, self.why, self.works, self.notes, self.at = code, why, works, notes, at


def typed_value(name: str, node: Node) -> Value:
    """The value of the hyperparameter `name`, as written in the node. Raises Refused."""
    match getattr(REFERENCE, name):
        case tuple():
            sides = _size(node)
            for index, (axis, side) in enumerate(zip(("height", "width"), sides, strict=True)):
                at = node.items[index].span if node.kind == "list" else axis_span(node.span, axis)
                _check_count(f"has {axis}", side, MAX_COUNT, at)
            return sides
        case str():
            return _pool(node)
        case float():
            return _rate(node)
    count = _count(node)
    _check_count("is", count, MAX_DEPTH if name == "depth" else MAX_COUNT)
    return count


def _size(node: Node) -> tuple[int, int]:
    takes = "takes a size such as 256 or 256x320 (height x width)"
    if node.kind == "list":
        if len(node.items) != 2:
            raise BadValue("wrong-type", f"{takes}, not a list of {len(node.items)}", "[256, 320]")
        height, width = (_count(item, takes) for item in node.items)
        return height, width
    pair = _PAIR.fullmatch(node.text.strip()) if node.kind == "text" else None
    if pair:
        return _integer(pair[1], takes), _integer(pair[2], takes)
    side = _count(node._replace(quoted=False), takes)
    return side, side


def _count(node: Node, takes: str = "takes a whole number") -> int:
    try:
        if node.kind == "text" and not node.quoted and _INTEGER.fullmatch(node.text):
            return _integer(node.text, takes)
        raise _wrong_type(node, takes, whole=True)
    except BadValue as refused:
        refused.at = node.span
        raise


def _integer(text: str, takes: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.startswith("0"):
        # YAML 1.1 reads 010 as 8, YAML 1.2 as 10: either choice is wrong for some readers.
        octal = f" and octal {int(digits, 8)} to others" if len(digits) < 12 and not set(digits) & set("89") else ""
        plain = digits.lstrip("0") or "0"
        note = f"{cut(text)} is {cut(plain)} to some YAML readers{octal}"
        raise BadValue("wrong-type", f"{takes}, not {cut(text)} with its leading zero", cut(plain), (note,))
    # Python refuses to convert thousands of digits; so many are out of range anyway.
    return int(text[:20])


def _rate(node: Node) -> float:
    if node.kind == "text" and not node.quoted:
        if _NOT_FINITE.fullmatch(node.text):
            raise BadValue("impossible-value", f"is {node.text}, but it takes a number from 0 to 1", "0.1")
        if _DECIMAL.fullmatch(node.text):
            rate = float(node.text)
            if not 0 <= rate <= 1:
                works = f"{rate / 100:g}" if 5 <= rate <= 100 else "0.1"  # 10 may be meant as percent
                raise BadValue("impossible-value", f"is {rate:g}, but it takes a number from 0 to 1", works)
            return rate
    raise _wrong_type(node, "takes a number from 0 to 1", whole=False)


def _pool(node: Node) -> str:
    takes = "takes cls or mean"
    if node.kind != "text" or node.text.lower() in NO_VALUE:
        raise _wrong_type(node, takes, whole=False)
    if node.text not in ("cls", "mean"):
        works = _POOLINGS.get(node.text.lower(), "")
        raise BadValue("impossible-value", f"{takes}, not {in_quotes(node.text)}", works)
    return node.text


def _check_count(what: str, value: int, most: int, at: Source | None = None) -> None:
    """Refuse a number that cannot be built. Raises Refused."""
    if not 1 <= value <= most:
        large = abs(value) > 10**12
        shown = f"about {'-' * (value < 0)}10^{int(math.log10(abs(value)))}" if large else str(value)
        raise BadValue("impossible-value", f"{what} {shown}, but it takes a whole number from 1 to {most}", at=at)


def _wrong_type(node: Node, takes: str, whole: bool) -> BadValue:
    if node.kind != "text":
        return BadValue("wrong-type", f"{takes}, not a {node.kind}")
    what, works, *notes = _described(node.text, node.quoted, whole)
    return BadValue("wrong-type", f"{takes}, not {what}", works, tuple(notes))


def _described(text: str, quoted: bool, whole: bool) -> tuple[str, ...]:
    """What a text is instead of a number, what to write ("" if unknown), and notes."""
    number = _as_number(text)
    works = _nearest_written(number, whole) if number is not None else ""
    lower = text.lower()
    if quoted and text:
        return f"the text {in_quotes(text)}", works, *(["without the quotes it is a number"] if works else [])
    if lower in NO_VALUE:
        return "an empty value", ""
    if lower in _YES_NO:
        return f"the yes-or-no value {text}", "", f"YAML 1.1 reads {text} as yes or no"
    if _NOT_FINITE.fullmatch(text):
        return text, ""
    if re.fullmatch(r"[+-]?[0-9]+(:[0-9]+)+(\.[0-9]*)?", text):
        return f"the base-60 number {cut(text)}", "", "YAML 1.1 reads digits between colons in base 60, as a time"
    if number is not None:
        based = "number in another base" if re.match("[+-]?0[xob]", lower) else ""
        return f"the {based or ('number with underscores' if '_' in text else 'decimal')} {cut(text)}", works
    if _PAIR.fullmatch(text):
        return f"the size {cut(text)}", ""
    return f"the text {in_quotes(text)}", ""


def _as_number(text: str) -> float | None:
    """The number that a person reads in the text: 10.5, 1e3, 1_000, 0x10, 50%."""
    plain = text[:40].replace("_", "") if re.fullmatch("[+-]?[0-9][0-9_.]*", text) else text[:40]
    try:
        if re.fullmatch("[+-]?0(x[0-9a-f]+|o[0-7]+|b[01]+)", plain.lower()):
            return float(int(plain, 0))
        if plain.endswith("%") and _DECIMAL.fullmatch(plain[:-1]):
            return float(plain[:-1]) / 100
        return float(plain) if _DECIMAL.fullmatch(plain) else None
    except ValueError:
        return None


def _nearest_written(number: float, whole: bool) -> str:
    if whole:
        return str(round(number)) if math.isfinite(number) and 1 <= round(number) <= MAX_COUNT else ""
    return f"{number:g}" if 0 <= number <= 1 else ""
