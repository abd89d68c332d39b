"""Imports, constructors and forwards that never end, or nearly so: each is held to a count of what it does."""

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.network import RUN, model_file, void


def _loop(body: str, before: str = "pass", head: str = "while True:") -> str:
    """A loop, as the statements of a method."""
    return f"{before}\n        {head}\n            {body}"


CONSTRUCTORS = {
    "modules": _loop("self.more.append(nn.Linear(8, 8))", "self.more = nn.ModuleList()"),
    "modules that are dropped": _loop("nn.Identity()"),
    "parameters": _loop("self.more.append(nn.Parameter(torch.empty(8)))", "self.more = nn.ParameterList()"),
    "bare parameters": _loop("more.append(nn.Parameter(torch.empty(8)))", "more = []"),
    "tensors": _loop("more.append(torch.zeros(100, 100))", "more = []"),
    "random tensors": _loop("more.append(torch.rand(8, 8))", "more = []"),
    "numbers in a list": _loop("more.append(1)", "more = []"),
    "nothing": _loop("pass"),
    "a count": _loop("count += 1", "count = 0"),
    "a growing list": _loop("more += [1]", "more = []"),
    "a generator": "import itertools\n        for _ in itertools.count(): pass",
    "a function": "def spin():\n            while True: pass\n        spin()",
    "a comparison of a tensor": _loop("pass", "x = torch.ones(3)", "while x.sum() > 0:"),
    "itself": "type(self)()",
    "recursion": "f = lambda: f()\n        f()",
    "buffers": "for i in range(10**9): self.register_buffer(f'b{i}', torch.zeros(2))",
}

FORWARDS = {
    "sums": _loop("x = x + 1"),
    "a million sums": _loop("x = x + 1", head="for _ in range(1_000_000):"),
    "calls of a layer": _loop("self.conv(torch.zeros(1, 3, 16, 16, device=x.device))"),
    "a list of tensors": _loop("kept.append(x * 2)", "kept = []"),
    "tensors of its own": _loop("kept.append(torch.zeros(1000, 1000))", "kept = []"),
    "a shape": _loop("x.shape"),
    "a condition": _loop("x = x / 2", head="while x.sum() > 0:"),
    "two conditions": _loop("x = x / 2", head="while (x < 0).any() or not (x < 0).any():"),
    "values": _loop("x.max().item()"),
    "views": _loop("x = x.unsqueeze(0).squeeze(0)"),
    "work in place": _loop("x.add_(1)"),
    "in training code": _loop("x = torch.nn.functional.dropout(x, 0.5, True)"),
    "einops": _loop("x = einops.rearrange(x, 'b c -> b c')", "import einops"),
}

IMPORTS = {
    "a function": "def f():\n    while True: pass\nf()",
    "a class": "class A:\n    while True: pass",
    "a generator": "def f():\n    while True: yield 1\nfor _ in f(): pass",
    "a comprehension": "import itertools\n[0 for _ in itertools.count()]",
    "a decorator": "import functools\n@functools.lru_cache\ndef f(n):\n    while n: n += 1\nf(1)",
}

RECURSIONS = {"itself": "self(torch.zeros(1, 3, 16, 16))", "a function": "f = lambda y: f(y + 1)\n        f(x)"}
RECURSIONS |= {"concatenation": _loop("x = torch.cat([x, x])")}


def _module(text: str) -> Callable[[Path], None]:
    """Writes model.py with these lines alone."""
    return lambda folder: void(folder.joinpath("model.py").write_text(text))


CASES = [
    *(
        Case(
            f"constructor without end: {name}",
            RUN,
            2,
            "over-limit" if " while" in text or " for" in text else "error[",
            model_file(text),
        )
        for name, text in CONSTRUCTORS.items()
    ),
    *(Case(f"import without end: {name}", RUN, 2, "over-limit", _module(text)) for name, text in IMPORTS.items()),
    *(
        Case(f"forward without end: {name}", RUN, 2, "over-limit", model_file(forward=text))
        for name, text in FORWARDS.items()
    ),
    *(
        Case(f"forward calls without end: {name}", RUN, 1, "error[", model_file(forward=text))
        for name, text in RECURSIONS.items()
    ),
    Case(
        "a limit that is raised",
        (*RUN, "--limit", "steps=100000"),
        0,
        "output",
        model_file(forward=_loop("x.sum()", head="for _ in range(31_000):")),
    ),
]
