"""Lists the models that installed libraries have."""

import sys

from vit_trace.cli.options import Option, verb
from vit_trace.cli.output import Exit, print_diagnostics

PATTERN = Option("pattern", "[GLOB]", "Only specs that match, such as 'timm:*dinov2*'.", "*", positional=True)


@verb(pattern=PATTERN)
def models(pattern: str) -> int:
    """List the models of all libraries that can be traced."""
    from vit_trace.render.legible import printable
    from vit_trace.targets.library import listed_models

    specs, complaints = listed_models(pattern)
    sys.stdout.writelines(f"{printable(spec)}\n" for spec in specs)
    print_diagnostics(complaints)
    return Exit.WELL if specs else Exit.FOUND
