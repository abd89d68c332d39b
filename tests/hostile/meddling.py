"""Python files that meddle with the process or with torch while they are imported; classes and sources full of tricks."""

# ruff: noqa: E501  # one line is one file

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case

CLASS = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, dim, 16, 16), nn.Linear(dim, 10)
    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))
"""
IMPORTS = {
    "a fork": "import os\nif not os.fork(): os._exit(0)",
    "a thread that never ends": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    "threads that print": "import threading\nfor _ in range(20): threading.Thread(target=print, args=('x' * 1000,)).start()",
    "an exit that never ends": "import atexit, time\natexit.register(time.sleep, 600)",
    "an exit that raises": "import atexit\natexit.register(lambda: 1 / 0)",
    "an exit that leaves": "import atexit, os\natexit.register(os._exit, 9)",
    "no open": "import builtins\nbuiltins.open = None",
    "no isinstance": "import builtins\nbuiltins.isinstance = lambda *_: False",
    "no len": "import builtins\nbuiltins.len = lambda _: 0",
    "no repr": "import builtins\nbuiltins.repr = lambda _: 1 / 0",
    "no exceptions": "import builtins\nbuiltins.ValueError = builtins.KeyError = None",
    "no __import__": "import builtins\nheld = builtins.__import__\nbuiltins.__import__ = lambda name, *a, **k: held(name, *a, **k)",
    "no linecache": "import linecache\nlinecache.getline = linecache.getlines = linecache.checkcache = None",
    "no inspect": "import inspect\ninspect.signature = inspect.getsource = None",
    "no finders": "import sys\nsys.meta_path.clear(); sys.path_hooks.clear()",
    "no path": "import sys\nsys.path.clear()",
    "no modules of ours": "import sys\nfor one in [one for one in sys.modules if one.startswith('vit_trace')]: del sys.modules[one]",
    "no torch in sys.modules": "import sys, torch\nfor one in [one for one in sys.modules if one.startswith('torch.nn')]: del sys.modules[one]",
    "None in sys.modules": "import sys\nsys.modules['rich'] = sys.modules['json'] = sys.modules['math'] = None",
    "a small recursion limit": "import sys\nsys.setrecursionlimit(150)",
    "a trace function": "import sys, threading\nsys.settrace(lambda *a: 1 / 0)\nthreading.settrace(lambda *a: 1 / 0)",
    "a profile function": "import sys\nsys.setprofile(lambda *a: None)",
    "no hooks": "import sys, threading\nsys.excepthook = sys.unraisablehook = sys.displayhook = threading.excepthook = None",
    "no stdout": "import sys\nsys.stdout = None",
    "no stderr": "import sys\nsys.stderr = sys.__stderr__ = None",
    "a stdout of its own": "import sys, io\nclass Out(io.StringIO):\n    encoding = None\n    def write(self, text): raise ValueError(text)\nsys.stdout = Out()",
    "a closed descriptor": "import os\nos.close(2)",
    "signals": "import signal\nfor one in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD): signal.signal(one, signal.SIG_IGN)",
    "a signal handler that raises": "import signal, os\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)",
    "few files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))",
    "no processes": "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
    "no locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "an environment": "import os\nos.environ.update(COLUMNS='0', LINES='x', TERM='\\x1b', PAGER='false', NO_COLOR='', PYTHONHASHSEED='x')",
    "no environment": "import os\nos.environ = {}",
    "another directory that goes": "import os, tempfile\nos.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')",
    "no warnings": "import warnings\nwarnings.warn = warnings.catch_warnings = None",
    "no logging": "import logging\nlogging.disable(99); logging.Logger.handle = None; logging.lastResort = None",
    "a handler that raises": "import logging\nclass H(logging.Handler):\n    def emit(self, record): raise ValueError\nlogging.getLogger().addHandler(H()); logging.getLogger().setLevel(0)",
    "a collector's callback that raises": "import gc\ngc.callbacks.append(lambda *a: 1 / 0)\ngc.set_threshold(1)",
    "a finalizer that raises": "import weakref\nclass A: pass\na = A(); weakref.finalize(a, lambda: 1 / 0)",
    "a clock that stands": "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0",
    "an event loop": "import asyncio\nasyncio.set_event_loop(asyncio.new_event_loop())\nasyncio.run(asyncio.sleep(0))",
    "a pool": "import multiprocessing\nprint(multiprocessing.get_context('fork').Pool(1).map(abs, [1]))",
    "a question": "name = input('name? ')",
    "a debugger": "breakpoint()",
    "an argument": "import argparse\nargparse.ArgumentParser().parse_args()",
    "an argument that is needed": "import argparse\np = argparse.ArgumentParser(); p.add_argument('--data', required=True)\np.parse_args()",
    "a deep recursion": "f = lambda: f()\nf()",
    "a loop": "while True: pass",
    "a loop of numbers": "import itertools\nfor _ in itertools.count(): pass",
    "a huge number": "x = 10 ** 10_000; print(x.bit_length())",
    "a name that is a number": "globals()[7] = 1",
    "many names": "globals().update({f'name_{i}': i for i in range(200_000)})",
    "no __file__": "del __file__",
    "another __name__": "__name__ = 'torch.nn'",
    "no __spec__": "__spec__ = __loader__ = None",
    "an __all__ that is none": "__all__ = 5",
    "a __dir__ that raises": "def __dir__(): raise ValueError\ndef __getattr__(name): raise ValueError(name)",
    "its own file deleted": "import os\nos.unlink(__file__)",
    "meta as device": "import torch\ntorch.set_default_device('meta')",
    "a device that is not there": "import torch\ntorch.set_default_device('cuda')",
    "float64": "import torch\ntorch.set_default_dtype(torch.float64)",
    "no factories": "import torch\ntorch.empty = torch.zeros = torch.ones = torch.rand = None",
    "no sums": "import torch\ntorch.Tensor.__add__ = torch.Tensor.__mul__ = None",
    "no shape": "import torch\ntorch.Tensor.shape = property(lambda self: ())",
    "no repr of tensors": "import torch\ntorch.Tensor.__repr__ = torch.Tensor.__str__ = lambda self: 1 / 0",
    "another Linear": "from torch import nn\nnn.Linear = lambda a, b: nn.Conv2d(a, b, 1)",
    "no __init__": "from torch import nn\nnn.Module.__init__ = lambda self: None",
    "another __call__": "from torch import nn\nnn.Module.__call__ = lambda self, *a: self.forward(*a)",
    "another __setattr__": "from torch import nn\nnn.Module.__setattr__ = object.__setattr__",
    "a hook on all modules": "from torch.nn.modules.module import register_module_forward_hook\nregister_module_forward_hook(lambda *a: 1 / 0)",
    "a mode that stays": "from torch.overrides import TorchFunctionMode\nclass M(TorchFunctionMode):\n    def __torch_function__(self, f, t, a=(), k=None): return f(*a, **(k or {}))\nM().__enter__()",
    "a mode that raises": "from torch.overrides import TorchFunctionMode\nclass M(TorchFunctionMode):\n    def __torch_function__(self, f, t, a=(), k=None): raise ValueError('mine')\nM().__enter__()",
    "a dispatch mode that stays": "from torch.utils._python_dispatch import TorchDispatchMode\nclass M(TorchDispatchMode):\n    def __torch_dispatch__(self, f, t, a=(), k=None): return f(*a, **(k or {}))\nM().__enter__()",
    "inference mode": "import torch\ntorch.inference_mode().__enter__()",
    "no gradients": "import torch\ntorch.set_grad_enabled(False)",
    "no seeds": "import torch\ntorch.manual_seed = torch.random.fork_rng = None",
}
"""What a file does before its class Net, a sound model, is defined."""

TRICKS = {
    "a metaclass whose attributes never end": "class M(type(nn.Module)):\n    def __getattr__(cls, name): return getattr(cls, name)\nclass Net(nn.Module, metaclass=M):\n    def forward(self, x): return x",
    "a metaclass without instances": "class M(type(nn.Module)):\n    def __instancecheck__(cls, one): raise ValueError('no')\n    def __subclasscheck__(cls, one): raise ValueError('no')\nclass Net(nn.Module, metaclass=M):\n    def forward(self, x): return x",
    "attributes that never end": "class Net(nn.Module):\n    def __getattr__(self, name): return self.other\n    def forward(self, x): return x",
    "a new that gives another": "class Net(nn.Module):\n    def __new__(cls): return nn.Conv2d(3, 8, 16, 16)",
    "a new that gives None": "class Net(nn.Module):\n    def __new__(cls): return None",
    "no __init__": "class Net(nn.Module):\n    __init__ = None",
    "a forward that is a number": "class Net(nn.Module):\n    forward = 3",
    "a forward that is a property": "class Net(nn.Module):\n    forward = property(lambda self: 1 / 0)",
    "a forward that is a class": "class Net(nn.Module):\n    class forward:\n        def __init__(self, x): self.x = x",
    "a forward without arguments": "class Net(nn.Module):\n    def forward(): return 1",
    "a forward of 300 arguments": f"class Net(nn.Module):\n    def forward(self, {', '.join(f'a{i}=None' for i in range(300))}): return a0 * 2",
    "annotations that raise": "class Net(nn.Module):\n    def __init__(self, dim: '1 / 0' = 8, heads: 'no.such.name' = 2): super().__init__()\n    def forward(self, x: '(' ): return x + 1",
    "defaults that are odd": "r = []; r.append(r)\nclass Net(nn.Module):\n    def __init__(self, dim=float('nan'), heads=float('inf'), depth=10**50, a=r, b=object(), c=..., d=NotImplemented): super().__init__()\n    def forward(self, x): return x + 1",
    "a default that raises": "class Odd(int):\n    def __eq__(self, other): raise ValueError\n    def __hash__(self): raise ValueError\n    def __repr__(self): raise ValueError\n    def __mul__(self, other): raise ValueError\nclass Net(nn.Module):\n    def __init__(self, dim=Odd(8)): super().__init__()\n    def forward(self, x): return x + 1",
    "a signature that lies": "class Net(nn.Module):\n    __signature__ = 3\n    def __init__(self, dim=8): super().__init__()\n    def forward(self, x): return x + 1",
    "a wrapper of itself": "class Net(nn.Module):\n    def forward(self, x): return x + 1\nNet.__init__.__wrapped__ = Net.__init__",
    "a forward wrapped by itself": "class Net(nn.Module):\n    def forward(self, x): return x + 1\nNet.forward.__wrapped__ = Net.forward",
    "no module": "class Net(nn.Module):\n    __module__ = None\n    __doc__ = 3\n    def forward(self, x): return x + 1",
    "code of another file": "class Net(nn.Module):\n    def forward(self, x): return x + 1\nNet.forward.__code__ = Net.forward.__code__.replace(co_filename='/dev/zero', co_firstlineno=10**9)",
    "code of a file that is a pipe": "import os\nos.mkfifo('pipe') if not os.path.exists('pipe') else None\nclass Net(nn.Module):\n    def forward(self, x): return x + 1\nNet.forward.__code__ = Net.forward.__code__.replace(co_filename='pipe')",
    "code without a file": "exec(compile('class Net(nn.Module):\\n    def forward(self, x): return x @ x', '<string>', 'exec'))",
    "code with an escape for a file": "exec(compile('class Net(nn.Module):\\n    def forward(self, x): return x @ x', '\\x1b[2J\\n', 'exec'))",
    "5,000 methods": f"class Net(nn.Module):\n{''.join(f'    def m{i}(self): return {i}{chr(10)}' for i in range(5000))}    def forward(self, x): return x + 1",
    "a line of 1 MB": f"class Net(nn.Module):\n    def forward(self, x): return x + 1; y = '{'x' * 10**6}'",
    "an einops pattern of 100 kB": f"import einops\nclass Net(nn.Module):\n    def forward(self, x): return einops.rearrange(x, 'b c h w -> b {'(' * 50_000}')",
    "a loop of hooks": "class Net(nn.Module):\n    def forward(self, x):\n        self.register_forward_pre_hook(lambda *a: None)\n        return x + 1",
    "forward calling itself by a copy": "import copy\nclass Net(nn.Module):\n    def forward(self, x): return copy.deepcopy(self)(x)",
    "submodules that change": "class Net(nn.Module):\n    def forward(self, x):\n        self.add_module(f'm{len(self._modules)}', nn.ReLU())\n        return [one(x) for one in self.children()][-1]",
    "a forward that deletes itself": "class Net(nn.Module):\n    def forward(self, x):\n        del type(self).forward\n        return x + 1",
    "NaN": "class Net(nn.Module):\n    def forward(self, x): return x * float('nan') / 0",
    "an input of 0 sizes": "class Net(nn.Module):\n    def forward(self, x): return x[:0].reshape(-1)",
    "an axis of 10**12": "class Net(nn.Module):\n    def forward(self, x): return x.new_zeros(10**12) + 1",
    "a parameter of 10**14": "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.w = nn.Parameter(torch.empty(10**7, 10**7))\n    def forward(self, x): return x",
}
"""A file's text after `import torch; from torch import nn`."""


def _file(text: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "m.py").write_text(text)

    return prepare


RUN = ("m.py:Net", "--input", "2x3x32x32")

CASES = [
    *(Case(f"imported with {name}", RUN, None, "", _file(text + CLASS), alone=True) for name, text in IMPORTS.items()),
    *(
        Case(f"a class with {name}", RUN, None, "", _file(f"import torch\nfrom torch import nn\n{text}\n"))
        for name, text in TRICKS.items()
    ),
]
