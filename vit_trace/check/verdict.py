"""Holds the verdicts of `check` as frozen records, with their JSON (`vit-trace-check/1`). Needs no torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from vit_trace.base.trace import ALWAYS_SAID, Diagnostic, Severity, schema_of
from vit_trace.memory.report import MemoryReport
from vit_trace.weights.mapping import Conversion

SCHEMA = "vit-trace-check/1"
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Suggested(Struct, frozen=True):
    """A value that builds and runs, what the model then costs, and the codes of its warnings."""

    value: str
    parameters: int
    flops: int
    warnings: tuple[str, ...]
    present: bool


class Suggestion(Struct, frozen=True, omit_defaults=True):
    """Values of a hyperparameter near its present one, and the rule that they follow, as `vit-trace sizes` says it."""

    name: str
    present: str
    values: tuple[Suggested, ...]
    rule: str = ""


class Summary(Struct, frozen=True):
    """How many configs were checked, and how many findings there are of each severity."""

    configs: int
    errors: int
    warnings: int
    notes: int


class Verdict(Struct, frozen=True, omit_defaults=True):
    """What was found for one spec; parameters and FLOPs (of one forward of `batch_size` images) where it runs.

    `remedy` says how the checkpoint is loaded, where all of it can be. `started` is False where there was nothing to
    check: no such file or model, a library that is not installed.
    """

    spec: str
    diagnostics: tuple[Diagnostic, ...] = ()
    parameters: int | None = None
    flops: int | None = None
    batch_size: int | None = None
    started: bool = True
    suggestions: tuple[Suggestion, ...] = ()
    memory: MemoryReport | None = None
    remedy: Conversion | None = None

    def count(self, severity: str) -> int:
        return sum(one.severity == severity for one in self.diagnostics)


class Shown(tuple[Verdict, ...]):
    """Verdicts as a person reads them; `hidden` counts what is left out, by severity."""

    hidden: Mapping[str, int]


def for_people(verdicts: Sequence[Verdict], verbose: bool, quiet: bool) -> Shown:
    """The verdicts without most notes, unless these are asked for; only with their errors where it is to be quiet."""
    severities = SEVERITIES[: 1 if quiet else 3 if verbose else 2]

    def kept(said: Diagnostic) -> bool:
        return said.severity in severities or (said.code in ALWAYS_SAID and not quiet)

    shown = Shown(replace(one, diagnostics=tuple(filter(kept, one.diagnostics))) for one in verdicts)
    shown.hidden = Counter(said.severity for one in verdicts for said in one.diagnostics if not kept(said))
    return shown


class CheckVersions(Struct, frozen=True):
    """The version that checked."""

    vit_trace: str


class Report(Struct, frozen=True):
    """The whole document."""

    schema: str
    versions: CheckVersions
    configs: tuple[Verdict, ...]
    summary: Summary


def report(verdicts: Sequence[Verdict]) -> Report:
    from vit_trace.version import __version__

    found = Counter(one.severity for verdict in verdicts for one in verdict.diagnostics)
    summary = Summary(len(verdicts), *(found[severity] for severity in SEVERITIES))
    return Report(SCHEMA, CheckVersions(__version__), tuple(verdicts), summary)


def report_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `Report`, generated from these records."""
    return schema_of(Report, SCHEMA)


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(report_schema(), indent=1) + "\n")
