"""One JSON document (`vit-trace-check/1`); its schema is vit_trace/check_schema.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import msgspec

from vit_trace.check.verdict import Verdict, report


def write_json(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    text = msgspec.json.format(msgspec.json.encode(report(verdicts)), indent=1).decode()
    stream.write(text + "\n")
