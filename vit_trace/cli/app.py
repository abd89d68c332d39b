"""Runs a command line: finds the verb, and turns every error into diagnostics and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from difflib import get_close_matches
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from vit_trace.cli.output import Exit, print_diagnostics, say
from vit_trace.cli.panels import in_panels
from vit_trace.cli.verbs import DEFAULT, load_verb, verb_names
from vit_trace.version import __version__

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic

COMPLETION_OPTIONS = ("--install-completion", "--show-completion")
GROUP_OPTIONS = {"-h", "--help", "--version", *COMPLETION_OPTIONS}
EXAMPLES = """Examples:
  vit-trace --image-size 256 --patch-size 32    trace the built-in ViT
  vit-trace timm:vit_base_patch16_224           trace a library's model
  vit-trace explain timm:vit_base_patch16_224 197
  vit-trace check configs --memory 24GiB"""

STREAM_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
OUR_DEFECT = (
    "vit-trace: this is a defect of vit-trace, not of your model. "
    "Please report it with the command, the lines above and `vit-trace --version`."
)


class _Verb(TyperCommand):
    """A verb, whose help fits the screen."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`--checkpointing every=2` is `--checkpointing --checkpoint-every 2`: the parser has no optional values."""
        words: list[str] = []
        for word in args:
            flag, found, value = word.partition("every=")
            if found and not flag and words[-1:] == ["--checkpointing"]:
                words += ["--checkpoint-every", value]
            elif found and flag == "--checkpointing=":
                words += ["--checkpointing", "--checkpoint-every", value]
            else:
                words.append(word)
        return super().parse_args(ctx, words)

    def get_help(self, ctx: Any) -> str:
        return super().get_help(ctx) if in_panels(ctx) else _fitting(super().get_help(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then the options in their panels."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for one in self.get_params(ctx):
            if (record := one.get_help_record(ctx)) is not None:
                argument = one.param_type_name == "argument"
                panel = "Arguments" if argument else getattr(one, "rich_help_panel", "") or "Options"
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


class _Verbs(TyperGroup):
    """The verbs, each imported once it is needed. What does not name one is a spec or a flag of the default verb."""

    def list_commands(self, ctx: Any) -> list[str]:
        return verb_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        function = load_verb(cmd_name)
        mixed = getattr(function, "interspersed", True)  # else what follows the first word is not for us
        single.command(cls=_Verb, context_settings={"allow_interspersed_args": mixed})(function)
        return typer.main.get_command(single)

    def get_help(self, ctx: Any) -> str:
        """The verbs, then the options of the default one, which needs no name."""
        fits = in_panels(ctx)
        formatter = ctx.make_formatter()
        default = self.get_command(ctx, DEFAULT)
        default.format_options(type(ctx)(default, info_name=DEFAULT, parent=ctx), formatter)
        options = formatter.getvalue().rstrip()
        text = f"{super().get_help(ctx)}\n\nWithout a command, as for trace:\n\n{options}"
        return text if fits else _fitting(text)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        super().format_help_text(ctx, formatter)
        formatter.write(f"\n{EXAMPLES}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if len(args) == 1 and args[0] in COMPLETION_OPTIONS:
            args = [*args, os.path.basename(os.environ.get("SHELL") or "bash")]
        if not args or (args[0] not in GROUP_OPTIONS and args[0] not in verb_names()):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


def _fitting(text: str) -> str:
    """A page of help, which the parser lays out for 50 columns or more, in lines of the screen's width."""
    width = max(1, get_terminal_size().columns)
    lines = []
    for line in text.split("\n"):
        hang = " " * min(len(line) - len(line.lstrip()) + 2, width // 2)
        lines += [line] if len(line) <= width else wrap(line, width, subsequent_indent=hang)
    return "\n".join(lines)


app = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Follow a tensor's shape through any Vision Transformer. Without a verb, trace.",
)


def show_completion(shell: str | None) -> None:
    """Print what completes vit-trace in a shell."""
    if shell is not None:
        from vit_trace.cli.completing import script_of

        print(script_of(shell))
        raise typer.Exit()


def install_completion(shell: str | None) -> None:
    """Let a shell complete vit-trace from its next start on."""
    if shell is not None:
        from vit_trace.cli.completing import install_script

        print(f"{install_script(shell)} completes vit-trace in the next {shell}")
        raise typer.Exit()


def version(wanted: bool) -> None:
    if wanted:
        print(f"vit-trace {__version__}")
        raise typer.Exit()


@app.callback()
def group(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and exit.")
    ] = False,
    install: Annotated[
        str | None,
        typer.Option(
            "--install-completion",
            metavar="[SHELL]",
            callback=install_completion,
            is_eager=True,
            help="Complete verbs, flags, models, codes in bash, zsh or fish from its next start on.",
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            "--show-completion",
            metavar="[SHELL]",
            callback=show_completion,
            is_eager=True,
            help="Print the script that does so.",
        ),
    ] = None,
) -> None:
    """The options before the verb."""


def run(arguments: list[str]) -> int:
    """Run a command line; the exit code. Raises BrokenPipeError only."""
    try:
        _require_directory()
        code = app(arguments, prog_name="vit-trace", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except SystemExit as leaving:  # typer and rich leave with 1 when the reader of our output has closed it
        raise leaving.__context__ if isinstance(leaving.__context__, BrokenPipeError) else leaving from None
    except Exception as error:
        return _answer(error, arguments)
    return code if isinstance(code, int) else Exit.WELL


def _answer(error: Exception, arguments: list[str]) -> int:
    """Print what was wrong with the call, or how to report a defect of ours; the exit code."""
    try:
        if found := _diagnostics_of(error, arguments):
            print_diagnostics(found)
            return Exit.CANNOT_START
    except (ImportError, AttributeError) as broken:  # a library that prints diagnostics
        error = broken
    from vit_trace.base.imports import broken_library

    if said := broken_library(error):
        say(said)
        return Exit.CANNOT_START
    import traceback

    say(f"{''.join(traceback.format_exception(error))}{OUR_DEFECT}")
    return Exit.DEFECT


def _require_directory() -> None:
    """Refuse to start in a working directory that was deleted: torch itself does not load there. Raises Refused."""
    try:
        os.getcwd()
    except OSError:
        from vit_trace.base.refused import refuse

        message = "the working directory does not exist any more"
        raise refuse("no-such-file", message, help=("cd to a directory that exists",)) from None


def _diagnostics_of(error: Any, arguments: list[str]) -> list[Diagnostic]:
    """What was wrong with the call; nothing for a defect of ours."""
    diagnostics = getattr(error, "diagnostics", None)
    if diagnostics is not None:
        if "torch" in sys.modules and {one.code for one in diagnostics} & {"build-failed", "forward-failed"}:
            from vit_trace.scripts.explain import within_factory

            diagnostics = within_factory(error)
        return [_suggest_verb(one, arguments) for one in diagnostics]
    if hasattr(error, "format_message"):
        return [_misused(error)]
    if getattr(error, "errno", None) in STREAM_FULL:  # a file's own error names the file
        from vit_trace.base.trace import Diagnostic

        return [Diagnostic("cannot-write", "error", f"the output cannot be written: {os.strerror(error.errno)}")]
    if "torch" in sys.modules:  # code of a model may have run
        from vit_trace.targets.complaints import raised_by_model
        from vit_trace.targets.spec import is_foreign

        if any(map(is_foreign, arguments)) and (refused := raised_by_model(error)) is not None:
            return list(refused.diagnostics)
    return []


def _suggest_verb(diagnostic: Diagnostic, arguments: list[str]) -> Diagnostic:
    """The diagnostic; if the first word is not a spec but nearly a verb, with that verb in its help."""
    near = get_close_matches(arguments[0][:64], verb_names(), 1) if arguments else []
    if diagnostic.code != "unknown-target" or not near or near[0] == arguments[0]:
        return diagnostic
    from msgspec.structs import replace

    return replace(diagnostic, help=(f"did you mean vit-trace {near[0]}?", *diagnostic.help))


def _misused(error: Any) -> Diagnostic:
    """The parser's own complaint, known by its shape: where its classes live differs between versions of typer."""
    from vit_trace.base.trace import Diagnostic

    context = error.ctx
    verb = context.command_path if context is not None else "vit-trace"
    help = (f"{verb} --help",)
    if not hasattr(error, "possibilities"):
        return Diagnostic("usage", "error", error.format_message().rstrip("."), None, (), help)
    flags = [name for parameter in context.command.params for name in parameter.opts] if context is not None else []
    near = _nearest_flag(error.option_name, flags)
    message = f"{verb} has no flag {error.option_name}"
    return Diagnostic("unknown-flag", "error", message, None, (), (f"did you mean {near}?",) if near else help)


def _nearest_flag(typed: str, flags: list[str]) -> str | None:
    """The flag that was probably meant: another code base's name for it, or a similar spelling."""
    from vit_trace.config.hyperparameters import nearest_key

    key = nearest_key(typed) if len(typed) > 2 else None
    names = [flag.lstrip("-") for flag in flags]
    wanted = [key.replace("_", "-")] if key else get_close_matches(typed.lstrip("-"), names, 1, 0.7)
    return next((f"--{name}" for name in wanted if name in names), None)
