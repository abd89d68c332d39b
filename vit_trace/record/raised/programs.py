"""Captures the facts of a forward that failed in a program: the sizes it was captured with, the inputs it was given."""

from collections.abc import Sequence

from vit_trace.base.trace import Operand, TensorSpec, Value
from vit_trace.record.build.captured import Extent, program_of
from vit_trace.record.raised.mishaps import Captured
from vit_trace.record.recorder import Recorder, Step

CALL = "program"

STRINGS = ("<eval_with_key>", "<string>")
"""What Python calls the code of programs, which stands in no file."""


def capture_program(found: Captured, step: Step | None, recorder: Recorder) -> None:
    """The program that the failing step belongs to, where its inputs are not those that it was captured with."""
    module = step.module if step is not None else ""
    held = {known.path: program for known in recorder.known.values() if (program := program_of(known.module))}
    path = module
    while path and path not in held:
        path = path.rpartition(".")[0]
    program = held.get(path)
    if program is None:
        return
    given = _given(path, recorder)
    if program.extents and all(_fits(one, spec.shape) for one, spec in zip(program.extents, given, strict=False)):
        return
    found.call = CALL
    found.operands = [
        Operand(name, spec.shape, spec.dims, spec.dtype)
        for name, spec in zip(program.names or [f"input {place}" for place in range(len(given))], given, strict=False)
    ]
    extents: list[Value] = [[[low, high] for low, high in one] for one in program.extents]
    found.arguments = {"module": path, "how": program.how, "extents": extents}


def _given(path: str, recorder: Recorder) -> Sequence[TensorSpec]:
    """The tensors that a module was given last."""
    if not path:
        return [spec for step in recorder.steps if step.kind == "input" for spec in step.outputs]
    called = (step.inputs for step in reversed(recorder.steps) if step.kind == "module" and step.module == path)
    return next(called, ())


def _fits(extents: Sequence[Extent], shape: Sequence[int]) -> bool:
    if len(extents) != len(shape):
        return False
    pairs = zip(extents, shape, strict=True)
    return all(low <= size and (high is None or size <= high) for (low, high), size in pairs)
