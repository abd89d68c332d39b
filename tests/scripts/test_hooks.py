"""The ways into Python: hooks, notes, pytest, IPython; what a report must not hold or show."""

import gc
import sys
import threading
import weakref
from importlib.metadata import entry_points

import pytest
import torch
from torch import nn

import vit_trace
from vit_trace.scripts.explain import explanation

pytest_plugins = ["pytester"]

PLAIN = [
    "KeyError('label')",
    "FileNotFoundError('x.png')",
    "ValueError('rate must be below 1')",
    "RuntimeError('epoch failed')",
    "ZeroDivisionError()",
    "NotImplementedError('head')",
    "AssertionError()",
    "StopIteration()",
]


def failing():
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(9, 2))
    return net(torch.rand(3, 4))


@pytest.mark.parametrize("raised", PLAIN)
def test_nothing_is_said_of_what_no_shape_causes(raised):
    def work(images):
        net = nn.Linear(4, 2)
        net(images)
        raise eval(raised)

    with pytest.raises(Exception) as caught:  # several kinds
        work(torch.rand(2, 4))
    assert explanation(caught.value) is None


def test_an_error_of_a_forward_that_no_shape_causes():
    class Net(nn.Module):
        def forward(self, x):
            return {"a": x}["b"]

    with pytest.raises(KeyError) as caught:
        Net()(torch.rand(2))
    assert explanation(caught.value) is None


def test_explain_in_an_except_block_and_after():
    try:
        failing()
    except RuntimeError as error:
        found = vit_trace.explain()
        assert str(found) == str(vit_trace.explain(error))
    assert str(found).startswith("error[linear]: net.1 takes 9 features, its input 3×8 has 8")
    assert "<pre>error[linear]" in found._repr_html_()
    assert found.trace.stages[-1].module == "net.1"


def test_explaining_adds_a_note():
    with pytest.raises(RuntimeError) as caught, vit_trace.explaining():
        failing()
    assert "error[linear]" in caught.value.__notes__[0]
    with pytest.raises(KeyError) as other, vit_trace.explaining():
        {}["a"]
    assert not hasattr(other.value, "__notes__")


def test_install_and_uninstall(capsys):
    before = sys.excepthook, threading.excepthook
    vit_trace.install()
    vit_trace.install()
    try:
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError) as caught:
            failing()
        sys.excepthook(caught.type, caught.value, caught.tb)
    finally:
        vit_trace.uninstall()
    assert (sys.excepthook, threading.excepthook) == before
    err = capsys.readouterr().err
    assert err.count("error[linear]") == 2
    assert err.index("Traceback") < err.rindex("error[linear]")


def test_nothing_is_held_and_nothing_secret_is_shown():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.token = nn.Linear(9, 2), "hunter2"

        def forward(self, x):
            password = "swordfish"
            return self.layer(x), password

    net, x = Net(), torch.full((3, 8), 0.123456)
    held = weakref.ref(net), weakref.ref(x)
    try:
        net(x)
    except RuntimeError as error:
        found = explanation(error)
    text = found.text(stages=True) + found.trace.to_json().partition('"traceback"')[0]
    assert not [word for word in ("hunter2", "swordfish", "0.1234") if word in text]
    del net, x
    gc.collect()
    assert [one() for one in held] == [None, None]


def test_the_pytest_plugin(pytester):
    pytester.makepyfile("""
        import torch

        def test_right():
            assert torch.ones(1).sum() == 1

        def test_wrong():
            torch.cat([torch.rand(2, 3), torch.rand(2, 4)])

        def test_other():
            assert torch.ones(1).sum() == 2
    """)
    installed = any(one.name == "vit_trace" for one in entry_points(group="pytest11"))
    named = () if installed else ("-p", "vit_trace.scripts.pytest_plugin")
    plugin = (*named, "-n0", "-p", "no:cacheprovider")
    shown = pytester.runpytest_inprocess(*plugin).stdout.str()
    assert shown.count("error[cat]") == 1
    assert "- vit-trace -" in shown
    assert "error[cat]" not in pytester.runpytest_inprocess(*plugin, "--vit-trace=off").stdout.str()


def test_ipython(capsys):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    shell.run_line_magic("load_ext", "vit_trace")
    shell.run_cell("import torch\na, b = torch.rand(2, 3), torch.rand(2, 4)\ntorch.cat([a, b])")
    shell.run_line_magic("unload_ext", "vit_trace")
    out = capsys.readouterr().out
    assert "error[cat]: cat along axis 0: a has 3, b has 4 on axis 1" in out
    shell.run_cell("torch.cat([a, b])")
    assert "error[cat]" not in capsys.readouterr().out
