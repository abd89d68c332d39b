"""Models as people write them: none of `unusual*.py` is warned of; each of `wrong*.py` is, at a line marked WRONG."""

import inspect

import pytest
from mixing import unusual, unusual_again, wrong, wrong_again
from torch import nn

from vit_trace.diagnose.diagnose import diagnosed
from vit_trace.diagnose.resolve import targeted
from vit_trace.targets.complaints import contained
from vit_trace.targets.request import Request

QUICK = (
    "NetVlad",
    "CausalLast",
    "TwoTowers",
    "Tubelets",
    "ShiftMlp",
    "MaskHeads",
    "ToMe",
    "SimMIM",
    "FNet",
    "ShiftedWindows",
    "SlotAttention",
    "PixelShuffleSR",
)
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
    "RotaryAxis": "not looked for: angles along another axis",
    "PixelShuffleOrder": "not looked for: the order of pixels in an output",
    "SpatialTwice": "the copy has too few patches",
    "MaeUnpatchify": "not looked for: the order of pixels in an output",
    "ClassesSoftmax": "softmax over tokens is what spans and key points want",
    "CrossKeysQueries": "said where the queries begin",
    "ColumnTokens": "rows and columns of a square map may be exchanged",
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


def case(module, model, quick):
    return pytest.param(module, model, id=model.__name__, marks=[pytest.mark.slow] * (model.__name__ not in quick))


def cases(quick, *modules):
    return [case(module, one, quick) for module in modules for one in models(module)]


@pytest.mark.parametrize(("module", "model"), cases(QUICK, unusual, unusual_again))
def test_an_unusual_model_gets_no_warning(module, model):
    assert warnings(module, model) == []


FOUND_QUICKLY = ("MaskDropped", "MaePatchOrder", "UnpatchifyTransposed", "GridSwapped", "DropResult", "MaeGather")


@pytest.mark.parametrize(("module", "model"), cases(FOUND_QUICKLY, wrong, wrong_again))
def test_a_wrong_model_is_found(module, model):
    source, start = inspect.getsourcelines(model)
    lines = [at for at, line in enumerate(source, start) if "# WRONG" in line]
    hit = any(one.span is not None and one.span.line in lines for one in warnings(module, model))
    assert hit == (model.__name__ not in MISSED), MISSED.get(model.__name__)
