"""The flags that several verbs share: the model's hyperparameters, the view, the output. Only typer is known here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from vit_trace.check.options import Check
from vit_trace.targets.request import Request

Verb = TypeVar("Verb", bound=Callable[..., int])


class Screen(NamedTuple):
    """What the command line says of the output."""

    view: str
    stage: str | None
    levels: int | None
    fold: bool
    format: str | None
    output: tuple[Path, ...]
    ran: bool = False
    traceback: bool = False

    @property
    def listing(self) -> bool:
        """Whether the model's source is shown: then each line has to be heard."""
        return self.view == "source" or self.format == "python" or any(path.suffix == ".py" for path in self.output)


def option(*names: str, metavar: str | None, help: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, show_default=False, **more)


HYPERPARAMETERS = {
    "image_size": ("N|HxW", "Pixels: 256, or 256x320 for height x width."),
    "patch_size": ("N|HxW", "Pixels of one patch."),
    "num_classes": ("N", "Scores per image."),
    "dim": ("N", "Width of a token."),
    "depth": ("N", "Transformer layers."),
    "heads": ("N", "Attention heads per layer."),
    "mlp_dim": ("N", "Hidden width of the feed-forward."),
    "pool": ("cls|mean", "What is read out: the class token, or the mean of all tokens."),
    "channels": ("N", "Colours per pixel."),
    "dim_head": ("N", "Width of one head."),
    "dropout": ("P", "Share dropped in attention and feed-forward."),
    "emb_dropout": ("P", "Share dropped after the position embedding."),
    "batch_size": ("N", "Images in the batch."),
}
"""Flags of the built-in ViT with their metavar and help; texts as typed, so that every complaint is ours."""

MODEL: dict[str, Any] = {
    **{
        name: Annotated[str | None, option(f"--{name.replace('_', '-')}", metavar=metavar, help=help)]
        for name, (metavar, help) in HYPERPARAMETERS.items()
    },
    "config": Annotated[Path | None, option("--config", metavar="FILE", help="A YAML file; flags win over it.")],
    "assign": Annotated[list[str] | None, option("--set", metavar="KEY=VALUE", help="Set any hyperparameter.")],
    "inputs": Annotated[
        list[str] | None,
        option("--input", metavar="SHAPE", help="Feed 5x3x256x256 or NAME=2x196:bool. May be given several times."),
    ],
    "train": Annotated[bool, typer.Option("--train", help="Run in training mode.")],
    "rules": Annotated[
        bool, typer.Option("--rules/--no-rules", help="Shapes by rule, or by torch's own slower meta kernels.")
    ],
    "formulas": Annotated[
        bool, typer.Option("--formulas/--no-formulas", help="Find what each size is by tracing at other settings.")
    ],
}
SCREEN: dict[str, Any] = {
    "view": Annotated[str, typer.Option("--view", metavar="VIEW", help="table, tree, or source: the model's code.")],
    "stage": Annotated[str | None, option("--stage", metavar="GLOB", help="Only stages with such a name.")],
    "levels": Annotated[int | None, option("--levels", metavar="N", min=1, help="Only rows this deep.")],
    "fold": Annotated[bool, typer.Option("--fold/--no-fold", help="Show equal consecutive blocks once.")],
    "format": Annotated[
        str | None, option("--format", metavar="FORMAT", help="rich (the default), json; of the source also markdown.")
    ],
    "output": Annotated[
        list[Path] | None,
        option("-o", "--output", metavar="FILE", help="Write to FILE: .json, .txt, .md, .py. May be given twice."),
    ],
    "ran": Annotated[bool, typer.Option("--ran", help="Of the source only lines that ran.")],
    "traceback": Annotated[bool, typer.Option("--traceback", help="Of a crash show Python's traceback too.")],
}
CHECK: dict[str, Any] = {
    "checkpoint": Annotated[
        Path | None,
        option(
            "--checkpoint", metavar="FILE", help="Whether these weights fit; without a SPEC which model they are of."
        ),
    ],
    "format": Annotated[
        str | None, option("--format", metavar="FORMAT", help="rich (the default), concise, json, github or sarif.")
    ],
    "output": Annotated[
        list[Path] | None,
        option("-o", "--output", metavar="FILE", help="Write to FILE: .json, .sarif, .txt. May be given twice."),
    ],
    "strict": Annotated[bool, typer.Option("--strict", help="Exit with 1 on a warning too.")],
    "jobs": Annotated[
        int | None, option("--jobs", metavar="N", min=1, help="Processes; all cores where many are checked.")
    ],
    "suggest": Annotated[
        list[str] | None,
        option("--suggest", metavar="KEY", help="Values of a hyperparameter near its own that build and run."),
    ],
    "memory": Annotated[
        str | None,
        option("--memory", metavar="SIZE", help="Does a training step with --batch-size fit 24GiB? What takes most?"),
    ],
    "optimizer": Annotated[
        str | None, option("--optimizer", metavar="NAME", help="With --memory: adamw (the default), sgd or none.")
    ],
    "precision": Annotated[
        str | None,
        option("--precision", metavar="NAME", help="With --memory: fp32 (the default), bf16-mixed or bf16."),
    ],
    "checkpointing": Annotated[
        bool, typer.Option("--checkpointing", help="With --memory: repeated blocks are computed again in backward.")
    ],
}
SWITCHES = {"train": False, "rules": True, "formulas": True, "fold": True, "ran": False, "traceback": False}
DEFAULTS = {**SWITCHES, "view": "table", "strict": False, "checkpointing": False}


