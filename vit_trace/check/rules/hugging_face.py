"""Rules: the fields of a config.json against each other, and against those that its config class has."""

from collections.abc import Iterator

from vit_trace.base.roles import same_role
from vit_trace.check.facts import Facts, Quantity
from vit_trace.check.rules import Finding, rule

NUMBER = (int, float)


@rule("other-library-name", "warning")
def other_library(facts: Facts) -> Iterator[Finding]:
    """A config.json sets a hyperparameter under another library's name, with another value than its own field has.
    Example: embed_dim 384, where the config class has hidden_size (768 by default); num_classes for num_labels.
    transformers keeps such a field without a warning and never reads it.
    """
    arguments, found = facts.target.arguments, []
    for name, place in facts.json_fields.items():
        own = same_role(name, facts.class_fields) if name not in facts.class_fields else []
        given, value = facts.json_values.get(name), next((facts.field(one) for one in own), None)
        if own and isinstance(given, NUMBER) and isinstance(value, NUMBER) and given != value and name in arguments:
            found.append((Quantity("field", name, given, place), own[0], given, value))
    meant = {own_name: given for _, own_name, given, _ in found}
    for quantity, own_name, given, value in found:
        message = f"{quantity.name} {given} is another library's name for {own_name}, which is {value}"
        yield Finding(message, (quantity,), (f"it is not read: {own_name} is {value}",), (meant,))


@rule("labels-disagree", "warning")
def labels_disagree(facts: Facts) -> Iterator[Finding]:
    """A config.json names another number of classes in id2label than num_labels says. transformers takes one
    of them.
    """
    names, count = facts.json_values.get("id2label"), facts.json_values.get("num_labels")
    if isinstance(names, dict) and isinstance(count, int) and len(names) != count:
        note = f"the model has {facts.field('num_labels')}"
        place = facts.json_fields.get("num_labels")
        blame = (Quantity("classes", "num_labels", count, place),)
        yield Finding(
            f"num_labels is {count}, id2label names {len(names)}", blame, (note,), ({"num_labels": len(names)},)
        )


MASKED = (
    "ViTForMaskedImageModeling",
    "DeiTForMaskedImageModeling",
    "SwinForMaskedImageModeling",
    "Swinv2ForMaskedImageModeling",
)
"""Classes whose decoder makes encoder_stride² pixels of each of its tokens."""


@rule("stride-is-not-patch", "warning")
def stride_of_decoder(facts: Facts) -> Iterator[Finding]:
    """encoder_stride of a model for masked image modeling is not the side of what one token stands for: a patch, and
    in Swin a patch doubled by each stage after the first. Each token is decoded to encoder_stride × encoder_stride
    pixels, so the decoded image has another size, and a forward with masked patches raises.
    """
    stride, patch, depths = (facts.field(name) for name in ("encoder_stride", "patch_size", "depths"))
    if facts.target.class_name not in MASKED or not isinstance(stride, int) or not isinstance(patch, int):
        return
    merges = len(depths) - 1 if isinstance(depths, (list, tuple)) else 0
    if stride != (side := patch * 2**merges):
        given = (("encoder_stride", stride), ("patch_size", patch))
        blame = tuple(Quantity("patch", name, value, facts.json_fields.get(name)) for name, value in given)
        note = "a forward with bool_masked_pos raises: each token is decoded to encoder_stride × encoder_stride pixels"
        meant = f"patch_size {patch}" + (f" · 2^{merges} = {side}" if merges else "")
        yield Finding(f"encoder_stride {stride} is not {meant}", blame, (note,), ({"encoder_stride": side},))
