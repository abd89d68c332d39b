"""Python files whose models lie, raise, tamper with the process or are no models."""

# ruff: noqa: E501  # one line is one model

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case

HEAD = """
import atexit, contextlib, gc, logging, os, random, signal, sys, threading, time, types, warnings
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
import torch
from torch import nn


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 16, 16)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))

"""
BODIES = {
    "__getattr__ that answers all": "    def __getattr__(self, name):\n        return super().__getattr__(name) if name.startswith('_') or name in ('conv', 'head') else 7",
    "__getattribute__ that raises for names": "    def __getattribute__(self, name):\n        if name == 'named_children': raise RuntimeError(name)\n        return super().__getattribute__(name)",
    "__repr__ that raises": "    def __repr__(self): raise RuntimeError('no')",
    "__repr__ of control characters": "    def __repr__(self): return '\\x1b[2J\\n' * 9",
    "__repr__ of 10 MB": "    def __repr__(self): return 'x' * 10**7",
    "extra_repr that raises": "    def extra_repr(self): raise KeyError('no')",
    "__str__ that raises": "    def __str__(self): raise SystemExit(4)",
    "__len__ and __bool__": "    def __len__(self): return 0\n    def __bool__(self): raise ValueError('no truth')",
    "__eq__ that raises": "    def __eq__(self, other): raise ValueError('no equal')\n    __hash__ = nn.Module.__hash__",
    "__class__ that lies": "    @property\n    def __class__(self): return dict",
    "__del__ that prints": "    def __del__(self): print('gone')",
    "__del__ that raises": "    def __del__(self): raise ValueError('gone')",
    "state_dict that raises": "    def state_dict(self, *a, **k): raise ValueError('no state')",
    "train that raises": "    def train(self, mode=True): raise ValueError('no train')",
    "__deepcopy__ that raises": "    def __deepcopy__(self, memo): raise ValueError('no copy')",
    "training as a property": "    training = property(lambda self: True, lambda self, value: None)",
    "forward with a default": "    def forward(self, x=None, *more, flag: 'int' = 3, **named): return super().forward(x)",
}
"""Methods of the class; the model traces."""

FORWARDS = {
    "itself": "return self",
    "None": "super().forward(x)",
    "a dict": "return {'a': super().forward(x), 'b': None, 3: [x]}",
    "a huge dict": "y = super().forward(x); return {i: y for i in range(10_000)}",
    "a list that holds itself": "y = [x]; y.append(y); return y",
    "a dict that holds itself": "y = {'x': x}; y['y'] = y; return y",
    "a deep list": "y = x\n        for _ in range(5_000): y = [y]\n        return y",
    "a generator": "yield super().forward(x)",
    "an iterator": "return iter([super().forward(x)])",
    "a namedtuple": "return namedtuple('Out', 'a b')(super().forward(x), x)",
    "a dataclass": "return Out(super().forward(x), None)",
    "a UserDict": "return UserDict(a=super().forward(x))",
    "a mapping that lies": "return Lying(a=super().forward(x))",
    "a subclass of Tensor": "return super().forward(x).as_subclass(Mine)",
    "a number": "return 3",
    "a numpy array": "import numpy; return numpy.zeros(3)",
    "a module": "return nn.Linear(2, 2)",
    "a set": "return {1, 2}",
    "a key with a line end": "return {'a\\n\\x1b[31mb': super().forward(x)}",
    "a key of 10 MB": "return {'x' * 10**7: super().forward(x)}",
    "a coroutine": "async def later(): return x\n        return later()",
}
"""What forward returns; the model traces."""

