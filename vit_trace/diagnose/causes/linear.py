"""A linear layer gets a different number of features than it was built for: the last axis of its input is not
in_features.
Example: blocks.1.mlp.2 takes 700 features, its input 2×197×768 has 768.
One of the two layers was built with another width, or axes were exchanged or not flattened on the way. The notes name
the layer that made the features, and what the same layers of the other blocks have.
"""

from math import prod

from msgspec.structs import replace

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.changes.calls import features_moved
from vit_trace.diagnose.changes.inputs import input_width, swapped_axes, usual_channels
from vit_trace.diagnose.changes.patches import patches_note, patches_together
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, axis_note, layer_of, name_in_layer, side

LINEAR = CauseKind(
    "linear", __doc__, usual(sizes=(usual_channels,), last=(swapped_axes, input_width)), edits_suffice=True
)


@finds("linear", tensors=2, edits=[patches_together, features_moved])
def other_features(scene: Scene) -> Cause | None:
    """x @ weight.T: x's last size is in_features."""
    x, weight = scene.operands[:2]
    if not x.shape or len(weight.shape) != 2 or x.shape[-1] == weight.shape[1]:
        return None
    layer, name, given = layer_of(weight, scene), name_in_layer(x), x
    role = _role_in_attention(scene, x)
    if role is not None:
        name, given = f"its {role.name}", role
    text = f"{layer} takes {weight.shape[1]} features, {name} {shape_text(given.shape)} has {x.shape[-1]}"
    sides = (side(x, -1, name), side(weight, 1, layer))
    notes = patches_note(scene, weight.shape[1]) or _features_note(given, weight.shape[1])
    if role is not None and role.name != "query":
        notes = (*notes, f"built with kdim={x.shape[-1]} and vdim={x.shape[-1]} it takes such keys and values")
    return Cause(LINEAR, text, notes, sides)


def _role_in_attention(scene: Scene, x: Operand) -> Operand | None:
    """Inside nn.MultiheadAttention: the query, key or value that a tensor is, with its shape as it was handed in."""
    stage = scene.stage
    if stage is not None and stage.operation != "MultiheadAttention":
        stage = scene.trace.stages[stage.parent] if stage.parent is not None else None
    if stage is None or stage.operation != "MultiheadAttention":
        return None
    for name, spec in zip(("query", "key", "value"), stage.inputs, strict=False):
        if spec.shape[-1:] == x.shape[-1:] and sorted(spec.shape) == sorted(x.shape):
            return replace(x, name=name, shape=spec.shape, dims=spec.dims)
    return None


def _features_note(x: Operand, wanted: int) -> tuple[str, ...]:
    """Axes that were not flattened, or the axis that the features are on."""
    for start in range(1, len(x.shape) - 1):
        if prod(x.shape[start:]) == wanted:
            count = len(x.shape) - start
            return (f"{wanted} = {product_text(x.shape[start:])}: the last {count} axes, not flattened",)
    return axis_note(x, wanted)
