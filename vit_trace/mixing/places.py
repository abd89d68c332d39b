"""Says where a module or a parameter is made: the line of a constructor that binds it to its name."""

from __future__ import annotations

import inspect
import re
from itertools import product

from torch import nn

from vit_trace.base.trace import Source


def assigned_at(model: nn.Module, path: str) -> Source | None:
    """The line that binds the last name of a path, or of what holds it, in its owner's class; None if there is none."""
    parts = path.split(".")
    modules = dict(model.named_modules())
    while parts:
        owner, name = modules.get(".".join(parts[:-1])), parts[-1]
        if owner is not None and not name.isdigit():
            for made in type(owner).__mro__:
                if made.__module__.startswith("torch.nn"):
                    break
                found = _bound_in(made, name)
                if found is not None:
                    return found
        parts = parts[:-1]
    return None


def _bound_in(made: type, name: str) -> Source | None:
    """The first line of a class that binds self.name."""
    try:
        lines, start = inspect.getsourcelines(made)
        file = inspect.getsourcefile(made) or ""
    except (OSError, TypeError):
        return None
    bindings = (rf"self\.{name}\.append\(", rf"self\.{name}\b[^=\n]*=(?!=)|register_\w+\(\s*[\"']{name}[\"']")
    for pattern, (at, line) in product(bindings, enumerate(lines)):
        if bound := re.search(pattern, line):
            text = line.rstrip("\n")
            return Source(file, start + at, start + at, bound.start(), len(text), text)
    return None
