"""Defines formulas: integer expressions over named quantities, as data. `h*w + 1`, `3*heads*dim_head`, `(H + 2)//4`.

Each form (a sum, a quotient …) says in its own class what it is made of, how it is computed and written; nothing else
distinguishes forms. A new form is a class here and a case of `_of_node`, which reads it; `wide.py` offers it to the
search. Integers only: division is `//` and rounds down, as in Python. No torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from math import prod

SUM, QUOTIENT, PRODUCT, ATOM = range(4)
"""How tightly the outermost sign of a text binds; a text stands in brackets where a tighter one is needed."""


MAX_TEXT = 2_000
"""Characters of the longest text that is read as a formula."""

MAX_NESTING = 100
"""Levels of nesting above which a text is not read as a formula."""

LARGEST = 10**30
"""Largest number that a formula may hold, and the largest that a saved trace may."""


class FormulaError(ValueError):
    """The text is not a formula, or a value for one of its symbols is missing; the message says which."""


class Formula:
    """One form of a formula. `str` writes it in Python syntax."""

    __slots__ = ()
    repeated = False
    """Whether a part of this form gets a symbol of its own where a trace repeats it."""

    tight = ATOM

    @property
    def binds(self) -> int:
        """How tightly the outermost sign of its text binds: `tight`, but for a negative number or product."""
        return self.tight

    def inner(self) -> tuple[Formula, ...]:
        """The formulas that it is made of."""
        return ()

    def of(self, inner: Sequence[Formula]) -> Formula:
        """The same form made of other formulas."""
        return self

    def combine(self, sizes: Sequence[int]) -> int:
        """Its value, from the values of what it is made of. Raises FormulaError where it has none."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Number(Formula):
    value: int

    @property
    def binds(self) -> int:
        return ATOM if self.value >= 0 else SUM

    def __str__(self) -> str:
        return str(self.value)

    def combine(self, sizes: Sequence[int]) -> int:
        return self.value


@dataclass(frozen=True, slots=True)
class Name(Formula):
    """A symbol, by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class _Composed(Formula):
    """A formula made of any number of others."""

    parts: tuple[Formula, ...]

    def inner(self) -> tuple[Formula, ...]:
        return self.parts

    def of(self, inner: Sequence[Formula]) -> Formula:
        return type(self)(tuple(inner))


class Sum(_Composed):
    __slots__ = ()
    tight = SUM

    def __str__(self) -> str:
        """a + b - c"""
        text, *others = map(str, self.parts)
        return text + "".join(f" - {one[1:]}" if one.startswith("-") else f" + {one}" for one in others)

    def of(self, inner: Sequence[Formula]) -> Formula:
        return Sum(tuple(term for one in inner for term in terms(one)))

    def combine(self, sizes: Sequence[int]) -> int:
        return sum(sizes)


class Product(_Composed):
    __slots__ = ()

    @property
    def binds(self) -> int:
        return SUM if self.negated() else PRODUCT

    def negated(self) -> bool:
        return len(self.parts) > 1 and self.parts[0] == Number(-1)

    def __str__(self) -> str:
        if self.negated():
            return f"-{Product(self.parts[1:])}"
        first, *others = self.parts
        return "*".join((_bracketed(first, QUOTIENT), *(_bracketed(one, PRODUCT) for one in others)))

    def of(self, inner: Sequence[Formula]) -> Formula:
        return Product(tuple(factor for one in inner for factor in factors(one)))

    def combine(self, sizes: Sequence[int]) -> int:
        return prod(sizes)


@dataclass(frozen=True, slots=True)
class Quotient(Formula):
    """`top // bottom`, rounded down."""

    top: Formula
    bottom: Formula
    repeated = True
    tight = QUOTIENT

    def __str__(self) -> str:
        return f"{_bracketed(self.top, QUOTIENT)}//{_bracketed(self.bottom, ATOM)}"

    def inner(self) -> tuple[Formula, ...]:
        return self.top, self.bottom

    def of(self, inner: Sequence[Formula]) -> Formula:
        return Quotient(*inner)

    def combine(self, sizes: Sequence[int]) -> int:
        top, bottom = sizes
        if bottom == 0:
            raise FormulaError(f"{self.bottom} is 0 in {self}")
        return top // bottom


class Least(_Composed):
    """`min(window, h)`: a window that is never larger than the grid it lies on."""

    __slots__ = ()
    repeated = True

    def __str__(self) -> str:
        return f"min({', '.join(map(str, self.parts))})"

    def combine(self, sizes: Sequence[int]) -> int:
        return min(sizes)


@cache
def parse(text: str) -> Formula:
    """The formula of a text in Python syntax. Raises FormulaError."""
    try:
        if len(text) > MAX_TEXT:
            raise ValueError(f"it has {len(text):,} characters, {MAX_TEXT:,} are read at most")
        tree = ast.parse(text.strip(), mode="eval").body
        _require_shallow(tree)
        return _of_node(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        shown = text if len(text) <= 60 else f"{text[:59]}…"
        raise FormulaError(f"{shown!r} is not a formula: {str(error)[:200]}") from None


def _require_shallow(tree: ast.expr) -> None:
    """Raise FormulaError for a formula that is nested more deeply than it can be walked."""
    level: list[ast.AST] = [tree]
    for _ in range(MAX_NESTING):
        level = [inner for node in level for inner in ast.iter_child_nodes(node)]
    if level:
        raise FormulaError(f"it is nested more than {MAX_NESTING} levels deep")


def _of_node(node: ast.expr) -> Formula:
    """The formula of a parsed expression."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            if value > LARGEST:
                raise FormulaError(f"a number of it is above 10^{len(str(LARGEST)) - 1}")
            return Number(value)
        case ast.Name(id=name):
            return Name(name)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int(place))):  # one of a list
            return Name(f"{name}[{place}]")
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return Sum((*terms(_of_node(left)), *terms(_of_node(right))))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return Sum((*terms(_of_node(left)), *map(negative, terms(_of_node(right)))))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return Product((*factors(_of_node(left)), *factors(_of_node(right))))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return negative(_of_node(operand))
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return Quotient(_of_node(left), _of_node(right))
        case ast.Call(func=ast.Name(id="min"), args=[_, _, *_] as parts, keywords=[]):
            return Least(tuple(map(_of_node, parts)))
    raise FormulaError(f"{ast.unparse(node)!r} is not a sum, product, floor division or min of integers and names")


