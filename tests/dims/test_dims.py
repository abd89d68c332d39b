"""Every size of the built-in ViT has a formula, and the formula is right: it predicts traces that were never made."""

from itertools import combinations_with_replacement
from math import prod

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vit_trace.base.trace import Trace
from vit_trace.config import ViTConfig
from vit_trace.dims import search
from vit_trace.dims.explain import doublings, meanings
from vit_trace.dims.formula import evaluate, parse
from vit_trace.dims.values import UNKNOWN, ValuesError, at, changes_of
from vit_trace.probing.branches import same_stages
from vit_trace.probing.run import run_target, trace_once
from vit_trace.targets.builtin import BRANCHES, PROBES, builtin, config_symbols

CASES = {
    "reference": ViTConfig(),
    "not square": ViTConfig(image_size=(192, 320), patch_size=(16, 32), depth=1),
    "mean": ViTConfig(pool="mean", depth=1),
    "one channel": ViTConfig(channels=1, depth=1),
    "one head, no projection": ViTConfig(heads=1, dim_head=64, dim=64, depth=2),
    "one head": ViTConfig(heads=1, dim_head=8, dim=64, depth=1),
    "dim is heads · dim_head": ViTConfig(dim=768, heads=12, dim_head=64, depth=1),
    "all alike": ViTConfig((64, 64), (8, 8), 64, 64, 2, 8, 64, "cls", 3, 8, 0.0, 0.0, 64),
    "all alike and deep": ViTConfig((64, 64), (8, 8), 64, 64, 5, 8, 64, "cls", 3, 8, 0.0, 0.0, 64),
    "mlp as wide as the tokens": ViTConfig(mlp_dim=1024, depth=4),
    "like the probes": ViTConfig((33, 91), (11, 13), 17, 19, 1, 23, 31, "cls", 5, 29, 0.1, 0.1, 2),
    "all ones": ViTConfig((1, 1), (1, 1), 1, 1, 1, 1, 1, "cls", 1, 1, 0.0, 0.0, 1),
    "one patch": ViTConfig((32, 32), (32, 32), depth=1, batch_size=1),
}


def tensors(trace: Trace):
    """(where, shape, dims, constant axes) of everything with a shape."""
    for stage in trace.stages:
        for spec in (*stage.inputs, *stage.outputs):
            yield f"{stage.name}{spec.path}", spec.shape, spec.dims, spec.constant
    for parameter in trace.parameters:
        yield parameter.name, parameter.shape, parameter.dims, parameter.constant


@pytest.mark.parametrize("name", CASES)
def test_every_dimension_has_a_formula_that_gives_its_size(name):
    trace = run_target(builtin(CASES[name]))
    values = {symbol: record.value for symbol, record in trace.symbols.items()}
    for where, shape, dims, constant in tensors(trace):
        for axis, (size, dim) in enumerate(zip(shape, dims, strict=True)):
            assert evaluate(parse(dim), values) == size == eval(dim, {}, values), where
            assert not dim.isdigit() or (axis in constant and dim == "1"), f"{where} {dims} has an axis without formula"
    for record in trace.construction:
        if isinstance(record.value, int):
            assert record.formula and eval(record.formula, {}, values) == record.value


def configs(structure: tuple[str, bool]):
    """Configs of one structure: pool, and whether the one head is as wide as the tokens."""
    pool, bare = structure
    small = st.integers(1, 9)
    sizes = dict(
        p1=small, p2=small, h=small, w=small, heads=small, batch=small, channels=small, classes=st.integers(1, 40),
        dim=st.integers(1, 70), mlp=st.integers(1, 70), dim_head=st.integers(1, 20),
    )  # fmt: skip

    def make(p1, p2, h, w, classes, dim, heads, mlp, channels, dim_head, batch):
        if bare:
            heads, dim_head = 1, dim
        elif heads == 1 and dim_head == dim:
            heads = 2
        return ViTConfig(
            (h * p1, w * p2), (p1, p2), classes, dim, 1, heads, mlp, pool, channels, dim_head, 0.0, 0.0, batch
        )

    return st.builds(make, **sizes)


