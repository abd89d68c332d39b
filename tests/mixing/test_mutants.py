"""The mistakes of `mutants.py`: each is one edit of a right model, runs with torch alone and is wrong."""

from collections import Counter

import pytest
import torch
from mixing.corpus import MODELS, Mutant, build, command, equal, healthy_outputs, outputs, right, unreached, wrong
from mixing.mutants import MUTANTS, TABLES
from mixing.sound import SOUND

FILES = sorted(path.stem for path in MODELS.glob("*.py"))


@pytest.fixture(autouse=True)
def one_thread():
    """Small models are faster on one thread than on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_model_has_mutants():
    assert sorted(TABLES) == FILES


@pytest.mark.parametrize("file", FILES)
def test_the_models_are_right(file):
    right_outputs(build(right(file), file))


def right_outputs(built):
    """Outputs that are finite, reached by every parameter, and for each image depend on that image alone."""
    assert unreached(built) == set()
    with torch.no_grad():
        before = outputs(built)
        built.inputs[0][1] = another(built.inputs[0][1])
        after = outputs(built)
    assert all(bool(one.isfinite().all()) for one in before)
    assert not torch.allclose(before[0], after[0])
    assert all(torch.allclose(one[0], other[0]) for one, other in zip(before, after, strict=True) if one.ndim)
    return before


SLOW = {"checkpointing": "it imports torch's compiler"}
"""Variants that take seconds -> why."""


@pytest.mark.parametrize(
    "variant", [pytest.param(one, id=one.name, marks=[pytest.mark.slow] * (one.name in SLOW)) for one in SOUND]
)
def test_variants_are_right(variant):
    found = right_outputs(build(variant.text, variant.name))
    assert equal(found, healthy_outputs(variant.file), 1e-4) == variant.same


def test_edits_of_variants_occur_once():
    for variant in SOUND:
        text = right(variant.file)
        for old, new in variant.edits:
            assert text.count(old) == 1, f"{variant.name}: {old!r} occurs {text.count(old)} times"
            text = text.replace(old, new)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", FILES)
def test_mutants_run_and_are_wrong(file):
    rows = [(at, one) for at, one in enumerate(MUTANTS) if one.file == file]
    found = {(one.kind, one.old, one.new): wrong(one, at) for at, one in rows}
    assert {row: said for row, said in found.items() if said} == {}


def test_models_have_a_command(tmp_path):
    spec, *inputs = command(right("padded"), tmp_path)
    assert spec == f"{tmp_path}/model.py:PaddedViT"
    assert inputs == ["--input", "patches=3x13x48", "--input", "padding=3x13:bool"]


def test_the_kinds_are_many():
    kinds = Counter(one.kind for one in MUTANTS)
    assert len(kinds) == 13 and min(kinds.values()) >= 10 and len(MUTANTS) >= 300
    assert len({one.text for one in (*MUTANTS, *SOUND)}) == len(MUTANTS) + len(SOUND)


def test_a_warning_has_lines_to_point_at():
    lines = right("vit_mha").splitlines()
    left_out = next(one for one in MUTANTS if (one.file, one.new) == ("vit_mha", "dim, heads"))
    built, called = (
        next(at for at, line in enumerate(lines, 1) if part in line) for part in ("batch_first", "y, y, y")
    )
    assert left_out.lines == [built, called]
    assert all(one.lines for one in MUTANTS)


OTHERS_MIX = {("residual-broadcast", "padded", "/ valid.sum(dim=1, keepdim=True)")}
"""Mutants of another kind where one image's outputs depend on other images."""

NOT_SEEN = {
    ("swin", "attn.view(nW, Bw // nW, self.heads, N, N) + mask.unsqueeze(1).unsqueeze(1)"): "its place in the batch",
    ("mae", "torch.argsort(noise, dim=0)"): "only the noise is mixed",
    **{("classify", one.new): "losses alone are returned" for one in MUTANTS if one.file == "classify"},
    **{("regress", one.new): "losses alone are returned" for one in MUTANTS if one.file == "regress"},
}
"""Mutants that mix images where no other image's output shows it -> why."""


def another(image):
    """Another input of the same kind as one image, label or mask."""
    if image.dtype == torch.bool:
        return ~image
    image = image * 2 if image.is_floating_point() else image
    return image.flip(-1) if image.ndim else image + 1


def images_meet(built):
    """Whether outputs of other images change when only the first image does, or its mask or label."""
    before = outputs(built)
    for given in built.inputs:
        kept = given[0].clone()
        given[0] = another(kept)
        after = outputs(built)
        given[0] = kept
        pairs = zip(before, after, strict=True)
        if any(one.ndim and not torch.allclose(one[1:], other[1:]) for one, other in pairs):
            return True
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_images_meet_where_the_table_says_so():
    with torch.no_grad():
        meet = {one for one in MUTANTS if images_meet(build(one.text, one.file))}
    said = {one for one in MUTANTS if one.kind == "batch-mixed" and (one.file, one.new) not in NOT_SEEN}
    assert {(one.kind, one.file, one.new) for one in meet ^ said} == OTHERS_MIX


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Mutant("scrambled", "mixer", "x = ", "y = "), "occurs"),
        (Mutant("scrambled", "mixer", "x = self.norm(x)", "x = self.norm(x) * 1"), "the same"),
        (Mutant("scrambled", "mixer", "pooled = x.mean(dim=1)", "pooled = x.mean(dim=0)"), "outputs"),
        (Mutant("scrambled", "mixer", "self.norm(x)", "self.norm(x).log()"), "not finite"),
        (Mutant("unused", "mixer", "self.norm(x)", "self.norm(x) * 2"), "reaches every"),
        (Mutant("scrambled", "mixer", "self.norm(x)", "self.norm(x) * 2", "no such line"), "no line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_does_not_keep_its_promise_is_found(row, said):
    assert said in " ".join(wrong(row))