def split_formulas(text: str) -> list[str]:
    """The formulas of a text that holds several: `H//p, min(window, h)` holds two."""
    depths = accumulate((letter == "(") - (letter == ")") for letter in text)
    ends = [place for place, depth in enumerate(depths) if depth == 0 and text[place] == ","]
    return [text[start + 1 : end].strip() for start, end in pairwise((-1, *ends, len(text)))]


def terms(formula: Formula) -> tuple[Formula, ...]:
    return formula.parts if isinstance(formula, Sum) else (formula,)


def factors(formula: Formula) -> tuple[Formula, ...]:
    return formula.parts if isinstance(formula, Product) else (formula,)


def negative(formula: Formula) -> Formula:
    if isinstance(formula, Number):
        return Number(-formula.value)
    first, *rest = factors(formula)
    if isinstance(first, Number):
        return Product((Number(-first.value), *rest)) if first.value != -1 or len(rest) != 1 else rest[0]
    return Product((Number(-1), first, *rest))


def product_of(names: Sequence[str]) -> Formula:
    """The product of symbols."""
    return Name(names[0]) if len(names) == 1 else Product(tuple(map(Name, names)))


def scaled(coefficient: int, formula: Formula) -> Formula:
    """coefficient · formula"""
    return formula if coefficient == 1 else Product((Number(coefficient), *factors(formula)))


def evaluate(formula: Formula, values: Mapping[str, int]) -> int:
    """The formula's value. Raises FormulaError for a symbol without a value and for a division by zero."""
    if isinstance(formula, Name):
        if formula.name not in values:
            raise FormulaError(f"{formula} has no value")
        return values[formula.name]
    return formula.combine([evaluate(part, values) for part in formula.inner()])


def walk(formula: Formula) -> Iterator[Formula]:
    """The formula and everything in it, outer before inner, from left to right."""
    yield formula
    for part in formula.inner():
        yield from walk(part)


def symbols_of(formula: Formula) -> frozenset[str]:
    """Names that the formula depends on."""
    return frozenset(part.name for part in walk(formula) if isinstance(part, Name))


def rewrite(formula: Formula, replacements: Mapping[Formula, Formula], inside: bool = False) -> Formula:
    """The formula with parts replaced: a whole part before what is in it; with `inside` only smaller ones."""
    if formula in replacements and not inside:
        return replacements[formula]
    return formula.of([rewrite(part, replacements) for part in formula.inner()])


def _bracketed(formula: Formula, needed: int) -> str:
    """The formula's text, in brackets where it binds less tightly than needed."""
    return f"({formula})" if formula.binds < needed else str(formula)


RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
POWER = re.compile(r"(?<![\w\])])([A-Za-z_]\w*)(?:·\1(?![\w\[]))+")
ROUNDED_UP = re.compile(r"\(([^()]+)\+(?:(\w+)-1|(\d+))\)÷(\w+)(?![\w\[])")
AROUND_ROUNDED = re.compile(r"(?<!\w)\((⌈[^()]+⌉)\)")


@cache
def on_screen(text: str) -> str:
    """A formula in Python syntax as people write it: 3·heads·dim_head, n+1, H÷4 rounded down, ⌈h/8⌉ rounded up."""
    dense = text.replace(" ", "").replace("//", "÷").replace("*", "·")
    if ")÷" in dense:
        dense = AROUND_ROUNDED.sub(r"\1", ROUNDED_UP.sub(_rounded_up, dense))
    return POWER.sub(lambda found: f"{found[1]}{str(found[0].count('·') + 1).translate(RAISED)}", dense)


def _rounded_up(found: re.Match[str]) -> str:
    """(h+7)÷8 as ⌈h/8⌉; other quotients as they are."""
    top, name, number, bottom = found.groups()
    less = bottom.isdecimal() and number is not None and int(number) == int(bottom) - 1
    if name != bottom and not less:
        return found[0]
    return f"⌈{top}/{bottom}⌉" if "+" not in top and "-" not in top else f"⌈({top})/{bottom}⌉"
