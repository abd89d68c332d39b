"""Formulas: integer expressions over named quantities, as data. `h*w + 1`, `3*heads*dim_head`, `(H + 2)//4`.

They are parsed, printed in Python syntax and as people write them, evaluated, substituted into and compared. Knows
nothing of torch or of where formulas come from. Integers only; division is `//` and rounds down, as in Python; what is
never larger than something else is `min(window, h)`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod


class FormulaError(ValueError):
    """The text is no formula, or a value for one of its symbols is missing; the message says which."""


@dataclass(frozen=True, slots=True)
class Number:
    value: int


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    terms: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Product:
    factors: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Quotient:
    """`top // bottom`, rounded down."""

    top: Formula
    bottom: Formula


@dataclass(frozen=True, slots=True)
class Least:
    """`min(window, h)`: a window never larger than what it looks at."""

    parts: tuple[Formula, ...]


Formula = Number | Symbol | Sum | Product | Quotient | Least


@dataclass(frozen=True, slots=True)
class Dim:
    """One axis: its size in this trace, and the formula it follows; a plain Number where none is established."""

    size: int
    formula: Formula

    def __str__(self) -> str:
        return written(self.formula)


def parse(text: str) -> Formula:
    """The formula of a text in Python syntax. Raises FormulaError."""
    try:
        return of_node(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(f"{text!r} is no formula: {error}") from None


def of_node(node: ast.expr) -> Formula:
    """The formula of a parsed expression."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return Number(value)
        case ast.Name(id=name):
            return Symbol(name)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int(place))):  # one of a list: widths[2]
            return Symbol(f"{name}[{place}]")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return negative(of_node(operand))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return Sum((*terms(of_node(left)), *terms(of_node(right))))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return Sum((*terms(of_node(left)), *(negative(term) for term in terms(of_node(right)))))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return Product((*factors(of_node(left)), *factors(of_node(right))))
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return Quotient(of_node(left), of_node(right))
        case ast.Call(func=ast.Name(id="min"), args=[_, _, *_] as parts, keywords=[]):
            return Least(tuple(map(of_node, parts)))
    raise FormulaError(f"{ast.unparse(node)!r} is no sum, product, floor division or min of integers and names")


def listed(text: str) -> list[str]:
    """The formulas of a text that holds several: `H//p, min(window, h)` is two."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [one.strip() for one in found]


def terms(formula: Formula) -> tuple[Formula, ...]:
    return formula.terms if isinstance(formula, Sum) else (formula,)


def factors(formula: Formula) -> tuple[Formula, ...]:
    return formula.factors if isinstance(formula, Product) else (formula,)


def negative(formula: Formula) -> Formula:
    if isinstance(formula, Number):
        return Number(-formula.value)
    first, *rest = factors(formula)
    if isinstance(first, Number):
        return Product((Number(-first.value), *rest)) if first.value != -1 or len(rest) != 1 else rest[0]
    return Product((Number(-1), first, *rest))


def evaluate(formula: Formula, values: Mapping[str, int]) -> int:
    """The formula's value. Raises FormulaError for a symbol without a value and for a division by zero."""
    match formula:
        case Number(value):
            return value
        case Symbol(name):
            if name not in values:
                raise FormulaError(f"{name} has no value")
            return values[name]
        case Sum(parts):
            return sum(evaluate(part, values) for part in parts)
        case Product(parts):
            return prod(evaluate(part, values) for part in parts)
        case Quotient(top, bottom):
            divisor = evaluate(bottom, values)
            if divisor == 0:
                raise FormulaError(f"{written(bottom)} is 0 in {written(formula)}")
            return evaluate(top, values) // divisor
        case Least(parts):
            return min(evaluate(part, values) for part in parts)


def substitute(formula: Formula, replacements: Mapping[str, Formula]) -> Formula:
    """The formula with symbols replaced by formulas."""
    match formula:
        case Number():
            return formula
        case Symbol(name):
            return replacements.get(name, formula)
        case Sum(parts):
            return Sum(tuple(inner for part in parts for inner in terms(substitute(part, replacements))))
        case Product(parts):
            return Product(tuple(inner for part in parts for inner in factors(substitute(part, replacements))))
        case Quotient(top, bottom):
            return Quotient(substitute(top, replacements), substitute(bottom, replacements))
        case Least(parts):
            return Least(tuple(substitute(part, replacements) for part in parts))


