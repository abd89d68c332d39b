"""Formulas as data: what is parsed is what is printed, evaluated and compared; Python itself is the oracle."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vit_trace.dims import formula as f
from vit_trace.dims.formula import FormulaError, Number, evaluate, on_screen, parse, rewrite, split_formulas, symbols_of

NAMES = ("b", "n", "heads", "dim_head", "p1")
atoms = st.one_of(st.integers(-9, 99).map(Number), st.sampled_from(NAMES).map(f.Name))
formulas = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(f.Sum(()).of),
        st.lists(inner, min_size=2, max_size=3).map(f.Product(()).of),
        st.tuples(inner, inner).map(lambda parts: f.Quotient(*parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f.Least(tuple(parts))),
    ),
    max_leaves=6,
)
values = st.fixed_dictionaries({name: st.integers(1, 50) for name in NAMES})
WHEN_BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine draws formulas slowly, which says nothing of them."""


def in_python(formula, bindings):
    try:
        return eval(str(formula), {}, dict(bindings))
    except ZeroDivisionError:
        return None


def ours(formula, bindings):
    try:
        return evaluate(formula, bindings)
    except FormulaError:
        return None


@WHEN_BUSY
@given(st.lists(formulas, min_size=1, max_size=3))
def test_several_formulas_in_one_text_come_apart_again(parts):
    texts = [str(part) for part in parts]
    assert split_formulas(", ".join(texts)) == texts


@WHEN_BUSY
@given(formulas, values)
def test_what_is_written_means_the_same_to_python_and_to_us(formula, bindings):
    assert ours(formula, bindings) == in_python(formula, bindings)
    assert ours(parse(str(formula)), bindings) == ours(formula, bindings)


@WHEN_BUSY
@given(formulas, formulas, values)
def test_rewriting_is_evaluating_with_the_replacement_first(formula, inner, bindings):
    value = ours(inner, bindings)
    if value is not None:
        replaced = rewrite(formula, {f.Name("n"): inner})
        assert ours(replaced, bindings) == ours(formula, bindings | {"n": value})
        assert "n" not in symbols_of(replaced) or "n" in symbols_of(inner)


@WHEN_BUSY
@given(formulas)
def test_every_form_is_rebuilt_from_what_it_is_made_of(formula):
    for part in f.walk(formula):
        assert str(part.of(part.inner())) == str(part)


WRITTEN = [
    ("h*w+1", "h*w + 1", "h·w+1"),
    ("3 * heads * dim_head", "3*heads*dim_head", "3·heads·dim_head"),
    ("(H + 2*pad - p1)//s + 1", "(H + 2*pad - p1)//s + 1", "(H+2·pad-p1)÷s+1"),
    ("a - (b + c)", "a - b - c", "a-b-c"),
    ("a//(b*c)", "a//(b*c)", "a÷(b·c)"),
    ("2*(a//2)", "2*(a//2)", "2·(a÷2)"),
]


@pytest.mark.parametrize(("text", "python", "screen"), WRITTEN)
def test_writing(text, python, screen):
    assert str(parse(text)) == python
    assert on_screen(python) == screen


@pytest.mark.parametrize(
    "text", ["", "a +", "a / b", "a ** 2", "f(a)", "1.5", "True", "a.b", "'a'", "a if b else c", "(" * 500]
)
def test_what_is_not_a_formula(text):
    with pytest.raises(FormulaError):
        parse(text)


def test_missing_values_and_division_by_zero():
    with pytest.raises(FormulaError, match="n has no value"):
        evaluate(parse("n + 1"), {})
    with pytest.raises(FormulaError, match="0"):
        evaluate(parse("a//(b - b)"), {"a": 1, "b": 2})
