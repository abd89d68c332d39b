"""Models as people write them: none of `unusual.py` is warned of; each of `wrong.py` is, at a line marked WRONG."""

import inspect

import pytest
from mixing import unusual, wrong
from torch import nn

from vit_trace.diagnose.diagnose import diagnosed
from vit_trace.diagnose.resolve import targeted
from vit_trace.targets.complaints import contained
from vit_trace.targets.request import Request

QUICK = ("ToMe", "SimMIM", "FNet", "ShiftedWindows", "SlotAttention", "PixelShuffleSR")
MISSED = {
    "NormTokens": "LayerNorm over tokens is what some mixers want",
    "HeadTokens": "a linear layer over tokens is what mixers want",
    "ResidualNorm": "a residual less is a model of its own",
    "WindowReshape": "strips of tokens are windows, too",
    "DropPathTokens": "noise in evaluation mode may be meant",
    "CrossSelf": "said where the queries begin",
    "CrossSwapped": "said where the queries are read",
    "KeysTwice": "said where the values are made that nothing reads",
    "PosBeforeCls": "two rows of a table may be meant to be one",
    "MaeUnshuffle": "not looked for: the order of random patches",
    "RotaryAxis": "not looked for: angles along another axis",
    "PixelShuffleOrder": "not looked for: the order of pixels in an output",
    "SpatialTwice": "the copy has too few patches",
    "ColumnTokens": "rows and columns of a square map may be exchanged",
    "AttnNoSum": "not looked for: weights that nothing sums",
}
"""Wrong models that no warning points at -> why."""


def models(module):
    """The models of a file: those that nothing else of it holds."""
    classes = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, nn.Module)]
    return [one for one in classes if one.__module__ == module.__name__ and one.__name__ not in module.PARTS]


def warnings(module, model):
    size = inspect.signature(model).parameters.get("image_size")
    height, width = size.default if size and isinstance(size.default, tuple) else (size.default if size else 32,) * 2
    argument = list(inspect.signature(model.forward).parameters)[1]
    given = module.INPUTS.get(model.__name__, (f"{argument}=2x3x{height}x{width}",))
    with contained():
        trace = diagnosed(targeted(f"{module.__file__}:{model.__name__}", Request(inputs=tuple(given))))
    assert trace.failure is None
    return [one for one in trace.diagnostics if one.severity == "warning" or one.code == "not-looked-for"]


def case(model, quick):
    return pytest.param(model, id=model.__name__, marks=[pytest.mark.slow] * (model.__name__ not in quick))


@pytest.mark.parametrize("model", [case(one, QUICK) for one in models(unusual)])
def test_an_unusual_model_gets_no_warning(model):
    assert warnings(unusual, model) == []


FOUND_QUICKLY = ("MaskDropped", "MaePatchOrder", "UnpatchifyTransposed", "GridSwapped", "DropResult")


@pytest.mark.parametrize("model", [case(one, FOUND_QUICKLY) for one in models(wrong)])
def test_a_wrong_model_is_found(model):
    source, start = inspect.getsourcelines(model)
    lines = [at for at, line in enumerate(source, start) if "# WRONG" in line]
    hit = any(one.span is not None and one.span.line in lines for one in warnings(wrong, model))
    assert hit == (model.__name__ not in MISSED), MISSED.get(model.__name__)
