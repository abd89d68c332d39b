"""Defines a trace as frozen records, and reads and writes it as JSON (`vit-trace/1`). No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

SCHEMA = "vit-trace/1"

Kind = Literal["input", "module", "function", "einops", "output"]
Severity = Literal["error", "warning", "note"]
Number = int | float
Value = int | float | str | bool | None | list[Any] | dict[str, Any]


class TraceFormatError(ValueError):
    """The text is not a saved trace; the message says what is wrong and where."""


class Source(Struct, frozen=True):
    """A span of source text. Lines count from 1, columns from 0 in characters; `end_column` is exclusive.

    Columns are 0 and the line's length where Python kept no columns for the code.
    """

    file: str
    line: int
    end_line: int
    column: int
    end_column: int
    text: str


class TensorSpec(Struct, frozen=True, omit_defaults=True):
    """One tensor, without its values.

    `path` leads to it inside a nested value: "" for the value itself, "[0]", ".last_hidden_state", "['mask']".
    `dims` holds one formula per axis, or the size as text where no formula is established; `constant` lists the axes
    that were measured to have this size at every setting.
    """

    path: str
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str
    constant: tuple[int, ...] = ()


class Stage(Struct, frozen=True):
    """One step of the forward pass.

    `parameters` and `flops` are what this stage itself holds and does, without the stages inside it, and a parameter
    is counted at the first stage that holds it: both columns add up to the totals. Negative `parameters` are unknown.
    `mixes` are the axes over which its output depends on more than its own place, by what they count: "batch",
    "frames", "tokens", "h", "w", "heads", "features", "channels", "pixels", else by their formula; None where that was
    not measured. `fed_by` says for each input what made it: a stage, by its index, or a parameter, by its name; None
    where that was not seen.
    """

    index: int
    parent: int | None
    name: str
    module: str
    kind: Kind
    operation: str
    pattern: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: Source | None
    parameters: int = 0
    flops: int = 0
    mixes: tuple[str, ...] | None = None
    fed_by: tuple[int | str | None, ...] = ()


class Totals(Struct, frozen=True, omit_defaults=True):
    """Sums over the whole model: counts, bytes, floating point operations (a multiply-add is two).

    `bound` says what the count of parameters is where not every size is known: the "least" they can be, or "unknown".
    """

    stages: int
    parameters: int
    parameter_bytes: int
    flops: int
    bound: Literal["exact", "least", "unknown"] = "exact"


class Symbol(Struct, frozen=True, omit_defaults=True):
    """A named quantity with its value in this trace, and the formula it follows from where there is one.

    `hyperparameter` is the target's own name for it: "dim", or "image_size[0]" for one of a pair. `kept` is there where
    the symbol was seen to decide which stages there are: the lowest and the highest value at which they stay.
    """

    value: int
    meaning: str
    formula: str | None = None
    hyperparameter: str | None = None
    kept: tuple[int, int] | None = None


LAYERS = "layers"
"""Meaning of the symbol that counts equal blocks."""


class Whole(Struct, frozen=True):
    """A formula that is divided by another, and what becomes of a `rest`.

    The model is "refused", its sizes are "unknown" there, or pixels are "dropped".
    """

    top: str
    bottom: str
    rest: Literal["refused", "unknown", "dropped"]


class Construction(Struct, frozen=True):
    """A quantity that the constructor of `module` worked out before any forward."""

    module: str
    name: str
    value: Number | tuple[int, ...]
    formula: str | None
    source: Source | None


class Parameter(Struct, frozen=True, omit_defaults=True):
    """A parameter of the model, by its name in `named_parameters()`; `dims` and `constant` as in a TensorSpec."""

    name: str
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str
    constant: tuple[int, ...] = ()


class Label(Struct, frozen=True):
    """Another span of a diagnostic, with what to say under it."""

    span: Source
    text: str


ALWAYS_SAID = frozenset(
    {"formulas", "branch-on-values", "shapes-change", "search-cut-off", "not-looked-for", "checkpoint-taken"}
)
"""Codes of notes that are shown unasked: they say what was cut off, or was not looked for."""


class Diagnostic(Struct, frozen=True):
    """Something found: a kebab-case code, one headline that makes sense alone, where, the numbers, what to do.

    `labels` lie within the lines of `span` and are shown under them instead of its own carets.
    """

    code: str
    severity: Severity
    message: str
    span: Source | None = None
    notes: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()


class Operand(Struct, frozen=True, omit_defaults=True):
    """A tensor that the failing call was given: as written in the source, and its shape there.

    `parameter` is the parameter or buffer that it is or was cut from; `stage` made it, where that is known; `extent`
    is the lowest and the highest of whole numbers that have values.
    """

    name: str
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str
    parameter: str = ""
    stage: int | None = None
    span: Source | None = None
    extent: tuple[int, int] | None = None


class Producer(Struct, frozen=True, omit_defaults=True):
    """Where one of the disagreeing sizes comes from: the stage or the parameter that made it."""

    operand: str
    size: int
    formula: str
    name: str
    parameter: bool = False
    stage: int | None = None


class Remedy(Struct, frozen=True, omit_defaults=True):
    """A change that was tried and works: in words, as data, and the output it gave.

    `values` are hyperparameters; or the `steps` (methods with arguments, or interpolate and pad), `shape` and `dtype`
    of the first input, or of the one called `input`, with `hyperparameters` where it takes both; or shapes by parameter
    name; or values by the names of modules' attributes; or the `dtype` of the model; or the `steps` on the first input
    of `modules`, or on the tensor among their inputs that `operand` counts to, and the steps `back` on their output; or
    how the failing `call` at a `span` (line, column, end line, end column) of a `file` is changed: `arguments` by name,
    or `steps` on the tensor that `operand` counts to.
    """

    change: str
    kind: Literal["hyperparameter", "input", "parameter", "attribute", "model", "call"]
    values: dict[str, Value]
    output: str = ""


class Failure(Diagnostic, frozen=True):
    """The diagnostic of a forward that raised. `stage` is the failing one; `exception` is Python's own account.

    `call` is the torch or einops function that raised, with its `operands` and plain `arguments`; `modules` the stack
    of modules it was called through, `values` the numbers known in the frame that raised.
    """

    stage: int | None = None
    exception: str = ""
    call: str = ""
    operands: tuple[Operand, ...] = ()
    arguments: dict[str, Value] = {}
    modules: tuple[str, ...] = ()
    values: dict[str, Value] = {}
    producers: tuple[Producer, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    traceback: tuple[str, ...] = ()


NoteKind = Literal["argument", "value", "return", "yield", "parameter", "raise", "step", "operand", "branch"]


class Note(Struct, frozen=True, omit_defaults=True):
    """What a source line made: the tensors or the number bound to `name`, or a step on the way to it.

    `follows` says that it is made of the note before; `times` counts within one call of the function. `modules` are
    the modules in whose calls the line made this, where other calls made something else.
    """

    kind: NoteKind
    name: str
    tensors: tuple[TensorSpec, ...] = ()
    value: str = ""
    formula: str = ""
    follows: bool = False
    times: int = 1
    modules: tuple[str, ...] = ()


class Line(Struct, frozen=True, omit_defaults=True):
    """A line of source; `ran` is whether it was part of what ran, `mixes` what its steps mix: see `Stage`."""

    line: int
    text: str
    ran: bool = True
    notes: tuple[Note, ...] = ()
    mixes: tuple[str, ...] = ()


class Listed(Struct, frozen=True):
    """A function of the model whose code ran, line by line; the head of a class where `function` is "".

    `modules` are the modules that ran it, `calls` is how often; `problem` says why there is no text.
    """

    file: str
    class_: str = field(name="class")
    function: str = ""
    lines: tuple[Line, ...] = ()
    modules: tuple[str, ...] = ()
    calls: int = 0
    problem: str = ""


class Target(Struct, frozen=True):
    """What was traced: the spec as typed, the class, its hyperparameters, and the device it ran on."""

    spec: str
    class_: str = field(name="class")
    hyperparameters: dict[str, Value] = {}
    device: str = "meta"


class Versions(Struct, frozen=True):
    vit_trace: str
    torch: str
    python: str


_ENCODER = msgspec.json.Encoder()


def json_bytes(value: object) -> bytes:
    """The value as JSON; of the name of a file that is not UTF-8, what is none as a visible escape, \\udcff."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        import json
        import re

        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):04x}", text).encode()


