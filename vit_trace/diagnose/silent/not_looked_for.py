"""Says where what depends on what could not be measured."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import NOT_LOOKED_FOR, MakeCase, Mistake, silent_mistake


@silent_mistake(NOT_LOOKED_FOR)
def not_looked_for(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """What depends on what was not measured, so that mistakes which only this shows were not looked for.
    It is measured on a small copy of the model that runs with values on the CPU. Where no small setting is known or
    runs, and the model at its own size takes more than a second or so, that part is left out.
    """
    if case().samples() and case().measured is None:
        message = "what depends on what was not measured: no copy of the model is small enough and runs with values"
        yield Mistake(
            message, notes=("images that mix and tokens that never meet were not looked for",), severity="note"
        )
