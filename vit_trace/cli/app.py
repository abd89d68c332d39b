"""The doorman: parse, call the library, render, exit. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from vit_trace.check.options import Check
from vit_trace.cli.flags import Screen, with_bare_model, with_check, with_model, with_screen
from vit_trace.targets.request import NO_REQUEST, Request
from vit_trace.version import __version__

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic, Trace

GROUP_OPTIONS = {"-h", "--help", "--version", "--install-completion", "--show-completion"}
SPEC_HELP = (
    "timm:NAME, hf:CONFIG, torchvision:NAME, a config.json, package.module:factory, file.py:factory or a YAML file; "
    "without it the reference ViT."
)
FOUND, CANNOT_START, DEFECT = 1, 2, 3
STREAM_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class DefaultTrace(TyperGroup):
    """A group whose default verb is `trace`: what is no verb is a spec or a flag of it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in GROUP_OPTIONS):
            args = ["trace", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=DefaultTrace,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Follow a tensor's shape through any Vision Transformer. Without a verb, trace.",
)


def version(wanted: bool) -> None:
    if wanted:
        print(f"vit-trace {__version__}")
        raise typer.Exit()


@app.callback()
def group(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options before the verb."""


@app.command()
@with_screen
@with_model
def trace(
    spec: Annotated[str | None, typer.Argument(help=SPEC_HELP)] = None,
    *,
    model: Request,
    screen: Screen,
) -> int:
    """Trace a model: every stage of one forward with its shapes. The default verb."""
    from vit_trace.cli.output import require_writable

    require_writable(screen)
    return deliver(traced(spec, model, screen.listing), screen)


@app.command()
@with_screen
def show(
    file: Annotated[Path, typer.Argument(help="A trace saved with -o trace.json or --format json; - for stdin.")],
    what_if: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=VALUE", help="Sizes at other values: image_size=384, b=1."),
    ] = None,
    *,
    screen: Screen,
) -> int:
    """Show a saved trace, without torch."""
    from vit_trace.cli.output import read, reevaluated, require_listing, require_writable

    require_writable(screen)
    saved = read(file)
    if screen.listing:
        require_listing(saved, file)
    deliver(reevaluated(saved, what_if) if what_if else saved, screen)
    return 0


@app.command()
@with_bare_model
def explain(
    spec_or_what: Annotated[
        str | None, typer.Argument(metavar="[SPEC]", help="As for trace; may be left out.", show_default=False)
    ] = None,
    what: Annotated[
        str | None, typer.Argument(metavar="SIZE|STAGE|CODE", help="A size such as 3072, a stage, a diagnostic's code.")
    ] = None,
    *,
    model: Request,
) -> int:
    """Say what a size is, what a stage depends on, what a code means.

    A size: where it stands and which formula it is there. A stage: its sizes with each hyperparameter doubled. The code
    of a diagnostic: what it means; `codes` shows all of them.
    """
    from vit_trace.cli.output import explanation
    from vit_trace.render.codes import documented, explained
    from vit_trace.render.console import console_for
    from vit_trace.render.explain import print_explanation

    if spec_or_what is None:
        from vit_trace.base.refused import refuse

        help = ("vit-trace explain 3072", "vit-trace explain mlp_head", "vit-trace explain broadcast")
        raise refuse("usage", "explain what? A size, a stage, or the code of a diagnostic", help=help)
    spec, subject = (None, spec_or_what) if what is None else (spec_or_what, what)
    if spec is None and documented(subject):
        print(explained(subject, console_for(sys.stdout).width))
        return 0
    named = traced(spec, model)
    print_explanation(explanation(named, subject), console_for(sys.stdout))
    return 0


@app.command()
@with_check
@with_bare_model
def check(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPEC]...", help="YAML files, directories, globs, config.json, timm:NAME, FILE.py:NAME."
        ),
    ] = None,
    *,
    model: Request,
    asked: Check,
) -> int:
    """Say what is wrong with configs, before a run is paid for."""
    from vit_trace.check.many import expanded, verdicts
    from vit_trace.check.weigh import wanted as require_training
    from vit_trace.cli.report import exit_code, require_formats, write
    from vit_trace.render.findings.progress import watched

    if asked.checkpoint is not None and not specs and model == NO_REQUEST:
        return held(asked)
    require_formats(asked)
    require_training(asked)
    wanted = expanded(specs) if specs else [None]
    found = list(watched(verdicts(wanted, model, asked), len(wanted)))
    for path in write(found, asked):
        print(f"wrote {path}", file=sys.stderr)
    return exit_code(found, asked.strict)


def held(asked: Check) -> int:
    """Say which model the checkpoint is of, or write it as a config."""
    from vit_trace.cli.weights import write

    for path in write(asked):
        print(f"wrote {path}", file=sys.stderr)
    return 0


@app.command()
def models(
    pattern: Annotated[
        str, typer.Argument(metavar="[GLOB]", help="Only specs that fit, such as 'timm:*dinov2*'.")
    ] = "*",
) -> int:
    """List what timm, Hugging Face and torchvision have to trace."""
    from vit_trace.targets.libraries.models import listed

    specs, complaints = listed(pattern)
    sys.stdout.writelines(f"{spec}\n" for spec in specs)
    report(complaints)
    return 0 if specs else FOUND


def traced(spec: str | None, model: Request, listing: bool = False) -> Trace:
    """The trace of what the command line names. Imports torch once all is known to be well."""
    if listing:
        from vit_trace.record.source.listing import listed

        return listed(lambda: traced(spec, model))
    from vit_trace.diagnose.resolve import targeted

    target = targeted(spec, model)
    import_torch()
    from vit_trace.diagnose.diagnose import diagnosed

    if target.foreign is None:
        return diagnosed(target, model.rules, model.formulas)
    from vit_trace.targets.complaints import contained

    with contained():  # somebody else's code runs, and may print
        return diagnosed(target, model.rules, model.formulas)


def import_torch() -> None:
    """Import torch, and let the garbage collector, off since the start, never look at what came with it.

    Without numpy torch says so on stderr at each import; nothing here needs numpy, so that nobody has to know.
    """
    import gc
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to initialize NumPy", UserWarning)
        import torch  # noqa: F401

    gc.freeze()
    gc.enable()


def deliver(trace: Trace, screen: Screen) -> int:
    """Write the trace where it is wanted, its diagnostics to stderr; the exit code."""
    from vit_trace.cli.output import write

    for path in write(trace, screen):
        print(f"wrote {path}", file=sys.stderr)
    found = [*trace.diagnostics, *([trace.failure] if trace.failure else [])]
    report(found)
    if trace.failure is None:
        return 0
    defect = trace.failure.code == "internal-defect"
    if screen.traceback or defect:
        print("\n".join(trace.failure.traceback), file=sys.stderr)
    return DEFECT if defect else FOUND


def report(diagnostics: list[Diagnostic]) -> None:
    """Print diagnostics to stderr."""
    if not diagnostics:
        return
    from vit_trace.render.console import console_for
    from vit_trace.render.diagnostics import print_diagnostic

    sys.stdout.flush()
    console = console_for(sys.stderr)
    for diagnostic in diagnostics:
        print_diagnostic(console, diagnostic)


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code. Raises BrokenPipeError only."""
    try:
        code = app(arguments, prog_name="vit-trace", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except SystemExit as leaving:  # typer and rich leave with 1 where the reader of our output has had enough
        raise leaving.__context__ if isinstance(leaving.__context__, BrokenPipeError) else leaving from None
    except Exception as error:
        return refused(error)
    return code if isinstance(code, int) else 0


def refused(error: Any) -> int:
    """Say what was wrong with the call, or own up to a defect."""
    diagnostics = getattr(error, "diagnostics", None)
    if diagnostics is not None:
        report(list(diagnostics))
        return CANNOT_START
    if hasattr(error, "format_message"):  # the parser's own: an unknown flag, a missing value
        from vit_trace.cli.usage import misused

        report([misused(error)])
        return CANNOT_START
    if getattr(error, "errno", None) in STREAM_FULL:  # files that are written have said so themselves
        from vit_trace.base.refused import refuse

        report(list(refuse("cannot-write", f"the output cannot be written: {os.strerror(error.errno)}").diagnostics))
        return CANNOT_START
    import traceback

    traceback.print_exc()
    print(
        "vit-trace: this is a defect of vit-trace, not of your model. "
        "Please report it with the command, the lines above and `vit-trace --version`.",
        file=sys.stderr,
    )
    return DEFECT
