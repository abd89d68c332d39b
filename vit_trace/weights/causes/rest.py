"""Reports what has no known cause: tensors that are missing, left over or of another shape."""

from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Severity
from vit_trace.base.words import shape_text
from vit_trace.weights.causes import LAST, Misfit, MisfitKind, finder_by_name, finder_by_role, names_of
from vit_trace.weights.compare import Item
from vit_trace.weights.layouts import part_of

MISSING = MisfitKind(
    "checkpoint-missing",
    "The checkpoint lacks tensors of the model, and no cause is recognised. They would keep random values.",
)
UNEXPECTED = MisfitKind(
    "checkpoint-unexpected",
    """
    The checkpoint has tensors that the model has no place for. Without them the model computes something else than it
    was trained for. It is a warning only for parts after the tokens (a pooler, a projection).
    """,
)
SHAPE = MisfitKind("checkpoint-shape", "Tensors have another shape in the model, and no cause is recognised.")

AFTER_TOKENS = ("pooler", "pre_logits", "head_norm", "proj")
"""Parts after the tokens: a checkpoint may have them and the model not."""


@finder_by_role(LAST)
@finder_by_name(LAST)
def unexplained(items: Sequence[Item], *sides: object) -> Iterator[Misfit]:
    """One misfit for each kind of difference, with the count of tensors and examples."""
    if missing := tuple(item for item in items if item.have is None):
        yield Misfit(MISSING, f"checkpoint lacks {_counted(missing)} of this model: {names_of(missing)}", missing)
    extra = [item for item in items if item.want is None]
    harmless = tuple(item for item in extra if part_of(item.role).split(".")[0] in AFTER_TOKENS)
    harmful = tuple(item for item in extra if item not in set(harmless))
    severities: tuple[Severity, ...] = ("error", "warning")
    for left_over, severity in zip((harmful, harmless), severities, strict=True):
        if left_over:
            names = f"{_counted(left_over)} of the checkpoint: {names_of(left_over, ours=True)}"
            yield Misfit(UNEXPECTED, f"this model has no place for {names}", left_over, severity=severity)
    if both := tuple(item for item in items if item.have is not None and item.want is not None):
        first = both[0]
        shapes = f"{first.ours} is {shape_text(first.have or ())}, in this model {shape_text(first.want or ())}"
        more = f", and {len(both) - 1} more" if len(both) > 1 else ""
        verb = "differs" if len({item.name for item in both}) == 1 else "differ"
        yield Misfit(SHAPE, f"{_counted(both)} {verb} in shape: {shapes}{more}", both)


def _counted(items: Sequence[Item]) -> str:
    count = len({item.name for item in items})
    return f"{count} tensor{'s' * (count != 1)}"
