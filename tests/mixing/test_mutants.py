"""The mistakes of `mutants.py`: each is one edit of a right model, runs with torch alone and is wrong."""

from collections import Counter

import pytest
import torch
from mixing.corpus import MODELS, Mutant, build, outputs, right, unreached, wrong
from mixing.mutants import MUTANTS, TABLES

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
    """A gradient reaches every parameter, outputs are finite, and an image's outputs depend on that image alone."""
    built = build(right(file), file)
    assert unreached(built) == set()
    with torch.no_grad():
        before = outputs(built)
        built.inputs[0][1] = built.inputs[0][1].flip(-1)
        after = outputs(built)
    assert all(bool(one.isfinite().all()) for one in before)
    assert not torch.allclose(before[0], after[0])
    assert all(torch.equal(one[0], other[0]) for one, other in zip(before, after, strict=True) if one.ndim)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", FILES)
def test_mutants_run_and_are_wrong(file):
    rows = [(at, one) for at, one in enumerate(MUTANTS) if one.file == file]
    found = {(one.kind, one.old, one.new): wrong(one, at) for at, one in rows}
    assert {row: said for row, said in found.items() if said} == {}


def test_the_kinds_are_many():
    kinds = Counter(one.kind for one in MUTANTS)
    assert len(kinds) == 13 and min(kinds.values()) >= 10 and len(MUTANTS) >= 300
    assert len({(one.file, one.text) for one in MUTANTS}) == len(MUTANTS)


def test_a_warning_has_lines_to_point_at():
    lines = right("vit_mha").splitlines()
    left_out = next(one for one in MUTANTS if (one.file, one.new) == ("vit_mha", "dim, heads"))
    built, called = (
        next(at for at, line in enumerate(lines, 1) if part in line) for part in ("batch_first", "y, y, y")
    )
    assert left_out.lines == [built, called]
    assert all(one.lines for one in MUTANTS)


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
