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
    if not name.endswith("to_qkv.weight"):
        return weight
    q, k, v = weight.chunk(3)
    return torch.cat([k, q, v])


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
MISSED = {
    (
        "vit_encoder",
        "x = x.mean(dim=1, keepdim=True) + self.position_embedding",
    ): "one latent that positions ask back may be meant",
    ("mae", "torch.argsort(noise, dim=0)"): "only the noise is mixed",
    (
        "mae",
        "x, mask, ids_restore = self.random_masking(x)\n        x = x + self.pos_embed[:, 1 : x.shape[1] + 1, :]",
    ): "not looked for: the places of tokens in a random order",
    ("mae", "loss = loss.mean(dim=(0, 2))"): "a loss may compare with means over images",
    ("mae", "loss = (pred - target.mean(dim=1, keepdim=True)) ** 2"): "a loss may compare with a mean",
    ("mae", "[x_[:, :1, :], x_]"): "a part that stands twice may pad",
    ("segmenter", "x.mean((2, 3), keepdim=True) + self.project(skip)"): "a pooled map may be added to every place",
    ("detector", "self.class_head(tgt).softmax(1)"): "softmax over tokens is what spans and key points want",
    ("detector", "query_pos, tgt + query_pos, tgt)"): "said where the queries begin",
    ("video", "x.reshape(b * n, t, d)"): "said where the frames are put back",
    (
        "video",
        'y = rearrange(x, "b t n d -> (b n) t d")\n        y = self.space(y)\n        '
        'x = x + rearrange(y, "(b n) t d -> b t n d", b=b)',
    ): "said where attention is computed, in a class that both share",
    (
        "video",
        "x.reshape(b * t, n, d)\n        y = self.time(y)\n        x = x + y.reshape(b, t, n, d)",
    ): "frames may be kept apart until the mean",
    (
        "video",
        "x = x + self.pos_time.repeat_interleave(x.shape[2] // t, 1).transpose(1, 2)\n",
    ): "coarse positions may be meant",
    ("video", "x = x.reshape(b, x.shape[1], t, x.shape[2]).transpose(1, 2)"): "sizes of the copy divide each other",
    ("video", "x = x + self.pos_time[0, :b, None]\n"): "another number of images is an error",
    ("grid", "torch.randn(1, h, 1, dim)"): "one position for each row may be meant",
    ("classify", "(log_probs.detach().exp() - labels.unsqueeze(1))"): "class numbers may be meant as numbers",
    ("classify", "losses.mean()"): "nothing reads it: there is no line",
    ("rope", "x = x.permute(0, 2, 3, 1).flatten(2)"): "rotary embeddings hide where features come from",
    (
        "rope",
        "view(b, n, self.dim_head, self.heads).permute(0, 3, 1, 2)",
    ): "rotary embeddings hide where features come from",
    ("rope", "v = v.repeat(1, self.heads // self.kv_heads, 1, 1)"): "said where keys and values are cut",
    ("rope", "xs = torch.zeros(w)[:, None]"): "angles along rows alone may be meant",
    ("pairs", "x[:, -1]"): "the last word may be meant",
    ("pairs", "self.text(captions[:, :1].expand_as(captions))"): "not looked for: words that nothing reads",
}
"""Mutants that no warning points at -> why."""
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
        hit = found(mutant, tmp_path, f"mutant{place}")
        assert hit or (mutant.file, mutant.new) in MISSED, mutant
        hits[mutant.kind] += hit
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
