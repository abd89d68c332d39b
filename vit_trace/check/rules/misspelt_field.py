"""Rule: the fields of a config.json are fields of its config class."""

from collections.abc import Iterator
from difflib import get_close_matches

from vit_trace.base.roles import same_role
from vit_trace.check.facts import Facts, Quantity
from vit_trace.check.rules import Finding, rule

LIKENESS = 0.85
"""Ratio of difflib's matching from which two names count as one name and its misspelling."""


@rule("misspelt-field", "warning")
def misspelt_field(facts: Facts) -> Iterator[Finding]:
    """A config.json has a field that its config class does not know, spelt almost like one that the class knows.
    Example: num_hidden_layer for num_hidden_layers.
    transformers keeps such a field without a warning and uses the default of the right one.
    """
    absent = [name for name in facts.class_fields if name not in facts.json_fields]
    for name, place in facts.json_fields.items():
        other = name in facts.class_fields or same_role(name, facts.class_fields)
        near = get_close_matches(name, absent, 1, LIKENESS) if not other else []
        if near:
            note = f"it is ignored, and {near[0]} keeps its default; did you mean {near[0]}?"
            yield Finding(f"{name} is not a field of this config", (Quantity("field", name, 0, place),), (note,))
