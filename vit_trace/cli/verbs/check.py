"""Checks configs, checkpoints and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import Refused, refuse
from vit_trace.check.options import Check
from vit_trace.cli.options import BARE_MODEL, TALK, Option, OptionGroup, Output, output_of, verb
from vit_trace.cli.output import Exit, destinations, print_diagnostics, say, write
from vit_trace.memory.options import KERNELS, PRECISIONS, TrainingAsked
from vit_trace.memory.states import OPTIMIZERS

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
        Option("key", "NAME", "With --checkpoint: which state dict of several, or a prefix of the names to take."),
        Option("strict", None, "Exit with 1 on warnings too.", False),
        Option("jobs", "N", "Number of processes (default: all cores for many configs).", type=int, minimum=1),
        Option("suggest", "KEY", "Suggest values of a hyperparameter near its present one that build and run.", ()),
        Option("memory", "SIZE", "Check whether a training step fits SIZE, such as 24GiB, and show what takes most."),
        Option("select", "CODES", "Show only these warnings and notes: codes or their beginnings, with commas.", ()),
        Option("ignore", "CODES", "Leave these warnings and notes out.", ()),
        *TALK,
    ),
)

TRAINING = OptionGroup(
    TrainingAsked,
    (
        Option("device", "cuda|cpu", "cuda (default), modelled; or cpu, exact.", offers=("cuda", "cpu")),
        Option("optimizer", "NAME", f"{', '.join(OPTIMIZERS)}; adamw is the default.", offers=tuple(OPTIMIZERS)),
        Option("precision", "NAME", f"{', '.join(PRECISIONS)}; fp32 is the default.", offers=tuple(PRECISIONS)),
        Option("checkpointing", None, "Recompute repeated blocks in the backward pass; every=N: every N-th.", False),
        Option("checkpoint_every", "N", "The same as --checkpointing every=N.", type=int, minimum=1),
        Option("attention", "KERNEL", "flash, efficient or math; default: what torch chooses.", offers=KERNELS),
        Option("freeze", "GLOB", "Freeze the parameters whose names match. May be repeated.", ()),
        Option("lora", "r=8,targets=A+B", "LoRA by PEFT on the modules of these names; save=HEAD trains another."),
        Option("inference", None, "A forward without gradients, in evaluation mode.", False),
        Option("ema", None, "An averaged copy of the weights is on the device.", False),
        Option("accumulate", "N", "N batches make one optimizer step.", type=int, minimum=1),
        Option("ddp", None, "DistributedDataParallel, with its buckets.", False),
        Option("fsdp", "N", "Fully sharded over N GPUs: --zero 3 --gpus N.", type=int, minimum=2),
        Option("zero", "1|2|3", "Shard the optimizer's state (1), gradients (2), parameters (3).", type=int, minimum=1),
        Option("gpus", "N", "With --zero: the number of GPUs.", type=int, minimum=2),
        Option("input_on_device", None, "The next batch lies on the device during the step.", False),
        Option("reserve", "SIZE", "Memory beside torch's allocator (default 512MiB)."),
    ),
    "With --memory",
)


@verb(specs=SPECS, model=BARE_MODEL, asked=ASKED, training=TRAINING, output=output_of("check"))
def check(specs: tuple[str, ...], model: Request, asked: Check, training: TrainingAsked, output: Output) -> int:
    """Check configs, checkpoints and memory before you train."""
    asked = asked._replace(training=training)
    from vit_trace.targets.request import NO_REQUEST

    if asked.key is not None and asked.checkpoint is None:
        raise refuse("usage", "--key names a state dict in a checkpoint", help=("--checkpoint FILE --key NAME",))
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
    told = asked._replace(verbose=asked.verbose or not all(one.format.for_people for one in where))
    judged = list(with_progress(verdicts(wanted, model, told), len(wanted)))
    found = [counted(one, choice) for several in judged for one in several]
    if (skipped := sum(not several for several in judged)) and not asked.quiet:
        say(f"{skipped} file{'s' * (skipped > 1)} without a model to check {'were' if skipped > 1 else 'was'} skipped")
    shown = for_people(found, asked.verbose, asked.quiet)
    code = _exit_code(found, asked.strict)
    for one in where:
        try:
            write(shown if one.format.for_people else found, [one])
        except Refused as refused:  # a mapping that there is not, which the findings explain
            if code != Exit.FOUND:
                raise
            print_diagnostics(list(refused.diagnostics))
    return code


def _describe_checkpoint(path: Path, asked: Check, output: Output) -> int:
    """Say which model a checkpoint is from, or write it as a config. Raises Refused."""
    from vit_trace.weights.data import NOT_THERE
    from vit_trace.weights.files import read
    from vit_trace.weights.holding import holding

    where = destinations("checkpoint", output)
    if asked.suggest:
        raise refuse("usage", "--suggest needs a SPEC", help=("vit-trace check SPEC --suggest heads",))
    try:
        found = holding(read(path, asked.key or ""))
    except Refused as refused:
        if any(one.code in NOT_THERE for one in refused.diagnostics):
            raise
        if output.format == "json":
            from vit_trace.check.verdict import Verdict

            write([Verdict(str(path), refused.diagnostics)], destinations("check", output._replace(files=())))
        else:
            print_diagnostics(list(refused.diagnostics))
        return Exit.FOUND
    write(found, where)
    return Exit.WELL


def _exit_code(verdicts: Sequence[Verdict], strict: bool) -> int:
    """What `check` exits with; with `strict`, a warning counts as an error."""
    if any(one.code == "internal-defect" for verdict in verdicts for one in verdict.diagnostics):
        return Exit.DEFECT
    if not all(verdict.started for verdict in verdicts):
        return Exit.CANNOT_START
    found = any(verdict.count("error") or (strict and verdict.count("warning")) for verdict in verdicts)
    return Exit.FOUND if found else Exit.WELL
