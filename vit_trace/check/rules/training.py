"""Rules: what keeps a model from learning."""

from collections.abc import Iterator

from vit_trace.check.facts import Facts
from vit_trace.check.rules import Finding, rule


@rule("one-class", "warning")
def one_class(facts: Facts) -> Iterator[Finding]:
    """The model has one class, so it returns one logit per image. Softmax over one logit is always 1, so cross entropy
    is 0 from the first step on and the model learns nothing. One logit is right for a binary loss (BCEWithLogitsLoss)
    or for regression; otherwise count the classes.
    """
    for network in facts.networks:
        classes = network.get("classes")
        if classes is not None and classes.value == 1:
            note = "softmax over one class is always 1 and its cross entropy 0; one logit suits only a binary loss"
            yield Finding(f"{classes.name} is 1", (classes,), (note,), ({classes.name: 2},))


@rule("drops-everything", "warning")
def drops_everything(facts: Facts) -> Iterator[Finding]:
    """A rate of dropout or drop path is 1 or more: in training everything there becomes 0 and no gradient passes.
    Example: dropout 1.
    Rates are from 0 to 1, not percent: 0.1 drops a tenth.
    """
    for rate in facts.rates:
        if isinstance(rate.value, (int, float)) and rate.value >= 1:
            note = "in training every value there becomes 0, and no gradient passes"
            yield Finding(f"{rate.name} {rate.value:g} drops everything", (rate,), (note,), ({rate.name: 0.1},))
