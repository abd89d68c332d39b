"""Says which values of each hyperparameter and input size work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vit_trace.cli.options import BARE_MODEL, Option, Output, output_of, verb
from vit_trace.cli.output import Exit, destinations, write

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

SPEC = Option("spec", "[SPEC]", "As for trace; without it the reference ViT.", positional=True)
NAMES = Option("names", "[NAME]...", "Hyperparameters, or input; all where none is named.", (), positional=True)
AT = Option("at", "NAME=N", "Say what becomes of this value, and which near it work. May be repeated.", ())


@verb(spec=SPEC, names=NAMES, at=AT, model=BARE_MODEL, output=output_of("sizes"))
def sizes(spec: str | None, names: tuple[str, ...], at: tuple[str, ...], model: Request, output: Output) -> int:
    """Say which values of hyperparameters and inputs work, as rules.

    For example `multiples of patch_size = 16`. Each rule is found by building and running the model, without memory,
    and confirmed at values that took no part.
    """
    from vit_trace.check.sizes.sizes import size_report
    from vit_trace.cli.tracing import import_torch
    from vit_trace.diagnose.resolve import targeted
    from vit_trace.targets.complaints import contained, returning

    where = destinations("sizes", output)
    with returning():
        target = targeted(spec, model)
        import_torch()
        with contained():
            found = size_report(target, names, at, model.rules)
    write(found, where)
    return Exit.FOUND if any(one.outcome != "runs" for one in found.asked) else Exit.WELL