pairs = st.tuples(st.sampled_from(["cls", "mean"]), st.booleans()).flatmap(lambda s: st.tuples(configs(s), configs(s)))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs)
def test_formulas_of_one_config_predict_the_trace_of_another(pair):
    one, other = pair
    named, real = run_target(builtin(one)), trace_once(builtin(other))
    values = {name: symbol.value for name, symbol in config_symbols(other).items()}
    for (where, _, dims, _), (_, shape, _, _) in zip(tensors(named), tensors(real), strict=True):
        assert tuple(eval(dim, {}, values) for dim in dims) == shape, where


def test_probe_settings_tell_all_small_formulas_apart():
    """No two products with a coefficient and a summand give the same sizes in all probes."""
    names = list(PROBES[0])
    seen: dict[tuple[int, ...], tuple] = {}
    for degree in range(1, 4):
        for chosen in combinations_with_replacement(names, degree):
            products = [prod(setting[name] for name in chosen) for setting in PROBES]
            for coefficient in range(1, 13):
                for summand in range(-2, 9):
                    sizes = tuple(coefficient * value + summand for value in products)
                    assert seen.setdefault(sizes, (chosen, coefficient, summand)) == (chosen, coefficient, summand)
    assert all(len(set(setting.values())) == len(setting) for setting in PROBES)
    assert all(setting["h"] != setting["w"] and setting["p1"] != setting["p2"] for setting in PROBES)


def test_explain_tells_the_two_3072_and_the_two_1024_apart():
    trace = run_target(builtin(ViTConfig()))
    found = {meaning.formula: meaning for meaning in meanings(trace, 3072)}
    assert set(found) == {"c*p1*p2", "3*heads*dim_head"}
    assert found["c*p1*p2"].numbers == "3·32·32"
    assert found["3*heads*dim_head"].numbers == "3·16·64"
    assert "to_patch_embedding.0" in found["c*p1*p2"].places
    assert "transformer.layers.0…5.0.fn.to_qkv" in found["3*heads*dim_head"].places
    assert {meaning.formula for meaning in meanings(trace, 1024)} == {"dim", "heads*dim_head"}
    doubled = {knob.hyperparameter: knob.sizes for knob in doublings(trace, ["c*p1*p2", "3*heads*dim_head"])}
    assert doubled["patch_size"] == {"c*p1*p2": 12288}
    assert doubled["heads"] == {"3*heads*dim_head": 6144}
    assert doubled["image_size"] == {}


def test_what_if_equals_a_real_trace_of_that_config():
    saved = run_target(builtin(ViTConfig(depth=2)))
    real = trace_once(builtin(ViTConfig(image_size=(384, 512), batch_size=1, depth=2, dim_head=32)))
    there = at(saved, changes_of(saved, {"image_size": "384x512", "b": "1", "dim_head": "32"}))
    assert [shape for _, shape, _, _ in tensors(there)] == [shape for _, shape, _, _ in tensors(real)]
    assert there.totals.parameters == real.totals.parameters
    assert there.target.hyperparameters["image_size"] == [384, 512]
    values = {(record.module, record.name): record.value for record in there.construction}
    assert values["", "num_patches"] == 12 * 16
    assert values["transformer.layers.0.0.fn", "scale"] == UNKNOWN, "no formula covers it, so it is not shown as it was"


