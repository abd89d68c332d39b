"""Writes how a checkpoint is loaded into the model that was checked: names, parts, resizing (`vit-trace-mapping/1`)."""

import json
from collections.abc import Sequence
from typing import IO

import msgspec

from vit_trace.base.refused import refuse
from vit_trace.check.verdict import Verdict
from vit_trace.render.formats import Format
from vit_trace.render.legible import visible_json


def _write_mapping(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    remedies = [one.remedy for one in verdicts if one.remedy is not None]
    if len(verdicts) != 1 or not remedies:
        what = "no mapping loads the checkpoint whole into the model" if len(verdicts) == 1 else "name one model"
        help = ("vit-trace check SPEC --checkpoint FILE -o mapping.json",)
        errors = [said.message for one in verdicts for said in one.diagnostics if said.severity == "error"]
        message = f"a mapping belongs to one model and its checkpoint: {what}"
        raise refuse("no-mapping", message, help=help, notes=tuple(errors[:3]))
    values = msgspec.to_builtins(remedies[0])
    tensors = ",\n".join(f"  {json.dumps(one)}" for one in values.pop("tensors"))
    text = json.dumps(values, indent=1)
    stream.write(f'{text[:-2]},\n "tensors": [\n{tensors}\n ]\n}}\n')


FORMATS = {"mapping": Format(_write_mapping, suffixes=("mapping.json",), escape=visible_json)}
