"""Declares each option of the command line once: typer's signature and the records of a verb are made from it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from vit_trace.render.formats import Subject, formats_of
from vit_trace.render.legible import COLORS
from vit_trace.view.screen import COLUMNS, ORDERS, VIEWS, Screen

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

Verb = Callable[..., int]


class Option(NamedTuple):
    """An option, by the name of its field in the record; an argument where it is `positional`.

    The default says how it is given: None once or not at all, () any number of times, False or True as a switch, `...`
    always. Values outside `choices` are refused; `convert` makes of the text what the record holds. Completion shows
    the choices, else what it `offers`.
    """

    name: str
    metavar: str | None
    help: str
    default: Any = None
    type: Any = str
    flags: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    positional: bool = False
    convert: Callable[[str | None], Any] | None = None
    offers: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        return (self,)

    @property
    def flag(self) -> str:
        return self.flags[-1] if self.flags else f"--{self.name.replace('_', '-')}"

    @property
    def names(self) -> tuple[str, ...]:
        """All its flags, as typed."""
        off = (f"--no-{self.flag[2:]}",) if self.default is True else ()
        return (*(self.flags or (self.flag,)), *off)

    @property
    def takes_value(self) -> bool:
        return not self.positional and not isinstance(self.default, bool)

    def parameter(self, panel: str = "") -> inspect.Parameter:
        """The keyword by which typer knows it."""
        kind: Any = self.type
        default = self.default
        if default is ...:
            default = inspect.Parameter.empty
        elif isinstance(default, bool):
            kind = bool
        elif not default:
            kind, default = (kind if default is None else list[kind]) | None, None
        if self.positional:
            about = typer.Argument(metavar=self.metavar, help=self.help, show_default=False)
        else:
            names = self.flags or ((f"{self.flag}/--no-{self.flag[2:]}",) if default is True else (self.flag,))
            about = typer.Option(
                *names,
                metavar=self.metavar,
                help=self.help,
                min=self.minimum,
                show_default=False,
                rich_help_panel=panel,
            )
        annotation = Annotated[kind, about]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    def value(self, given: Mapping[str, Any]) -> Any:
        """What was given for it. Raises Refused."""
        found = given[self.name]
        if self.choices and found is not None:
            from vit_trace.base.refused import require_known

            require_known(self.flag, found, self.choices)
        if self.convert is not None:
            return self.convert(found)
        return tuple(found or ()) if self.default == () else found


class OptionGroup(NamedTuple):
    """Options that become one record, by the names of its fields; `panel` is their heading in the help."""

    record: Callable[..., Any]
    options: tuple[Option, ...]
    panel: str = ""

    def value(self, given: Mapping[str, Any]) -> Any:
        return self.record(**{option.name: option.value(given) for option in self.options})


def _require_values(options: Sequence[Option], given: Mapping[str, Any]) -> None:
    """Refuse `--dim --depth 4`, where the parser takes the second flag for the value of the first. Raises Refused."""
    from vit_trace.base.refused import Refused
    from vit_trace.base.trace import Diagnostic

    found = []
    for option in options:
        value = given[option.name]
        for text in map(str, value if isinstance(value, list) else [value]):
            if text.startswith("--") and text[2:3].isalpha() and not option.positional:
                message, help = f"{option.flag} has no value: {text} follows it", (f"{option.flag} {option.metavar}",)
                found.append(Diagnostic("missing-value", "error", message, None, (), help))
    if found:
        raise Refused(*found)


def verb(interspersed: bool = True, **parameters: Option | OptionGroup) -> Callable[[Verb], Verb]:
    """Makes a verb of a function: each parameter gets the value of an option, or the record of a group of options.

    Unless it is `interspersed`, what follows its first argument is left as it is, also what looks like an option.
    """
    options = [option for one in parameters.values() for option in one.options]

    def decorate(function: Verb) -> Verb:
        def call(**given: Any) -> int:
            _require_values(options, given)
            return function(**{name: one.value(given) for name, one in parameters.items()})

        panels = [(option, getattr(one, "panel", "")) for one in parameters.values() for option in one.options]
        signature = inspect.Signature([option.parameter(panel) for option, panel in panels])
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.interspersed = interspersed  # type: ignore[attr-defined]
        call.options = options  # type: ignore[attr-defined]
        return call

    return decorate


_TABLE = """
image_size  N|HxW    Image size in pixels: 256, or 256x320 for height x width.
patch_size  N|HxW    Patch size in pixels.
num_classes N        Number of classes.
dim         N        Embedding dimension.
depth       N        Number of transformer layers.
heads       N        Attention heads per layer.
mlp_dim     N        Hidden dimension of the feed-forward.
pool        cls|mean Pooling: class token, or mean over tokens.
channels    N        Input channels.
dim_head    N        Head dimension.
dropout     P        Dropout rate in attention and feed-forward.
emb_dropout P        Dropout rate after the position embedding.
batch_size  N        Images per batch.
"""
HYPERPARAMETERS = tuple(Option(*fields) for fields in re.findall(r"(\w+) +(\S+) +(.+)", _TABLE))
"""Options of the built-in ViT; texts as typed, so that every complaint is ours."""


def _request_of(**values: Any) -> Request:
    """What the command line asks of the model."""
    from vit_trace.targets.request import Request

    texts = {option.name: values.pop(option.name) for option in HYPERPARAMETERS}
    return Request({name: text for name, text in texts.items() if text is not None}, **values)


BARE_MODEL = OptionGroup(
    _request_of,
    (
        *HYPERPARAMETERS,
        Option("config", "FILE", "Read hyperparameters from a YAML file; flags override it.", type=Path),
        Option("assignments", "KEY=VALUE", "Set any hyperparameter. May be repeated.", (), flags=("--set",)),
        Option("inputs", "SHAPE", "Input: 5x3x256x256, or NAME=2x196:bool. May be repeated.", (), flags=("--input",)),
        Option("model_key", "KEY", "The key of the model in a config file: net, or model.encoder."),
        Option("no_import", None, "Do not import your own code that a config file names.", False),
        Option("train", None, "Trace in training mode.", False),
        Option("allow_network", None, "Let the model's code use the network.", False),
        Option(
            "limits",
            "NAME=N",
            "Raise a limit: modules, elements, values, labels, calls, lines or steps.",
            (),
            flags=("--limit",),
        ),
        Option("rules", None, "Compute shapes with fast rules (default) or with torch's meta kernels.", True),
    ),
    "Model and input",
)
"""The model, for a verb that always looks for formulas, or never."""

ABOUT_FORMULAS = "Find the formula of each size by tracing at other settings (default), or not."
MODEL = OptionGroup(
    _request_of, (*BARE_MODEL.options, Option("formulas", None, ABOUT_FORMULAS, True)), BARE_MODEL.panel
)


def column_names(text: str | None) -> tuple[str, ...]:
    """The columns of --columns. Raises Refused."""
    from vit_trace.base.refused import require_known

    names = tuple(name.strip().lower() for name in text.split(",")) if text is not None else ()
    for name in names:
        require_known("--columns", name, COLUMNS)
    return tuple(dict.fromkeys(names))


SCREEN = OptionGroup(
    Screen,
    (
        Option("view", "VIEW", "table (default), tree, or source: the model's code.", "table", choices=VIEWS),
        Option("stage", "GLOB", "Show only stages whose name or operation matches."),
        Option("levels", "N", "Show at most N levels of nesting.", type=int, minimum=1),
        Option("fold", None, "Show equal consecutive blocks once (default), or all of them.", True),
        Option("ran", None, "With --view source: show only executed lines.", False),
        Option("traceback", None, "Also show Python's traceback of a crash.", False),
        Option("constructor", None, "Show all that the constructors worked out, below the forward.", False),
        Option("columns", "NAMES", f"Columns to show, with commas: {', '.join(COLUMNS)}.", convert=column_names),
        Option(
            "sort", "BY", f"Show the steps that have most first: {', '.join(ORDERS)} (for backward).", choices=ORDERS
        ),
        Option("top", "N", "Show only the first N rows.", type=int, minimum=1),
        Option("width", "N", "Columns of the screen, whatever the terminal has.", type=int, minimum=1),
    ),
    "What to show",
)


STOPS = Option(
    "stops",
    "WHERE",
    "Stop in Python's debugger at a stage (GLOB), at the first 197 or 2x197x768, or where a shape `changes`.",
    (),
    flags=("--break",),
)

TALK = (
    Option("verbose", None, "Show notes too.", False, flags=("-v", "--verbose")),
    Option("quiet", None, "Show only errors.", False, flags=("-q", "--quiet")),
)


class Talk(NamedTuple):
    """How much to say besides the result."""

    verbose: bool = False
    quiet: bool = False


TALKING = OptionGroup(Talk, TALK, SCREEN.panel)


class Output(NamedTuple):
    """Where the result goes, and its format."""

    format: str | None = None
    files: tuple[Path, ...] = ()
    color: str | None = None
    pager: bool = True


PAGER = Option("pager", None, "Show what is longer than the terminal in $PAGER (default), or not.", True)
DISPLAY = (Option("color", "WHEN", "auto (default), always or never.", choices=COLORS), PAGER)


def output_of(subject: Subject) -> OptionGroup:
    """The options that say where a subject is written, and its format."""
    default, *others = formats_of(subject)
    format = Option("format", "FORMAT", f"{default} (default), {', '.join(others)}.", offers=(default, *others))
    help = "Write to FILE, in the format of its suffix. May be repeated."
    files = Option("files", "FILE", help, (), Path, ("-o", "--output"))
    return OptionGroup(Output, (format, files, *DISPLAY), "Where to, and how")
