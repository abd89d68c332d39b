"""Defines one line of a view of a trace. No layout."""

from dataclasses import dataclass, field

from vit_trace.base.trace import Source, TensorSpec
from vit_trace.view.fold import StageNode


@dataclass(frozen=True)
class Row:
    """One line of a view.

    `repeats` is how many equal blocks the row stands for; `parameters` and `flops` are its own, or those of everything
    hidden below it; `share` is the part that a sorted row has of a whole, `saved` the bytes it keeps for backward;
    `node` holds the stages that it stands for.
    """

    level: int
    label: str
    operation: str = ""
    shapes: tuple[TensorSpec, ...] = ()
    before: tuple[TensorSpec, ...] = ()
    repeats: int = 1
    parameters: int = 0
    flops: int = 0
    source: Source | None = None
    heading: bool = False
    failed: bool = False
    value: str = ""
    formula: str = ""
    stage: int | None = None
    mixes: tuple[str, ...] = ()
    share: tuple[int, int] = (0, 0)
    saved: int = 0
    node: StageNode | None = field(default=None, compare=False, repr=False)

    @property
    def times(self) -> str:
        """How often its block repeats, " ×6"; "" where its label names each."""
        return f" ×{self.repeats}" if self.repeats > 1 and "," not in self.label else ""
