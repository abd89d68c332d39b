"""What the package says of the models, their mutants and their sound variants: no false alarm, and most mistakes found.

By default each right model and a few mutants; the slow tests take one sound variant in three and one mutant in sixteen,
or all of them with VIT_TRACE_ALL_MUTANTS=1 in the environment.
"""

import os
from collections import Counter

import pytest
import torch
from mixing.corpus import MODELS, build, command, equal, healthy_outputs, outputs, right
from mixing.mutants import MUTANTS
from mixing.sound import SOUND

from vit_trace.diagnose.diagnose import diagnosed
from vit_trace.diagnose.resolve import targeted
from vit_trace.targets.complaints import contained
from vit_trace.targets.request import Request

FILES = sorted(path.stem for path in MODELS.glob("*.py"))
EVERY = 1 if os.environ.get("VIT_TRACE_ALL_MUTANTS") else 16
FLOOR = 0.92 if EVERY == 1 else 0.8
"""Share of the mutants that are warned of, each on one of its lines; a sample of 29 has not that of all."""


def queries_for_keys(name, weight):
    """`to_qkv` with the rows of queries and keys exchanged."""
    q, k, v = weight.chunk(3)
    return torch.cat([k, q, v]) if name.endswith("to_qkv.weight") else weight


def places_turned(name, table):
    """`pos` of 1 × h × w × dim, as it is read as 1 × w × h × dim and turned."""
    return table.transpose(1, 2).reshape(table.shape) if name == "pos" else table


RELABELLED = {
    ("vit_einops", "b h i d, b h j d -> b h j i"): queries_for_keys,
    ("grid", "x = x + self.pos.reshape(1, *self.grid[::-1], -1).transpose(1, 2)\n"): places_turned,
}
"""Edits that give other names to what is learned -> the weights with which the outputs are those of the right model.

They are no mistakes, and not counted.
"""
COUNTED = [one for one in enumerate(MUTANTS) if (one[1].file, one[1].new) not in RELABELLED]


def warnings(text, folder, name):
    spec, *given = command(text, folder, name)
    target = targeted(spec, Request(inputs=tuple(given[1::2])))
    with contained():
        trace = diagnosed(target, formulas=False)
    assert trace.failure is None
    return [one for one in trace.diagnostics if one.severity == "warning" or one.code == "not-looked-for"]


@pytest.mark.parametrize("file", FILES)
def test_a_right_model_gets_no_warning(file, tmp_path):
    assert warnings(right(file), tmp_path, file) == []


@pytest.mark.slow
@pytest.mark.parametrize("variant", SOUND if EVERY == 1 else SOUND[::3], ids=lambda one: f"{one.file} {one.name}")
def test_a_sound_variant_gets_no_warning(variant, tmp_path):
    assert warnings(variant.text, tmp_path, variant.file) == []


def found(mutant, folder, name):
    """Whether a warning points at one of the mutant's lines."""
    said = warnings(mutant.text, folder, name)
    return any(one.span is not None and one.span.line in mutant.lines for one in said)


def test_each_kind_is_found_once(tmp_path):
    kinds = {}
    for place, mutant in enumerate(MUTANTS):
        if mutant.file in ("vit_plain", "vit_einops") and mutant.kind not in kinds:
            kinds[mutant.kind] = found(mutant, tmp_path, f"mutant{place}")
    assert {kind for kind, hit in kinds.items() if hit} >= {
        "batch-mixed",
        "scrambled",
        "result-dropped",
        "softmax-axis",
    }


@pytest.mark.slow
def test_most_mutants_are_found(tmp_path):
    hits, counts = Counter(), Counter()
    for place, mutant in COUNTED[::EVERY]:
        counts[mutant.kind] += 1
        hits[mutant.kind] += found(mutant, tmp_path, f"mutant{place}")
    assert sum(hits.values()) >= FLOOR * sum(counts.values()), (hits, counts)


@pytest.mark.parametrize("file_new", RELABELLED, ids=lambda one: one[0])
def test_a_relabelled_model_is_the_right_one_with_its_weights_in_another_order(file_new):
    (mutant,) = [one for one in MUTANTS if (one.file, one.new) == file_new]
    built = build(mutant.text, "relabelled")
    with torch.no_grad():
        assert not equal(outputs(built), healthy_outputs(mutant.file))
        for name, one in built.model.named_parameters():
            one.copy_(RELABELLED[file_new](name, one.clone()))
        assert equal(outputs(built), healthy_outputs(mutant.file))


SCRAMBLED = [(place, one) for place, one in enumerate(MUTANTS) if one.kind == "scrambled"][:: 1 if EVERY == 1 else 3]


@pytest.mark.slow
def test_remedies_of_scrambled_rows_give_the_outputs_of_the_right_model(tmp_path):
    """Each remedy is written into the mutant's text, which torch alone runs."""
    cured = 0
    for place, mutant in SCRAMBLED:
        found = [one for one in warnings(mutant.text, tmp_path, f"mutant{place}") if one.code == "scrambled"]
        for text in (text for one in found for text in one.help):
            new, _, old = text.partition(" (tried")[0].partition(" instead of ")
            lines = mutant.text.splitlines()
            at = found[0].span.line - 1
            lines[at] = lines[at].replace(found[0].span.text, found[0].span.text.replace(old, new, 1))
            other = build("\n".join(lines), f"cured{place}")
            assert equal(outputs(other), healthy_outputs(mutant.file)), (place, text)
            cured += 1
    assert cured >= (10 if EVERY == 1 else 3)
