"""Files of the user's that have the name of a library, beside a model and as the model's own file."""

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.special_files import SOURCE

BESIDE = {"torch": "torch", "numpy": "torch", "random": "torch", "tokenize": "torch", "rich": "rich"}
"""A neighbour's name, and the library that does not import because of it."""

ITSELF = {"torch": "torch", "random": "random", "logging": "torch"}


def _files(**contents: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        for name, text in contents.items():
            (folder / f"{name}.py").write_text(text)

    return prepare


def _hidden(name: str, spec: str, says: str, prepare: Callable[[Path], None], requires: str = "") -> Case:
    return Case(name, (spec, "--no-formulas"), 2, says, prepare, requires=requires, alone=True, seconds=20)


OWN = """from einops import rearrange
from torch import nn
class Net(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.layer = nn.Linear(dim, dim)
    def forward(self, x):
        return self.layer(rearrange(x))
"""

CASES = [
    *(
        Case(
            f"{name}.py where the command runs",
            ("--depth", "1"),
            2,
            f"{name} does not import",
            _files(**{name: ""}),
            alone=True,
        )
        for name in ("einops", "typer", "msgspec")
    ),
    Case(
        "a model's own einops.py",
        ("net.py:Net", "--input", "2x3"),
        1,
        "error[linear]",
        _files(net=OWN, einops="def rearrange(x): return x"),
        alone=True,
    ),
    *(
        _hidden(f"{name}.py beside it", "net.py:Net", f"{library} does not import", _files(net=SOURCE, **{name: ""}))
        for name, library in BESIDE.items()
    ),
    *(
        _hidden(f"a model in {name}.py", f"{name}.py:Net", f"{library} does not import", _files(**{name: SOURCE}))
        for name, library in ITSELF.items()
    ),
    _hidden(
        "timm.py alone",
        "timm:vit_tiny_patch16_224",
        "hidden by a file of the same name",
        _files(timm=""),
        "timm",
    ),
    Case(
        "an import that the environment breaks",
        ("--depth", "1"),
        2,
        "torch does not import",
        environment=(("TORCH_LOGS", "nonesuch"),),
        alone=True,
    ),
]