RAISES = {
    "an exception with a lying text": "class E(Exception):\n            def __str__(self): raise ValueError('no')\n        raise E",
    "an exception with an escape": "raise ValueError('\\x1b[2J\\r\\nsecond')",
    "an exception of 10 MB": "raise ValueError('x' * 10**7)",
    "an exception group": "raise ExceptionGroup('two', [ValueError('a'), TypeError('b')])",
    "an exception with a cycle": "a, b = ValueError('a'), ValueError('b'); a.__cause__ = b; b.__cause__ = a\n        raise a",
    "an exception that cannot be copied": "class E(Exception):\n            def __init__(self, a, b): super().__init__(a)\n            def __reduce__(self): raise ValueError\n        raise E(1, 2)",
    "a string": "raise 'no'",
    "StopIteration": "raise StopIteration",
    "MemoryError": "raise MemoryError",
    "BrokenPipeError": "raise BrokenPipeError(32, 'pipe')",
    "KeyError": "{}['a']",
    "OSError": "open('/no/such/file')",
    "no space": "raise OSError(28, 'No space left on device')",
    "a deep recursion": "f = lambda n: f(n + 1)\n        f(0)",
    "an assertion": "assert x.shape[0] == 77, 'only 77'",
    "an attribute of diagnostics": "e = ValueError('mine'); e.diagnostics = ('a', 'b'); raise e",
    "an attribute of format_message": "e = ValueError('mine'); e.format_message = lambda: 1; e.ctx = 3; raise e",
    "a hook that raises": "self.head.register_forward_hook(lambda *a: 1 / 0)\n        return self.head(self.conv(x).mean((2, 3)))",
    "a pre-hook that raises": "self.head.register_forward_pre_hook(lambda *a: 1 / 0)\n        return self.head(self.conv(x).mean((2, 3)))",
}
"""What forward raises."""

CONSTRUCTORS = {
    "prints": "print('hello', flush=True); os.write(1, b'raw\\n'); os.system('echo child')",
    "prints 10 MB": "print('x' * 10**7)",
    "warns": "warnings.warn('mine')",
    "logs": "logging.basicConfig(level=0, stream=sys.stdout, force=True); logging.error('mine')",
    "replaces stdout": "sys.stdout = open(os.devnull, 'w')",
    "closes stdout": "sys.stdout.close()",
    "deletes stdout": "del sys.stdout",
    "closes descriptor 1": "os.close(1)",
    "replaces print": "import builtins; builtins.print = None",
    "replaces sys.excepthook": "sys.excepthook = lambda *a: print('hooked')",
    "sets a trace": "sys.settrace(lambda *a: None)",
    "sets a profile": "sys.setprofile(lambda *a: None)",
    "sets signals": "[signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]",
    "sets an alarm": "signal.setitimer(signal.ITIMER_REAL, 60)",
    "leaves a daemon": "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    "prints in a thread": "threading.Thread(target=print, args=('thread',)).start()",
    "registers an exit": "atexit.register(lambda: print('bye'))",
    "sets a device": "torch.set_default_device('cpu')",
    "sets the meta device": "torch.set_default_device('meta')",
    "sets a dtype": "torch.set_default_dtype(torch.float16); torch.set_default_dtype(torch.float32)",
    "turns off gradients": "torch.set_grad_enabled(False); torch.autograd.set_detect_anomaly(True)",
    "sets threads and seeds": "torch.set_num_threads(1); torch.manual_seed(7); random.seed(7); torch.use_deterministic_algorithms(True)",
    "changes directory": "os.chdir('/')",
    "changes the environment": "os.environ.clear()",
    "changes the mask": "os.umask(0o777)",
    "turns off the collector": "gc.disable(); gc.set_threshold(0)",
    "sets the recursion limit": "sys.setrecursionlimit(200)",
    "sets a large recursion limit": "sys.setrecursionlimit(10**6)",
    "takes modules": "[sys.modules.pop(one) for one in list(sys.modules) if one.startswith(('vit_trace.render', 'json', 'rich'))]",
    "replaces torch functions": "torch.relu = None; torch.Tensor.sum = None; nn.functional.linear = nn.functional.linear",
    "replaces Module.__call__": "nn.Module.__call__ = nn.Module._call_impl",
    "uses faulthandler": "import faulthandler; faulthandler.enable(); faulthandler.dump_traceback_later(500)",
    "names with line ends": "self.add_module('a\\n\\x1b[31mb', nn.Linear(2, 2)); self.register_parameter('p\\tq', nn.Parameter(torch.zeros(2)))",
    "names of 100,000 characters": "self.add_module('x' * 10**5, nn.Linear(2, 2))",
    "an empty name": "self._modules[''] = nn.Linear(2, 2)",
    "a module that holds itself": "self.me = self",
    "modules in a circle": "self.a, self.b = nn.Sequential(), nn.Sequential(); self.a.append(self.b); self.b.append(self.a)",
    "a child that is None": "self.nothing = None; self.register_module('none', None)",
    "a parameter that is none": "self._parameters['odd'] = None; self.register_buffer('none', None)",
    "a shared layer": "self.again = self.head; self.more = nn.ModuleList([self.conv] * 50)",
    "a class of 10,000 characters": "type(self).__name__ = 'X' * 10**4",
    "a class with an escape": "type(self).__qualname__ = type(self).__name__ = 'a\\x1b[2Jb'",
    "locks": "self.lock = threading.Lock()",
    "an open file": "self.file = open(__file__)",
    "forks": "pid = os.fork()\n        os._exit(0) if not pid else os.waitpid(pid, 0)",
}
"""What a constructor may do and the model still traces."""

