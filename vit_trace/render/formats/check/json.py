"""Writes what `check` found as one JSON document (`vit-trace-check/1`); its schema is vit_trace/check_schema.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import msgspec

from vit_trace.check.verdict import Verdict, report
from vit_trace.render.formats import Format


def write_check_json(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    stream.write(msgspec.json.format(msgspec.json.encode(report(verdicts)), indent=1).decode() + "\n")


FORMAT = Format(write_check_json, suffixes=(".json",))
