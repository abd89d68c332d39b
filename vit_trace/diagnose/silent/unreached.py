"""Finds modules whose result nobody uses, modules that are never called, and parameters that no gradient reaches."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake
from vit_trace.targets.methods import is_method

DDP = "DistributedDataParallel refuses a model with such parameters, unless it is given find_unused_parameters=True"


@silent_mistake("result-dropped")
def result_dropped(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A module with parameters is called, and nothing that comes out of the model depends on its result.
    Example: `blk(x)` in a loop instead of `x = blk(x)`. It runs, but the module has no effect and learns nothing. Found
    in a small copy: no gradient reaches its parameters, and outputs stay the same with other values in its result. So
    is a step that is a statement of its own, such as `scores.masked_fill(mask, -1e4)`: masked_fill_ works in place.
    """
    from vit_trace.mixing.unused import bare_statements

    measured = case().measured
    lines = set()
    for stage in once_a_line(bare_statements(measured) if measured is not None else (), lambda one: one):
        assert stage.source is not None
        lines.add(stage.source.line)
        notes = (f"{stage.operation} does not change what it is given, and no later step uses what it returns",)
        yield Mistake(f"the result of {stage.name} is dropped", stage.source, notes)
    yield from (one for one in _mistakes(case, "dropped") if one.source is None or one.source.line not in lines)


@silent_mistake("module-unused")
def module_unused(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A module with parameters is never called, and none of its parameters is used.
    Either a call of it is missing in forward, or the module is a spare part that could go. Models of libraries keep
    such parts for other uses. Not said where a method is traced (`Net.forward_features`): the others use the rest.
    """
    measured = case().measured
    if measured is not None and not is_method(measured.model):
        yield from _mistakes(case, "unused")


@silent_mistake("parameter-unused")
def parameter_unused(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """No gradient of any output reaches a parameter, so that it never learns.
    Examples: a parameter that forward leaves out; detach(), argmax or no_grad between it and the output. Set
    requires_grad to False where that is meant.
    """
    yield from _mistakes(case, "stopped")


def _mistakes(case: MakeCase, kind: str) -> Iterator[Mistake]:
    from vit_trace.mixing.unused import unreached

    measured = case().measured
    for found in unreached(measured) if measured is not None else ():
        if found.kind != kind:
            continue
        spare = found.library and kind == "unused"
        words = {
            "dropped": f"the result of {found.names} is dropped: no output depends on it",
            "unused": f"{found.names} is never used",
            "stopped": f"no gradient reaches {found.names}",
        }
        tensors = f"{found.tensors} tensor{'s' * (found.tensors != 1)}"
        notes = (*filter(None, [found.why]), f"{found.count:,} parameters in {tensors} of a small copy", DDP)
        yield Mistake(words[kind], found.source, notes, severity="note" if spare else "warning")
