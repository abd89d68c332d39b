"""Shows a saved trace."""

from pathlib import Path

from vit_trace.base.refused import refuse
from vit_trace.cli.options import SCREEN, TALKING, Option, Output, Talk, output_of, verb
from vit_trace.cli.output import destinations, write
from vit_trace.cli.verbs.trace import needs_source, report_trace, told_of
from vit_trace.view.screen import Screen, Viewed

ABOUT_FILE = "A trace saved with -o trace.json or --format json; - for stdin."
FILE = Option("file", None, ABOUT_FILE, ..., Path, positional=True)
CHANGES = Option("what_if", "NAME=VALUE", "Sizes at other values: image_size=384, b=1.", (), flags=("--with",))


@verb(file=FILE, changes=CHANGES, screen=SCREEN, talk=TALKING, output=output_of("trace"))
def show(file: Path, changes: tuple[str, ...], screen: Screen, talk: Talk, output: Output) -> int:
    """Show a saved trace, without torch."""
    from vit_trace.cli.tracing import read_trace, reevaluated

    where = destinations("trace", output, screen.view)
    saved = read_trace(file)
    if needs_source(screen, where) and not saved.listing:
        help = ("save it with: vit-trace --view source -o trace.json",)
        raise refuse("no-listing", f"{file} was saved without the model's source", help=help)
    trace = reevaluated(saved, changes) if changes else saved
    write(Viewed(trace, screen), where, told_of(trace, talk))
    return report_trace(trace, screen.traceback, talk)
