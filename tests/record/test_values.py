"""Values that are known on meta: a trace goes the way of a real run, and fails where it does."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vit_trace.record.build.anyhow import build_anyhow
from vit_trace.record.record import record


class Holds(nn.Module):
    """A table of 5 rows, a large one, a relative position index of 49 places; `how` is the forward."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.table, self.biases = nn.Parameter(torch.zeros(5, 8)), nn.Parameter(torch.zeros(48, 2))
        self.large = nn.Embedding(40_000, 32)
        places = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")).flatten(1)
        far = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0).contiguous()
        far[:, :, 0] += 3
        far[:, :, 1] += 3
        far[:, :, 0] *= 7
        self.register_buffer("far", far.sum(-1))
        self.register_buffer("copied", torch.empty(16, 16, dtype=torch.int64))
        self.copied.copy_(self.far)
        self.scale = [one.item() for one in torch.linspace(1, 4, 4)]

    def forward(self, x):
        return self.how(self, x, lambda *numbers: torch.arange(*numbers, device=x.device))


def written_through_a_view(model, x, count):
    places = count(3)
    places[1:].add_(9)
    return model.table[places]


ROWS = {
    "rows that are there": lambda model, x, count: model.table[count(5)],
    "one row too many": lambda model, x, count: model.table[count(6)],
    "a negative row": lambda model, x, count: model.table[count(3) - 6],
    "halves as rows": lambda model, x, count: model.table[(count(12).float() / 2).long()],
    "a relative position index": lambda model, x, count: model.biases[model.far.view(-1)],
    "an index that was copied": lambda model, x, count: model.biases[model.copied.view(-1)],
    "an index that was copied and fits": lambda model, x, count: model.biases[model.copied % 48],
    "a relative position index that fits": lambda model, x, count: model.biases[model.far % 48],
    "a large table": lambda model, x, count: model.large(count(39_990, 40_001)),
    "gather": lambda model, x, count: x.gather(1, count(12).view(1, 12, 1).expand(2, 12, 8)),
    "a copy to places": lambda model, x, count: x.index_copy(1, count(8, 10), x[:, :2]),
    "through a view": written_through_a_view,
    "as many classes as there are": lambda model, x, count: F.one_hot(count(4)),
    "more classes": lambda model, x, count: F.one_hot(count(4), 3),
    "a known mask": lambda model, x, count: x[:, count(9) % 2 == 0],
    "places of a known mask": lambda model, x, count: (count(9) > 2).nonzero(),
    "an item": lambda model, x, count: x[:, : count(4).max().item()],
    "a number": lambda model, x, count: x[:, : int(model.scale[2])],
    "a range": lambda model, x, count: torch.stack([x for _ in range(count(4)[-1])]),
    "a condition": lambda model, x, count: x if (count(3) < 3).all() else x.view(99),
    "a condition that is not met": lambda model, x, count: x.view(99) if (count(3) > 3).any() else x,
    "a condition on rows": lambda model, x, count: x if x[0] < x[1] else x[:1],
    "the least of rows": lambda model, x, count: min(x),
    "a condition on nothing": lambda model, x, count: x if x[:0].sum(1) > 0 else x[:1],
    "an item of several": lambda model, x, count: x * (x[0, 0] > 0).item(),
    "the other way of a condition": lambda model, x, count: x.view(99) if count(2).any() else x,
}


@pytest.mark.parametrize("name", ROWS)
def test_known_values_lead_where_they_lead_a_real_run(name):
    model = Holds(ROWS[name])
    with torch.no_grad():
        try:
            expected, raised = model(torch.rand(2, 9, 8)).shape, ""
        except Exception as error:
            expected, raised = None, f"{type(error).__name__}: {str(error)[:200]}"
    trace = record(build_anyhow(lambda: Holds(ROWS[name])).model, (torch.empty(2, 9, 8, device="meta"),))
    assert (trace.failure.exception[: len(raised)] if trace.failure else "") == raised
    assert raised or trace.outputs[0].shape == expected
    assert not trace.diagnostics


def changed_by(change):
    def how(model, x, count):
        places = count(6)
        change(places, (x.sum() > 0).long())
        return model.table[places]

    return how


UNKNOWN = {
    "in place": changed_by(lambda places, number: places.mul_(number)),
    "an element": changed_by(lambda places, number: places.__setitem__(5, number)),
    "a view": changed_by(lambda places, number: places[3:].copy_(number)),
    "a copy": changed_by(lambda places, number: places.copy_(9 * number)),
    "data": changed_by(lambda places, number: places.data.fill_(2)),
    "where": lambda model, x, count: model.table[torch.where(x[0, :6, 0] > 0, count(6), 0)],
    "without values": lambda model, x, count: model.table[(x.sum() * 9).long()],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_where_values_are_not_known_nothing_is_claimed(name):
    trace = record(build_anyhow(lambda: Holds(UNKNOWN[name])).model, (torch.empty(2, 9, 8, device="meta"),))
    assert trace.failure is None


@pytest.mark.parametrize("convert", ["to", "type_as", "view_as", "expand_as"])
def test_what_is_converted_is_known_no_better_than_before(convert):
    class Loss(nn.Module):
        def forward(self, x, labels):
            like = x.device if convert == "to" else torch.zeros(2, dtype=torch.int64, device=x.device)
            return F.cross_entropy(x, getattr(labels, convert)(like))

    labels = torch.ones(2, dtype=torch.int64, device="meta")
    assert record(Loss(), (torch.empty(2, 3, device="meta"), labels)).failure is None


class Table(nn.Module):
    """Works out a table of numbers, one after the other, through views, slices and past its end."""

    def __init__(self, write):
        super().__init__()
        table = torch.zeros(3, 4, dtype=torch.int64)
        write(table)
        self.widths = table.tolist()


def in_turn(table):
    for row in range(3):
        for column in range(-4, 0):
            table[row, column] = 2 * row - column


def in_a_view(table):
    table[1][2] = 7
    table.T[3, 0] = 5


def as_a_fraction(table):
    table[2, 2] = 3.7


def all_alike(table):
    table[1] = 6
    table[:, 3] = 2


def past_its_end(table):
    table[3, 0] = 1


def written_between_reads(table):
    row = table[0]
    table[0, 1] = 4
    row[2] = row[1].item() + 1
    table[0, 3] = row[2]


@pytest.mark.parametrize(
    "write",
    [in_turn, in_a_view, as_a_fraction, all_alike, past_its_end, written_between_reads],
    ids=lambda one: one.__name__,
)
def test_a_table_that_a_constructor_writes_holds_what_it_holds_on_cpu(write):
    try:
        expected = Table(write).widths
    except IndexError:
        with pytest.raises(IndexError):
            build_anyhow(lambda: Table(write))
    else:
        assert build_anyhow(lambda: Table(write)).model.widths == expected
