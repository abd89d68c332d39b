"""Checks configs, checkpoints and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.check.options import Check
from vit_trace.cli.options import BARE_MODEL, TALK, Option, OptionGroup, Output, output_of, verb
from vit_trace.cli.output import Exit, destinations, write

if TYPE_CHECKING:
    from vit_trace.check.verdict import Verdict
    from vit_trace.targets.request import Request

ABOUT_SPECS = "YAML files, directories, globs, config.json, timm:NAME, FILE.py:NAME."
SPECS = Option("specs", "[SPEC]...", ABOUT_SPECS, (), positional=True)
ASKED = OptionGroup(
    Check,
    (
        Option(
            "checkpoint", "FILE", "Check whether these weights fit, or, without a SPEC, say whose they are.", type=Path
        ),
        Option("strict", None, "Exit with 1 on warnings too.", False),
        Option("jobs", "N", "Number of processes (default: all cores for many configs).", type=int, minimum=1),
        Option("suggest", "KEY", "Suggest values of a hyperparameter near its present one that build and run.", ()),
        Option("memory", "SIZE", "Check whether a training step fits SIZE, such as 24GiB, and show what takes most."),
        Option("optimizer", "NAME", "With --memory: adamw (default), sgd or none.", offers=("adamw", "sgd", "none")),
        Option(
            "precision",
            "NAME",
            "With --memory: fp32 (default), bf16-mixed or bf16.",
            offers=("fp32", "bf16-mixed", "bf16"),
        ),
        Option("checkpointing", None, "With --memory: recompute repeated blocks in the backward pass.", False),
        Option("select", "CODES", "Show only these warnings and notes: codes or their beginnings, with commas.", ()),
        Option("ignore", "CODES", "Leave these warnings and notes out.", ()),
        *TALK,
    ),
)


@verb(specs=SPECS, model=BARE_MODEL, asked=ASKED, output=output_of("check"))
def check(specs: tuple[str, ...], model: Request, asked: Check, output: Output) -> int:
    """Check configs, checkpoints and memory before you train."""
    from vit_trace.targets.request import NO_REQUEST

    if asked.checkpoint is not None and not specs and model == NO_REQUEST:
        return _describe_checkpoint(asked.checkpoint, asked, output)
    from vit_trace.check.choice import codes_of, counted
    from vit_trace.check.extras import memory_question
    from vit_trace.check.many import expanded, verdicts
    from vit_trace.check.verdict import for_people
    from vit_trace.render.progress import with_progress

    where = destinations("check", output)
    memory_question(asked)  # refuses what cannot be asked
    wanted = expanded(specs) if specs else [None]
    choice = codes_of(asked.select, asked.ignore)
    found = [counted(one, choice) for one in with_progress(verdicts(wanted, model, asked), len(wanted))]
    shown = for_people(found, asked.verbose, asked.quiet)
    for one in where:
        write(shown if one.format.for_people else found, [one])
    return _exit_code(found, asked.strict)


def _describe_checkpoint(path: Path, asked: Check, output: Output) -> int:
    """Say which model a checkpoint is from, or write it as a config. Raises Refused."""
    from vit_trace.weights.files import read
    from vit_trace.weights.holding import holding

    where = destinations("checkpoint", output)
    if asked.suggest:
        raise refuse("usage", "--suggest needs a SPEC", help=("vit-trace check SPEC --suggest heads",))
    write(holding(read(path)), where)
    return Exit.WELL


def _exit_code(verdicts: Sequence[Verdict], strict: bool) -> int:
    """What `check` exits with; with `strict`, a warning counts as an error."""
    if any(one.code == "internal-defect" for verdict in verdicts for one in verdict.diagnostics):
        return Exit.DEFECT
    if not all(verdict.started for verdict in verdicts):
        return Exit.CANNOT_START
    found = any(verdict.count("error") or (strict and verdict.count("warning")) for verdict in verdicts)
    return Exit.FOUND if found else Exit.WELL
