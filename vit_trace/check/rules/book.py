"""All rules, in the order in which they speak."""

from __future__ import annotations

from vit_trace.check.rules.facts import Rule
from vit_trace.check.rules.kernels import alignment, flash, sequence
from vit_trace.check.rules.training import all_dropped, lost_pixels, misspelt, one_token
from vit_trace.check.rules.widths import heads_divide_dim, heads_fill_dim, narrow_mlp, one_class

RULES = (
    Rule("heads-do-not-fill-dim", "warning", heads_fill_dim),
    Rule("heads-do-not-divide-dim", "warning", heads_divide_dim),
    Rule("pixels-dropped", "warning", lost_pixels),
    Rule("one-token", "warning", one_token),
    Rule("mlp-narrower-than-dim", "warning", narrow_mlp),
    Rule("drops-everything", "warning", all_dropped),
    Rule("one-class", "warning", one_class),
    Rule("misspelt-field", "warning", misspelt),
    Rule("tensor-core-alignment", "note", alignment),
    Rule("sequence-just-over-tile", "note", sequence),
    Rule("flash-attention-head", "note", flash),
)
