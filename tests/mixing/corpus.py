"""Reads the models of `models/`, and changes them: the text with one edit, the model in it, its outputs and gradients.

Each file of `models/` is one model, as people write it, and right: the last class is the model, and builds without
arguments; `example(batch)` are inputs for it. A mutant is a wrong edit of one of them, a variant a right one.
"""

import difflib
import linecache
import zlib
from collections.abc import Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

MODELS = Path(__file__).parent / "models"

BATCH = 3


class Mutant(NamedTuple):
    """One mistake: `old` occurs once in `models/{file}.py`; with `new` in its place the model runs and is wrong.

    `shows` is another line where the mistake is seen: the call of a layer that was built wrong, or the line that builds
    a layer that is no longer called. `same_shapes`: its outputs have the shapes of the right model's.
    """

    kind: str
    file: str
    old: str
    new: str
    shows: str = ""
    same_shapes: bool = True

    @property
    def text(self) -> str:
        """The source with the mistake in it."""
        return right(self.file).replace(self.old, self.new)

    @property
    def lines(self) -> list[int]:
        """Lines where a warning may point, the first changed line first."""
        return list(dict.fromkeys([*changed(right(self.file), self.text), *places(self.text, self.shows)]))


class Variant(NamedTuple):
    """A change that is right: each (old, new) in its order. `same`: the outputs are those of the model as it was."""

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    same: bool = False

    @property
    def text(self) -> str:
        text = right(self.file)
        for old, new in self.edits:
            text = text.replace(old, new)
        return text


class Built(NamedTuple):
    """A model with weights that only their names decide, and inputs for it."""

    model: nn.Module
    inputs: tuple[torch.Tensor, ...]


@cache
def right(file: str) -> str:
    """The source of a model as it is."""
    return (MODELS / f"{file}.py").read_text()


def changed(old: str, new: str) -> Iterator[int]:
    """Lines of the new text that the old one does not have; where lines only went, the line that took their place."""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    for tag, _, _, start, end in matcher.get_opcodes():
        if tag != "equal":
            yield from range(start + 1, max(end, start + 1) + 1)


def places(text: str, part: str) -> list[int]:
    """Lines of a text that hold a part of a line."""
    return [at for at, line in enumerate(text.splitlines(), 1) if part and part in line]


def loaded(text: str, name: str) -> ModuleType:
    """The module of a source text. Tracebacks and `inspect` see its lines."""
    module = ModuleType(name)
    path = f"<{name}>"
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    exec(compile(text, path, "exec"), vars(module))
    return module


def model_class(module: ModuleType) -> type[nn.Module]:
    """The last class of a file."""
    found = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    return found[-1]


@cache
def drawn(name: str, shape: torch.Size) -> torch.Tensor:
    """Values for a parameter that only its name and shape decide, none of them 0."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    return values * 0.2 + (1 if "norm" in name and name.endswith("weight") else 0)


def weigh(model: nn.Module) -> nn.Module:
    """Give parameters of the same name and shape the same values in every model."""
    with torch.no_grad():
        for name, one in model.named_parameters():
            one.copy_(drawn(name, one.shape))
    return model


def build(text: str, name: str) -> Built:
    """The model of a source text in evaluation mode, built and fed with torch alone."""
    module = loaded(text, name)
    model = weigh(model_class(module)()).eval()
    torch.manual_seed(0)
    return Built(model, module.example(BATCH))


def command(text: str, folder: Path, name: str = "model") -> list[str]:
    """The spec and the inputs that `vit-trace` takes for a source text, which is written to a folder."""
    module = loaded(text, name)
    path = folder / f"{name}.py"
    path.write_text(text)
    asked = [f"{path}:{model_class(module).__name__}"]
    for argument, given in zip(
        signature(model_class(module).forward).parameters, (None, *module.example(BATCH)), strict=True
    ):
        if given is not None:
            sizes, dtype = "x".join(map(str, given.shape)), str(given.dtype).removeprefix("torch.")
            asked += ["--input", f"{argument}={sizes}" + f":{dtype}" * (dtype != "float32")]
    return asked


def outputs(built: Built) -> list[torch.Tensor]:
    """What a model returns; what it draws at random is the same each time."""
    torch.manual_seed(1)
    return list(tensors(built.model(*built.inputs)))


def unreached(built: Built) -> set[str]:
    """Parameters that want a gradient and get none from any output."""
    if found := [one.sum() for one in outputs(built) if one.requires_grad]:
        torch.stack(found).sum().backward()
    return {name for name, one in built.model.named_parameters() if one.requires_grad and one.grad is None}


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of an output, in their order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, tuple, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from tensors(one)


def shapes(found: list[torch.Tensor]) -> list[tuple[int, ...]]:
    return [tuple(one.shape) for one in found]


def equal(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float = 1e-5) -> bool:
    """Whether outputs have the same shapes and values."""
    pairs = zip(found, expected, strict=True)
    return shapes(found) == shapes(expected) and all(
        torch.allclose(*pair, rtol=tolerance, atol=tolerance) for pair in pairs
    )


def wrong(mutant: Mutant, number: int = 0) -> list[str]:
    """What a row of the table promises and does not keep."""
    if (count := right(mutant.file).count(mutant.old)) != 1:
        return [f"{mutant.old!r} occurs {count} times"]
    built = build(mutant.text, f"{mutant.file} {number}")
    with torch.no_grad():
        found, expected = outputs(built), healthy_outputs(mutant.file)
    said = []
    if (shapes(found) == shapes(expected)) != mutant.same_shapes:
        said.append(f"outputs {shapes(found)}")
    if not all(bool(one.isfinite().all()) for one in found):
        said.append("outputs that are not finite")
    if mutant.kind == "unused" and not unreached(built):
        said.append("a gradient reaches every parameter")
    if mutant.kind != "unused" and equal(found, expected):
        said.append("it computes the same")
    if mutant.shows and not places(mutant.text, mutant.shows):
        said.append(f"no line has {mutant.shows!r}")
    return said


@cache
def healthy_outputs(file: str) -> list[torch.Tensor]:
    """The outputs of a model as it is."""
    with torch.no_grad():
        return outputs(build(right(file), file))