class Trace(Struct, frozen=True):
    """One forward pass, stage by stage, in the order the stages were entered.

    `branches` are conditions under which the model has other stages: symbols with the formulas whose values they have.
    `wholes` are the divisions that should leave no rest.
    `saved` are the bytes that each module, by its path, itself keeps for backward in a training step of this batch;
    null where that was not measured.
    """

    schema: Literal["vit-trace/1"]
    versions: Versions
    target: Target
    symbols: dict[str, Symbol]
    construction: tuple[Construction, ...]
    parameters: tuple[Parameter, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[TensorSpec, ...]
    totals: Totals
    failure: Failure | None
    diagnostics: tuple[Diagnostic, ...]
    listing: tuple[Listed, ...] = ()
    branches: tuple[dict[str, str], ...] = ()
    saved: dict[str, int] | None = None
    wholes: tuple[Whole, ...] = ()

    def to_json(self) -> str:
        """The trace as one JSON document, one record a line."""
        return b"".join(self.json_chunks()).decode()

    def json_chunks(self) -> Iterator[bytes]:
        """The same document piece by piece, so that a long trace is written without a second copy in memory."""
        encode = json_bytes
        for place, name in enumerate(self.__struct_fields__):
            value = getattr(self, name)
            yield (b",\n " if place else b"{") + encode(name) + b": "
            if isinstance(value, tuple) and value:
                for number, record in enumerate(value):
                    yield (b",\n  " if number else b"[\n  ") + encode(record)
                yield b"]"
            else:
                yield encode(value)
        yield b"}\n"

    @staticmethod
    def from_json(text: str | bytes) -> Trace:
        """Read a saved trace. Raises TraceFormatError when the text is not JSON or not of this schema."""
        try:
            trace = msgspec.json.decode(text, type=Trace)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TraceFormatError(_other_schema(text) or str(error)) from None
        sized: list[tuple[str, TensorSpec | Parameter]] = [(one.name, one) for one in trace.parameters]
        for place, stage in enumerate(trace.stages):
            if stage.index != place or (stage.parent is not None and not 0 <= stage.parent < place):
                raise TraceFormatError(f"stage {place} has index {stage.index} and parent {stage.parent}")
            sized += [(stage.name, spec) for spec in (*stage.inputs, *stage.outputs)]
        for name, record in sized:
            if len(record.dims) != len(record.shape):
                raise TraceFormatError(f"{name} has {len(record.shape)} axes and {len(record.dims)} dims")
        return trace


class _Named(Struct):
    schema: str


def _other_schema(text: str | bytes) -> str:
    """That the document is of another version of this schema; "" where it is of this one or of none."""
    try:
        name = msgspec.json.decode(text, type=_Named).schema  # the rest is skipped, however large
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if name == SCHEMA or not name.startswith(SCHEMA.partition("/")[0]):
        return ""
    return f"its schema is {name[:40]}, this vit-trace reads {SCHEMA}: the version that saved it can show it"


def schema_of(record: type, name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record and all that it holds."""
    from inspect import cleandoc

    def plain(value: Any) -> Any:  # Python before 3.13 keeps the indentation of docstrings
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: cleandoc(one) if key == "description" and type(one) is str else plain(one)
            for key, one in value.items()
        }

    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name} | msgspec.json.schema(record)
    return {key: plain(value) for key, value in made.items()}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `Trace`, generated from these records."""
    return schema_of(Trace, SCHEMA)


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(json_schema(), indent=1) + "\n")