REFUSED = {
    "__hash__ that raises": ("    def __hash__(self): raise ValueError('no hash')", "build-failed"),
    "parameters that raises": ("    def parameters(self, recurse=True): raise ValueError('none')", "model-raised"),
    "closed descriptors": ("    def forward(self, x): os.closerange(3, 256)", "cannot-write"),
    "a name that is a number": (
        "    def __init__(self):\n        super().__init__()\n        self._modules[7] = nn.Linear(2, 2)",
        "build-failed",
    ),
}
"""Methods of a class that cannot be looked at, and the code of the refusal."""

LEAVES = {
    "os._exit": ("os._exit(7)", 7),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    "abort": ("os.abort()", -6),
}
"""What ends the process: nobody can answer."""

FILES: dict[str, tuple[bytes, int, str]] = {
    "a syntax error": (b"class Net(:\n", 2, "m.py:1"),
    "tabs and spaces": (b"if 1:\n\tx = 1\n        y = 2\n", 2, "not-python"),
    "a null byte": (b"x = 1\0\n", 2, "not-python"),
    "Latin-1": ("x = 'é'\n".encode("latin-1"), 2, "not-python"),
    "an encoding that is none": (b"# -*- coding: nonesuch -*-\nx = 1\n", 2, "not-python"),
    "UTF-16": ("x = 1\n".encode("utf-16"), 2, "not-python"),
    "a BOM": (
        b"\xef\xbb\xbffrom torch import nn\nclass Net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 8, 16)\n",
        0,
        "output",
    ),
    "no such name": (b"x = 1\n", 2, "no-such-name"),
    "an empty file": (b"", 2, "no-such-name"),
    "a number": (b"Net = 3\n", 2, "not-a-model"),
    "a module": (b"import torch.nn as Net\n", 2, "not-a-model"),
    "a function that returns None": (b"def Net(): pass\n", 2, "not-a-model"),
    "a function that returns a class": (b"from torch import nn\ndef Net(): return nn.Linear\n", 2, "not-a-model"),
    "a generator function": (b"def Net(): yield 1\n", 2, "not-a-model"),
    "a coroutine function": (b"async def Net(): pass\n", 2, "not-a-model"),
    "arguments that are needed": (
        b"from torch import nn\nclass Net(nn.Module):\n    def __init__(self, dim, *, heads): pass\n",
        2,
        "--set dim",
    ),
    "an abstract class": (
        b"import abc\nfrom torch import nn\nclass Net(nn.Module, abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\n",
        2,
        "abstract",
    ),
    "no super().__init__": (
        b"from torch import nn\nclass Net(nn.Module):\n    def __init__(self): self.a = nn.Linear(1, 1)\n",
        2,
        "build-failed",
    ),
    "no forward": (b"from torch import nn\nclass Net(nn.Module): pass\n", 1, "error["),
    "a failing import": (b"import no_such_module\n", 2, "import-failed"),
    "an exit at import": (b"import sys; sys.exit(0)\n", 2, "import-failed"),
    "an error at import": (b"1 / 0\n", 2, "m.py:1"),
    "a relative import": (b"from . import other\n", 2, "import-failed"),
    "an import of itself": (
        b"import m\nfrom torch import nn\nclass Net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 8, 16)\n",
        0,
        "output",
    ),
    "the network at import": (
        b"import urllib.request; urllib.request.urlopen('http://example.org')\n",
        2,
        "needs-download",
    ),
    "a deep expression": (b"x = " + b"(" * 5000 + b")" * 5000 + b"\n", 2, "error["),
    "a large expression": (b"x = " + b"-" * 100_000 + b"1\n", 2, "error["),
    "a __getattr__": (b"def __getattr__(name): raise RuntimeError(name)\n", 2, "error["),
    "a metaclass that lies": (
        b"class M(type):\n    def __call__(cls): return cls\nclass Net(metaclass=M): pass\n",
        2,
        "not-a-model",
    ),
    "a signature that raises": (
        b"class Net:\n    __signature__ = property(lambda self: 1 / 0)\n    def __call__(self): return 3\nNet = Net()\n",
        2,
        "error[",
    ),
    "itself from sys.modules": (
        b"import sys\ndel sys.modules[__name__]\nfrom torch import nn\nclass Net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 8, 16)\n",
        0,
        "output",
    ),
    "nested 2,000 deep": (
        b"from torch import nn\ndef Net():\n    net = nn.Conv2d(3, 8, 16)\n    for _ in range(2000): net = nn.Sequential(net)\n    return net\n",
        2,
        "RecursionError",
    ),
}
"""Whole files."""