def test_a_value_that_changes_the_stages_is_announced_and_no_total_is_given():
    saved = run_target(builtin(ViTConfig(depth=2)))
    bare = at(saved, changes_of(saved, {"heads": "1", "dim_head": "1024"}))
    real = trace_once(builtin(ViTConfig(depth=2, heads=1, dim_head=1024)))
    assert len(real.stages) < len(saved.stages)
    assert [one.code for one in bare.diagnostics] == ["structure"] and bare.totals.bound == "unknown"
    assert "heads = 1 and dim_head = dim" in bare.diagnostics[0].message
    for same in ({"heads": "1"}, {"dim_head": "1024"}, {"image_size": "384"}):
        there = at(saved, changes_of(saved, same))
        assert not there.diagnostics and there.totals.bound == "exact"


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("dim_head", [24, 48])
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_stages_change_only_where_a_condition_changes(heads, dim_head, pool):
    """The conditions that the built-in ViT declares, held to real traces at all values they speak of."""
    usual = trace_once(builtin(ViTConfig(dim=48, depth=1, heads=2, dim_head=24, pool=pool)))
    there = trace_once(builtin(ViTConfig(dim=48, depth=1, heads=heads, dim_head=dim_head, pool=pool)))
    values = {name: symbol.value for name, symbol in there.symbols.items()}
    holds = any(all(values[name] == evaluate(parse(one), values) for name, one in each.items()) for each in BRANCHES)
    assert same_stages(usual, there) == (not holds)


def test_a_total_with_unknown_sizes_is_a_lower_bound():
    saved = run_target(builtin(ViTConfig(depth=1)))
    name = "transformer.layers.0.1.fn.net.0.weight"
    holes = [replace(one, dims=("2048", "dim")) if one.name == name else one for one in saved.parameters]
    there = at(replace(saved, parameters=tuple(holes)), {"dim": 512})
    real = trace_once(builtin(ViTConfig(depth=1, dim=512)))
    assert there.totals.bound == "least"
    assert there.totals.parameters == real.totals.parameters - 2048 * 512
    assert next(stage for stage in there.stages if stage.module == name.rpartition(".")[0]).parameters == UNKNOWN


def test_sizes_without_formula_are_unknown_elsewhere():
    bare = run_target(builtin(ViTConfig(depth=1)), formulas=False)
    there = at(bare, {"b": 7})
    assert {size for _, shape, _, _ in tensors(there) for size in shape} == {UNKNOWN}


def test_an_image_that_does_not_divide_is_refused():
    trace = run_target(builtin(ViTConfig(depth=1)))
    with pytest.raises(ValuesError, match="250 is not a multiple of p1 32"):
        at(trace, changes_of(trace, {"image_size": "250"}))


def test_a_search_ends_after_its_budget_and_the_trace_says_so(monkeypatch):
    monkeypatch.setattr(search, "MOST_SEARCHED", 1)
    settings = [{name: symbol.value for name, symbol in config_symbols(ViTConfig()).items()}, *PROBES]
    names = PROBES[0].keys() & settings[0].keys()
    found = search.FormulaSearch([{name: setting[name] for name in names} for setting in settings])
    for wide in ("mlp_dim", "heads"):
        formula = found.formula(tuple(setting["dim"] + setting[wide] for setting in settings))
        assert (formula is None) == (wide == "heads")
    assert found.left == 1
    assert not run_target(builtin(ViTConfig(depth=1))).diagnostics
    monkeypatch.setattr(search.FormulaSearch, "left", 3)
    (note,) = run_target(builtin(ViTConfig(depth=1))).diagnostics
    assert (note.code, note.severity) == ("formulas", "note") and note.message.startswith("3 sizes have no formulas")


REFUSED = [
    ({"n": "9"}, "n follows from h*w"),
    ({"depth": "12"}, "no size follows from it"),
    ({"imagesize": "9"}, "no formula"),
    ({"dim": "3x4"}, "one number"),
    ({"dim": "many"}, "whole number"),
    ({"dim": "0"}, "whole number"),
]


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_values_that_cannot_be_set(changes, says):
    trace = run_target(builtin(ViTConfig(depth=1)))
    with pytest.raises(ValuesError, match=says.replace("*", r"\*")):
        changes_of(trace, changes)
