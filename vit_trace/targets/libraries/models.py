"""What there is to trace: the names of every model of the libraries that are installed."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic


def timm_names() -> list[str]:
    from vit_trace.targets.libraries.timm_models import names

    return names()


def hf_names() -> list[str]:
    from vit_trace.targets.libraries.hf_models import names

    return names()


def torchvision_names() -> list[str]:
    from vit_trace.targets.libraries.torchvision_models import names

    return names()


LIBRARIES: dict[str, Callable[[], list[str]]] = {"timm": timm_names, "hf": hf_names, "torchvision": torchvision_names}


def listed(pattern: str = "*") -> tuple[list[str], list[Diagnostic]]:
    """(specs that fit the glob, what to say of libraries that are not there); a bare name fits in every library."""
    library, colon, rest = pattern.partition(":")
    wanted = [one for one in LIBRARIES if not colon or fnmatchcase(one, library)]
    glob = (rest if colon else pattern) or "*"
    if not any(sign in glob for sign in "*?["):
        glob = f"*{glob}*"
    found: list[str] = []
    complaints: list[Diagnostic] = []
    for one in wanted:
        try:
            found += [f"{one}:{name}" for name in LIBRARIES[one]() if fnmatchcase(name.lower(), glob.lower())]
        except Refused as refused:
            complaints += refused.diagnostics
    if not found and not complaints:
        help = ("a glob, such as '*swin*' or 'hf:Dino*'",)
        complaints.append(Diagnostic("no-such-model", "error", f"no model fits {pattern}", help=help))
    return found, complaints
