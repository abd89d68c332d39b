"""Lists the models that installed libraries have, with the sizes that the libraries themselves say."""

import sys

from vit_trace.cli.options import Option, verb
from vit_trace.cli.output import Exit, print_diagnostics

PATTERN = Option("pattern", "[GLOB]", "Only specs that match, such as 'timm:*dinov2*'.", "*", positional=True)


@verb(pattern=PATTERN)
def models(pattern: str) -> int:
    """List models that can be traced, with image size and parameters.

    Image size and parameters are said where the library itself says them.
    """
    from vit_trace.base.words import compact
    from vit_trace.render.legible import printable
    from vit_trace.targets.library import listed_models
    from vit_trace.targets.sizes import NOTHING, given_sizes

    specs, complaints = listed_models(pattern)
    said = {prefix: given_sizes(prefix) for prefix in {spec.partition(":")[0] for spec in specs}}
    width = max(map(len, specs), default=0)
    for spec in specs:
        prefix, _, name = spec.partition(":")
        image, parameters = said[prefix].get(name, NOTHING)
        size = "×".join(map(str, image)) if image else ""
        count = f"{compact(parameters)} parameters" if parameters else ""
        sys.stdout.write(f"{printable(spec):{width}}  {size:9}  {count}".rstrip() + "\n")
    print_diagnostics(complaints)
    return Exit.WELL if specs else Exit.FOUND
