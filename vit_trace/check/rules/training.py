"""Rules: what keeps a model from learning."""

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Quantity
from vit_trace.check.rules import Finding, rule


@rule("one-class", "warning")
def one_class(facts: Facts) -> Iterator[Finding]:
    """The model has one class, so it returns one logit per image. Softmax over one logit is always 1, so cross entropy
    is 0 from the first step on and the model learns nothing. One logit is right for a binary loss (BCEWithLogitsLoss)
    or for regression; otherwise count the classes. Not said of num_labels: with one label transformers uses the loss of
    regression.
    """
    for network in facts.networks:
        classes = network.get("classes")
        if classes is not None and classes.value == 1 and not classes.name.endswith("num_labels"):
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
            if "mask" in rate.name:
                note = "it is a share from 0 to 1, not percent: no patch would be left to look at"
            yield Finding(
                f"{rate.name} {rate.value:g} drops everything",
                (rate,),
                (note,),
                ({rate.name: rate.value / 100 if rate.value > 1 and "mask" in rate.name else 0.1},),
            )


@rule("tokens-not-pooled", "warning")
def not_pooled(facts: Facts) -> Iterator[Finding]:
    """global_pool is empty, so the head of a model of timm is applied to every token: it returns logits for each token
    instead of for each image, and a classification loss raises or means something else.
    """
    shapes = [one.shape for one in facts.trace.outputs] if facts.trace is not None else []
    classes = facts.target.arguments.get("num_classes")
    if facts.target.arguments.get("global_pool") == "" and classes and len(shapes) == 1 and len(shapes[0]) > 2:
        size = "×".join(map(str, shapes[0]))
        note = f"the output is {size}: logits for each token, not for each image"
        blame = (Quantity("pool", "global_pool", 0, facts.places.get("global_pool")),)
        yield Finding("global_pool is empty", blame, (note,), ({"global_pool": "avg"},))