def with_model(verb: Verb) -> Verb:
    """A verb's `model: Request` parameter as the flags it is made of."""
    return spread(verb, "model", MODEL, model_of)


def with_bare_model(verb: Verb) -> Verb:
    """The same for a verb that has no choice of formulas."""
    bare = {name: annotation for name, annotation in MODEL.items() if name != "formulas"}
    return spread(verb, "model", bare, lambda values: model_of({**values, "formulas": True}))


def with_screen(verb: Verb) -> Verb:
    """A verb's `screen: Screen` parameter as the flags it is made of."""
    return spread(verb, "screen", SCREEN, screen_of)


def with_check(verb: Verb) -> Verb:
    """A verb's `asked: Check` parameter as the flags it is made of."""
    return spread(verb, "asked", CHECK, check_of)


def spread(verb: Verb, name: str, flags: dict[str, Any], gather: Callable[[dict[str, Any]], Any]) -> Verb:
    """The verb with the parameter `name` replaced by one keyword for each flag."""

    def call(**given: Any) -> int:
        values = {flag: given.pop(flag) for flag in flags}
        return verb(**given, **{name: gather(values)})

    before = inspect.signature(verb, eval_str=True).parameters.values()
    kept = [parameter for parameter in before if parameter.name != name]
    added = [
        inspect.Parameter(flag, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS.get(flag), annotation=annotation)
        for flag, annotation in flags.items()
    ]
    call.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *added)}
    call.__name__, call.__doc__ = verb.__name__, verb.__doc__
    return call  # type: ignore[return-value]


def model_of(values: dict[str, Any]) -> Request:
    flags = {name: values[name] for name in HYPERPARAMETERS if values[name] is not None}
    assignments, inputs = tuple(values["assign"] or ()), tuple(values["inputs"] or ())
    switches = {name: values[name] for name in ("train", "rules", "formulas")}
    return Request(flags, values["config"], assignments, inputs, **switches)


def screen_of(values: dict[str, Any]) -> Screen:
    return Screen(**{**values, "output": tuple(values["output"] or ())})


def check_of(values: dict[str, Any]) -> Check:
    lists = {name: tuple(values[name] or ()) for name in ("output", "suggest")}
    return Check(**{**values, **lists, "format": values["format"] or ""})
