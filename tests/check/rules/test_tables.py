"""Rules as tables: the quantities of one network, and what each rule says of them. Neither torch nor a trace."""

from types import SimpleNamespace

import pytest

from vit_trace.base.modules import import_all
from vit_trace.check import rules
from vit_trace.check.facts import Facts, Network, Quantity
from vit_trace.check.rules import all_rules

FOUND = [
    ("heads-do-not-fill-dim", {"dim": 770, "heads": 12, "dim_head": 64}, "heads 12 × dim_head 64 = 768, dim is 770"),
    ("heads-do-not-fill-dim", {"dim": 768, "heads": 12, "dim_head": 64}, None),
    ("heads-do-not-divide-dim", {"dim": 770, "heads": 12}, "dim 770 is not a multiple of heads 12"),
    ("heads-do-not-divide-dim", {"dim": (96, 190), "heads": (3, 6)}, "dim 190 is not a multiple of heads 6"),
    ("heads-do-not-divide-dim", {"dim": 770, "heads": 12, "dim_head": 64}, None),
    ("mlp-narrower-than-dim", {"dim": 770, "mlp_dim": 512}, "mlp_dim 512 is smaller than dim 770"),
    ("mlp-narrower-than-dim", {"mlp_ratio": 0.5}, "mlp_ratio 0.5 makes the feed-forward narrower than the tokens"),
    ("mlp-narrower-than-dim", {"mlp_ratio": 4.0}, None),
    ("one-class", {"classes": 1}, "classes is 1"),
    ("one-class", {"classes": 2}, None),
    ("one-token", {"patch": 32, "image": 32}, "the image 32×32 is one patch of 32×32"),
    ("one-token", {"patch": 16, "image": 32}, None),
    ("tensor-core-alignment", {"dim": 770}, "dim 770 is not a multiple of 8"),
    ("tensor-core-alignment", {"dim": 776}, "dim 776 is a multiple of 8 but not of 64"),
    ("tensor-core-alignment", {"dim": 768, "heads": 12}, None),
    ("flash-attention-head", {"dim": 768, "heads": 2}, "head dimension 384 does not fit flash attention"),
    ("flash-attention-head", {"dim_head": 64}, None),
]


def found_in(code: str, values: dict) -> str | None:
    network = Network({role: Quantity(role, role, value) for role, value in values.items()})
    facts = Facts(SimpleNamespace(), (network,), image=(32, 32))
    rule = next(rule for rule in all_rules() if rule.code == code)
    return next((one.message for one in rule.find(facts)), None)


@pytest.mark.parametrize(("code", "values", "message"), FOUND)
def test_what_a_rule_finds(code, values, message):
    assert found_in(code, values) == message


@pytest.mark.parametrize(("tokens", "found"), [(64, False), (65, True), (72, True), (73, False), (257, True)])
def test_tokens_just_over_a_tile(tokens, found):
    rule = next(rule for rule in all_rules() if rule.code == "sequence-just-over-tile")
    assert bool(list(rule.find(Facts(SimpleNamespace(), (), tokens=tokens)))) == found


@pytest.mark.parametrize(("rate", "found"), [(0.1, False), (1, True), (1.5, True)])
def test_rates_that_drop_everything(rate, found):
    rule = next(rule for rule in all_rules() if rule.code == "drops-everything")
    assert bool(list(rule.find(Facts(SimpleNamespace(), (), (Quantity("rate", "dropout", rate),))))) == found


def test_a_file_in_the_package_is_enough(tmp_path, monkeypatch):
    (tmp_path / "extra.py").write_text(
        "from vit_trace.check.rules import rule\n\n\n"
        "@rule('made-for-a-test', 'note')\ndef extra(facts):\n    'What it means.'\n    return iter(())\n"
    )
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    import_all.cache_clear()
    try:
        assert "made-for-a-test" in [rule.code for rule in all_rules()]
    finally:
        from vit_trace.codes.registry import AREA_OF, MEANINGS

        import_all.cache_clear()
        assert MEANINGS.pop("made-for-a-test") == "What it means."
        AREA_OF.pop("made-for-a-test")
