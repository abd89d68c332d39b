"""Shape rules against torch: a rule says NotImplemented or what torch on meta says; where torch raises it never speaks.

Every function that has a rule is called with drawn arguments (helpers/shape_calls.py); where CPU can run the call, it
is compared too. Strides of dims of size 1 are left out: no view depends on them.
"""

import textwrap
from contextlib import nullcontext
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.commands import python_process
from helpers.shape_calls import FAMILIES, Drawer, T
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import init
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vit_trace.record.meta import answer as shapes

pytestmark = pytest.mark.filterwarnings("ignore")

# where torch's meta device itself lays the result out otherwise than its CPU does; the rules follow meta
META_LAYOUT = ("conv", "attention", "group_norm", "batch_norm", "roll", "activation", "stack", "where")


def made(value: Any, device: str) -> Any:
    if isinstance(value, T):
        return value.make(device)
    if isinstance(value, (list, tuple)):
        return type(value)(made(each, device) for each in value)
    return {name: made(each, device) for name, each in value.items()} if isinstance(value, dict) else value


def holds_tensor(value: Any) -> bool:
    return isinstance(value, T) or (isinstance(value, list | tuple) and any(map(holds_tensor, value)))


def strides(tensor: torch.Tensor) -> list[int]:
    return [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size != 1]


def facts(result: Any, args: Any, layout: bool = True) -> Any:
    """What a rule has to get right, and whether the result is one of the arguments."""
    same = [index for index, arg in enumerate(args) if arg is result]
    kept = strides(result) if layout and result.numel() else None
    return type(result), tuple(result.shape), result.dtype, kept, result.requires_grad, same


def torch_says(function: Any, call: Any, device: str, layout: bool) -> Any:
    args, kwargs = made(call, device)
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        return error
    return (facts(result, args, layout), str(result.device)) if isinstance(result, torch.Tensor) else result


def agrees(function: Any, call: Any, layout_on_cpu: bool = True) -> bool:
    """Whether the rule answers; fails where the answer is not torch's."""
    args, kwargs = made(call, "meta")
    answer = shapes.answer(function, args, kwargs)
    if answer is NotImplemented:
        return False
    expected = torch_says(function, call, "meta", layout=True)
    assert (facts(answer, args), str(answer.device)) == expected, (function, call, expected)
    if "device" in call[1] or not holds_tensor(call):
        return True  # has no other place to be
    real = torch_says(function, call, "cpu", layout_on_cpu)
    if not isinstance(real, RuntimeError) or "not implemented for" not in str(real):
        assert (facts(answer, args, layout_on_cpu), "cpu") == real, (function, call, real)
    return True


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_rule_says_what_torch_says(family: str, data: st.DataObject) -> None:
    functions, draw = FAMILIES[family]
    drawer = Drawer(data)
    function = drawer.pick(*functions)
    call = draw(drawer)
    with torch.no_grad() if not drawer.chance(4) else nullcontext(), torch.device(drawer.pick("meta", "cpu", "meta")):
        agrees(function, call, not family.startswith(META_LAYOUT))


RECURRENT = {torch.rnn_tanh: nn.RNN, torch.rnn_relu: nn.RNN, torch.gru: nn.GRU, torch.lstm: nn.LSTM}


@pytest.mark.parametrize("function", RECURRENT)
@pytest.mark.parametrize("layers, biases, batch_first", product((1, 3), (True, False), (True, False)))
@pytest.mark.parametrize("more", [{}, {"bidirectional": True}, {"proj_size": 3}], ids=str)
@torch.no_grad()
def test_a_recurrent_layer_gives_what_torchs_gives(function, layers, biases, batch_first, more):
    if "proj_size" in more and function is not torch.lstm:
        pytest.skip("only an LSTM projects")
    if function is torch.rnn_relu:
        more = {**more, "nonlinearity": "relu"}
    results = []
    for device in ("cpu", "meta"):
        layer = RECURRENT[function](6, 5, layers, bias=biases, batch_first=batch_first, device=device, **more).eval()
        call = Call()
        with call:
            out, states = layer(torch.rand(4, 7, 6, device=device))
        results.append([facts(one, ()) for one in (out, *(states if isinstance(states, tuple) else (states,)))])
    assert call.func is function
    answer = shapes.answer(function, call.args)
    assert results == [[facts(one, ()) for one in answer]] * 2
    for place in range(len(call.args[2])):  # torch's own does not look, and reads what is not there
        wrong = [torch.empty(11, 13, device="meta") if at == place else one for at, one in enumerate(call.args[2])]
        assert shapes.answer(function, (*call.args[:2], wrong, *call.args[3:])) is NotImplemented