def symbols(formula: Formula) -> frozenset[str]:
    """Names that the formula depends on."""
    match formula:
        case Number():
            return frozenset()
        case Symbol(name):
            return frozenset((name,))
        case Sum(parts) | Product(parts) | Least(parts):
            return frozenset().union(*map(symbols, parts))
        case Quotient(top, bottom):
            return symbols(top) | symbols(bottom)


Monomials = dict[tuple[Formula, ...], int]


def expanded(formula: Formula) -> Monomials:
    """The formula multiplied out: coefficient of each product of symbols and quotients, none of them zero."""
    match formula:
        case Number(value):
            return {(): value} if value else {}
        case Symbol() | Quotient() | Least():
            return {(formula,): 1}
        case Sum(parts):
            found: Monomials = {}
            for part in parts:
                for monomial, coefficient in expanded(part).items():
                    found[monomial] = found.get(monomial, 0) + coefficient
            return {monomial: coefficient for monomial, coefficient in found.items() if coefficient}
        case Product(parts):
            found = {(): 1}
            for part in parts:
                found = multiplied(found, expanded(part))
            return found


def multiplied(one: Monomials, two: Monomials) -> Monomials:
    found: Monomials = {}
    for left, a in one.items():
        for right, b in two.items():
            monomial = tuple(sorted((*left, *right), key=repr))
            found[monomial] = found.get(monomial, 0) + a * b
    return {monomial: coefficient for monomial, coefficient in found.items() if coefficient}


def equal(one: Formula, two: Formula) -> bool:
    """Whether two formulas are the same polynomial; quotients count as the same only when written alike."""
    return expanded(one) == expanded(two)


SUM, PRODUCT, ATOM = range(3)


def written(formula: Formula) -> str:
    """Python syntax: 3*heads*dim_head, n + 1, (H - p1)//s."""
    return in_python(formula)[0]


def in_python(formula: Formula) -> tuple[str, int]:
    """(text, how tightly it binds)."""
    match formula:
        case Number(value):
            return str(value), ATOM if value >= 0 else SUM
        case Symbol(name):
            return name, ATOM
        case Sum(parts):
            return joined_terms([in_python(part)[0] for part in parts]), SUM
        case Product(parts):
            if parts and parts[0] == Number(-1) and len(parts) > 1:
                return "-" + in_python(Product(parts[1:]))[0], SUM
            return "*".join(bracketed(part, PRODUCT, place) for place, part in enumerate(parts)) or "1", PRODUCT
        case Quotient(top, bottom):
            return f"{bracketed(top, PRODUCT, 0)}//{bracketed(bottom, ATOM, 1)}", PRODUCT
        case Least(parts):
            return f"min({', '.join(in_python(part)[0] for part in parts)})", ATOM


def bracketed(formula: Formula, tightness: int, place: int) -> str:
    """The text, in brackets where it binds less tightly; a quotient behind a sign of multiplication needs them too."""
    text, binds = in_python(formula)
    loose = binds < tightness or (place > 0 and isinstance(formula, Quotient))
    return f"({text})" if loose else text


def joined_terms(texts: list[str]) -> str:
    """a + b - c"""
    joined = texts[0] if texts else "0"
    for text in texts[1:]:
        joined += f" - {text[1:]}" if text.startswith("-") else f" + {text}"
    return joined


POWERS = {2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹"}
POWER = re.compile(r"(?<![\w\])])([A-Za-z_]\w*)(?:·\1(?![\w\[]))+")


@cache
def on_screen(text: str) -> str:
    """A formula in Python syntax as people write it: 3·heads·dim_head, n+1, H÷4 for a division that rounds down."""
    dense = text.replace(" ", "").replace("//", "÷").replace("*", "·")
    return POWER.sub(lambda found: f"{found[1]}{POWERS[found[0].count('·') + 1]}", dense)