OUT = """
@dataclass
class Out:
    logits: object
    loss: object
class Lying(dict):
    def keys(self): raise ValueError('keys')
    def items(self): raise ValueError('items')
    def __iter__(self): raise ValueError('iter')
class Mine(torch.Tensor):
    pass
"""


def _class(body: str) -> Callable[[Path], None]:
    """Writes m.py, whose class Net has a body."""
    return _file(f"{HEAD}{OUT}\nclass Net(Base):\n{body}\n".encode())


def _file(content: bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "m.py").write_bytes(content)

    return prepare


def _forward(text: str) -> Callable[[Path], None]:
    return _class(f"    def forward(self, x):\n        {text}")


def _constructor(text: str) -> Callable[[Path], None]:
    return _class(f"    def __init__(self):\n        super().__init__()\n        {text}")


RUN = ("m.py:Net", "--input", "2x3x32x32", "--format", "json")

CASES = [
    *(Case(f"a model with {name}", RUN, 0, '"vit-trace/1"', _class(body), json=True) for name, body in BODIES.items()),
    *(
        Case(f"forward gives {name}", RUN, 0, '"vit-trace/1"', _forward(text), json=True)
        for name, text in FORWARDS.items()
    ),
    *(Case(f"forward raises {name}", RUN, 1, '"failure"', _forward(text), json=True) for name, text in RAISES.items()),
    *(
        Case(f"constructor {name}", RUN, 0, '"vit-trace/1"', _constructor(text), json=True, alone="close()" in text)
        for name, text in CONSTRUCTORS.items()
    ),
    *(
        Case(
            f"forward {name}",
            RUN,
            0,
            '"vit-trace/1"',
            _forward(
                f"if self.training is False:\n            {text.replace(chr(10), chr(10) + '    ')}\n        return super().forward(x)"
            ),
            json=True,
            alone="close()" in text,
        )
        for name, text in CONSTRUCTORS.items()
        if "self." not in text and "type(" not in text
    ),
    *(Case(f"a model with {name}", RUN, 2, code, _class(body)) for name, (body, code) in REFUSED.items()),
    *(
        Case(f"constructor leaves by {name}", RUN, code, "", _constructor(text))
        for name, (text, code) in LEAVES.items()
    ),
    *(
        Case(f"a file with {name}", ("m.py:Net", "--input", "2x3x32x32"), code, says, _file(content))
        for name, (content, code, says) in FILES.items()
    ),
]