class Call(TorchFunctionMode):
    """Keeps the last call of a recurrent layer's function."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in RECURRENT:
            self.func, self.args = func, args
        return func(*args, **(kwargs or {}))


def test_every_rule_is_tested() -> None:
    tested = {function for functions, _ in FAMILIES.values() for function in functions}
    assert set(shapes.RULES) - tested - RECURRENT.keys() == set()


X, Y, Z = T((5, 16, 65, 64)), T((5, 65, 1024)), T((5, 3, 32, 48))
SMALL, WEIGHT, BIAS, MASK = T((2, 3)), T((2, 1024)), T((1024,)), T((65, 65), torch.bool)
LONG = T((3,), torch.int64, kind="index")
KEY = T((5, 16, 65, 64), order=(0, 2, 1, 3))
FILTER = T((8, 3, 16, 16))

# calls that a ViT makes all the time: a rule that declines one brings the compiler back
ANSWERED: list[tuple[Any, list[Any], dict[str, Any]]] = [
    (F.linear, [Y, WEIGHT, T((2,))], {}),
    (F.linear, [T((5, 65, 1024), order=(1, 0, 2)), WEIGHT], {}),
    (torch.matmul, [X, T((5, 16, 64, 65), order=(0, 1, 3, 2))], {}),
    (torch.Tensor.matmul, [KEY, T((64, 64))], {}),
    (torch.bmm, [Y, T((5, 1024, 7))], {}),
    (torch.baddbmm, [T((1, 65, 7)), Y, T((5, 1024, 7))], {}),
    (torch.addmm, [T((3,)), T((4, 2)), SMALL], {}),
    (torch.einsum, ["b h i d, b h j d -> b h i j", X, KEY], {}),
    (F.scaled_dot_product_attention, [KEY, KEY, KEY], {"attn_mask": MASK, "dropout_p": 0.0, "is_causal": False}),
    (torch.conv2d, [Z, FILTER, T((8,)), (16, 16), (0, 0), (1, 1), 1], {}),
    (torch.conv2d, [T((2, 8, 14, 14), order=(0, 2, 3, 1)), T((8, 1, 3, 3)), None, 1, "same", 1, 8], {}),
    (torch.conv1d, [T((2, 8, 14)), T((8, 8, 3))], {}),
    (torch.conv3d, [T((1, 3, 16, 32, 32)), T((8, 3, 2, 16, 16)), T((8,)), (2, 16, 16)], {}),
    (torch.conv_transpose2d, [Z, T((3, 4, 2, 2)), T((4,)), 2], {}),
    (torch.cat, [(T((5, 1, 1024), expanded=(0,)), Y)], {"dim": 1}),
    (torch.stack, [[Y, T((5, 65, 1024), order=(1, 0, 2))]], {"dim": 0}),
    (torch.Tensor.add, [Y, T((1, 65, 1024))], {}),
    (torch.Tensor.add, [Y, 1], {}),
    (torch.Tensor.add_, [Y, T((1, 65, 1024))], {}),
    (torch.Tensor.mul, [KEY, 0.125], {}),
    (torch.Tensor.mul, [T((5, 65, 1024), torch.float16), T((1, 65, 1024), torch.float16)], {}),
    (torch.Tensor.sub, [Y, Y], {}),
    (torch.Tensor.__rsub__, [Y, 1.0], {}),
    (torch.Tensor.div, [KEY, 8.0], {}),
    (torch.Tensor.pow, [Y, 2], {}),
    (torch.Tensor.__rpow__, [BIAS, 10000], {}),
    (torch.Tensor.gt, [Y, 0], {}),
    (torch.Tensor.__and__, [MASK, MASK], {}),
    (torch.Tensor.__invert__, [MASK], {}),
    (torch.Tensor.neg, [KEY], {}),
    (torch.where, [MASK, T((65, 65)), 0.0], {}),
    (torch.Tensor.masked_fill, [T((5, 65, 65)), MASK, -float("inf")], {}),
    (F.gelu, [Y], {"approximate": "tanh"}),
    (F.relu, [Y], {"inplace": True}),
    (F.silu, [KEY], {}),
    (F.hardswish, [Y], {}),
    (torch.Tensor.sigmoid, [Y], {}),
    (torch.Tensor.clamp, [Y], {"max": 1.0}),
    (F.dropout, [Y, 0.1, True, False], {}),
    (F.dropout, [Y, 0.1, False, False], {}),
    (F.softmax, [X, -1], {"_stacklevel": 5, "dtype": None}),
    (torch.Tensor.softmax, [KEY], {"dim": -1, "dtype": torch.float32}),
    (F.layer_norm, [Y, (1024,)], {"weight": BIAS, "bias": BIAS, "eps": 1e-6}),
    (F.rms_norm, [Y, (1024,), BIAS, 1e-6], {}),
    (F.group_norm, [Z, 3, T((3,)), T((3,))], {}),
    (F.batch_norm, [Z, T((3,)), T((3,)), T((3,)), T((3,)), False, 0.1, 1e-5], {}),
    (F.normalize, [KEY], {"dim": -1}),
    (torch.Tensor.norm, [X], {"dim": -1, "keepdim": True}),
    (torch.Tensor.mean, [Y, 1], {}),
    (torch.Tensor.mean, [Z, (2, 3)], {"keepdim": True}),
    (torch.Tensor.sum, [Y], {"dim": -1}),
    (torch.Tensor.amax, [Y, 1], {}),
    (torch.Tensor.var, [Y, 1], {}),
    (torch.Tensor.argmax, [Y, -1], {}),
    (torch.Tensor.cumsum, [MASK, 0], {"dtype": torch.float32}),
    (torch.Tensor.argsort, [Y], {"dim": 1}),
    (torch.Tensor.gather, [Y], {"dim": 1, "index": T((5, 3, 1024), torch.int64, kind="index")}),
    (torch.Tensor.contiguous, [KEY], {}),
    (torch.Tensor.reshape, [KEY, 5, -1], {}),
    (torch.Tensor.flatten, [KEY, 1], {}),
    (torch.Tensor.__getitem__, [T((9, 16)), T((4, 4), torch.int64, kind="index")], {}),
    (torch.Tensor.__getitem__, [Y, (slice(None), LONG)], {}),
    (F.embedding, [LONG, T((9, 16)), None, None, 2.0, False, False], {}),
    (torch.roll, [Z], {"shifts": (-3, -3), "dims": (1, 2)}),
    (torch.Tensor.flip, [Z, 1], {}),
    (torch.Tensor.repeat, [BIAS, 2, 1], {}),
    (torch.Tensor.repeat_interleave, [Y, 2, 0], {}),
    (F.max_pool2d, [Z, 3, 2, 1], {"ceil_mode": False, "return_indices": False}),
    (F.avg_pool2d, [Z, 2, 2], {}),
    (F.adaptive_avg_pool2d, [Z, 1], {}),
    (F.adaptive_avg_pool1d, [T((2, 8, 14)), 1], {}),
    (F.unfold, [Z, 2], {"stride": 2}),
    (F.interpolate, [T((1, 768, 14, 14), order=(0, 2, 3, 1))], {"size": (16, 16), "mode": "bicubic"}),
    (F.interpolate, [Z], {"scale_factor": 2.0, "mode": "bilinear", "align_corners": False}),
    (torch.randn, [1, 65, 1024], {}),
    (torch.zeros, [1, 65], {}),
    (torch.empty, [(2, 3)], {"device": None, "dtype": None}),
    (torch.arange, [14], {"dtype": torch.float32}),
    (torch.zeros_like, [Y], {}),
    (torch.randn_like, [Y], {}),
    (torch.Tensor.normal_, [BIAS], {"std": 0.02}),
    (torch.Tensor.uniform_, [BIAS, -0.1, 0.1], {}),
    (torch.Tensor.erfinv_, [BIAS], {}),
    (torch.Tensor.clamp_, [BIAS], {"min": -2.0, "max": 2.0}),
    (init.kaiming_uniform_, [WEIGHT], {"a": 5**0.5}),
    (init.uniform_, [BIAS, -0.1, 0.1], {}),
]  # fmt: skip


@pytest.mark.parametrize("row", ANSWERED, ids=lambda row: getattr(row[0], "__name__", "function"))
def test_what_is_common_is_answered(row: Any) -> None:
    function, args, kwargs = row
    layout_on_cpu = function not in (F.scaled_dot_product_attention, torch.conv2d)
    with torch.no_grad(), torch.device("meta"):
        assert agrees(function, (args, kwargs), layout_on_cpu)


DECLINED: list[tuple[Any, list[Any], dict[str, Any]]] = [
    (torch.Tensor.view, [Y, 5, -1], {}),  # has no rule
    (F.linear, [Y, T((2, 1023))], {}),
    (torch.matmul, [SMALL, SMALL], {}),
    (torch.cat, [(SMALL, WEIGHT)], {}),
    (torch.Tensor.add, [SMALL, T((4,))], {}),
    (torch.add, [SMALL, SMALL], {"out": SMALL}),
    (torch.Tensor.add, [T((2, 3), kind="subclass"), SMALL], {}),
    (torch.Tensor.add, [T((2, 3), kind="cpu"), T((2, 3), kind="cpu")], {}),
    (torch.Tensor.add_, [T((2, 3), kind="parameter"), SMALL], {}),
    (torch.Tensor.add_, [T((2, 3), expanded=(0,)), SMALL], {}),
    (torch.linspace, [0, 1, 5], {"device": "cpu"}),
    (torch.zeros, [2], {"device": "cpu"}),
    (F.dropout, [SMALL, 1.5], {}),
    (F.softmax, [SMALL, 2], {}),
    (torch.Tensor.item, [T(())], {}),
]


@pytest.mark.parametrize("row", DECLINED, ids=lambda row: getattr(row[0], "__name__", "function"))
def test_what_is_uncertain_is_left_to_torch(row: Any) -> None:
    function, args, kwargs = row
    with torch.device("meta"):
        assert shapes.answer(function, *made((args, kwargs), "meta")) is NotImplemented


def test_a_factory_is_answered_only_where_torch_would_answer_on_meta() -> None:
    assert shapes.answer(torch.randn, (2,), {}) is NotImplemented
    with torch.device("meta"):
        assert shapes.answer(torch.randn, (2,), {}).is_meta
        with torch.device("cpu"):
            assert shapes.answer(torch.randn, (2,), {}) is NotImplemented


def test_others_that_want_to_see_the_call_see_it() -> None:
    x = SMALL.make("meta")
    with TorchDispatchMode():
        assert shapes.answer(F.gelu, (x,), {}) is NotImplemented
    batched = []
    torch.func.vmap(lambda row: batched.append(shapes.answer(F.gelu, (row,), {})) or row)(x)
    assert batched == [NotImplemented]


class Rules(TorchFunctionMode):
    """The recorder's use of the rules, bare."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = shapes.answer(func, args, kwargs)
        return func(*args, **(kwargs or {})) if answer is NotImplemented else answer


def test_a_model_under_rules_gives_what_torch_gives() -> None:
    with torch.device("meta"), torch.no_grad():
        layer = torch.nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True).train()
        x = torch.empty(2, 7, 32)
        expected = facts(layer(x), [])
        with Rules():
            assert facts(layer(x), []) == expected


def test_building_and_running_a_vit_leaves_the_compiler_out() -> None:
    script = """
        import sys
        import torch
        from torch.overrides import TorchFunctionMode
        from vit_trace.record.meta import answer as shapes
        from vit_trace.vit import ViT

        class Rules(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                answer = shapes.answer(func, args, kwargs)
                return func(*args, **(kwargs or {})) if answer is NotImplemented else answer

        with torch.device("meta"), Rules() if "rules" in sys.argv else torch.no_grad():
            model = ViT(image_size=32, patch_size=8, num_classes=10, dim=64, depth=2, heads=4, mlp_dim=128)
            with torch.no_grad():
                print(tuple(model.eval()(torch.empty(2, 3, 32, 32)).shape))
        print(sorted({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)))
    """

    def run(*args: str) -> list[str]:
        done = python_process("-c", textwrap.dedent(script), *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert run("rules") == ["(2, 10)", "[]"]
    assert "sympy" in run()[1]
