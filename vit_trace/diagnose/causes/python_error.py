"""Python refuses a line of the model: an attribute, a variable or a key that is not there, arguments that a function
does not take, a value of another type than the line needs. The message is Python's own; if a name is misspelled, the
notes give what is near: names of the module's layers and parameters, the object's attributes, the variables.
"""

import linecache
import re
from collections.abc import Iterator, Mapping

from vit_trace.base.trace import Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.changes.calls import first_of_several
from vit_trace.diagnose.scene import Scene, frame_note

PYTHON = CauseKind("python-error", __doc__)

LONGEST_HEADLINE = 100
"""Characters of Python's message in the headline; a longer one is left to a note."""


@finds("python", turn=Turn.LATE, edits=[first_of_several])
def line_refused(scene: Scene) -> Cause:
    """`self.headx(x)` where the layer is called head."""
    kind, said = scene.raised
    said = " ".join(said.split())
    text = f"{kind}: {said}" if len(said) <= LONGEST_HEADLINE else f"{scene.name} raised {kind}"
    notes = [*nearby_notes(scene.failure.arguments)]
    if kind in ("TypeError", "AttributeError"):
        notes += _container_note(scene, said)
    return Cause(PYTHON, text, (*notes, *(frame_note(scene) if not notes else ())))


def nearby_notes(found: Mapping[str, Value]) -> Iterator[str]:
    """What `names_nearby` found, in words."""
    near, assigned, signature, hidden = (found.get(name) for name in ("near", "assigned", "signature", "hidden"))
    if isinstance(near, list) and near:
        yield f"did you mean {' or '.join(f'`{one}`' for one in near)}?"
    if hidden is not None:
        yield f"{hidden} is a property of {found['class']}: an AttributeError in it became this one"
    if isinstance(assigned, list) and assigned:
        lines = f"line{'s' * (len(assigned) > 1)} {', '.join(map(str, assigned))}"
        only = "" if str(found["name"]).startswith("self.") else "only "  # other methods may assign an attribute
        yield f"{found['name']} is assigned {only}on {lines}, which did not run before this line"
    if isinstance(signature, str):
        yield f"it takes {signature}"


def _container_note(scene: Scene, said: str) -> list[str]:
    """self.attn(x, x, x) gives a tuple of 2: the layer on the line that gives a container of tensors, not one."""
    kind = re.search(r"'?(tuple|list|dict|\w+Output\w*)'?", said)
    span, stages = scene.failure.span, [*scene.trace.stages]
    if kind is None or span is None:
        return []
    names = set(re.findall(r"\w+", span.text))
    for stage in reversed(stages):
        there = stage.source
        if stage.kind != "module" or there is None or there.file != span.file or not stage.outputs:
            continue
        bound = re.match(r"\s*(\w+) = ", linecache.getline(there.file, there.line)) if there.line < span.line else None
        several = stage.outputs[0].path != ""
        if several and (there.line == span.line or (bound is not None and bound[1] in names)):
            shapes = ", ".join(f"{one.path} {shape_text(one.shape)}" for one in stage.outputs[:4])
            return [f"{stage.name} gives a {kind[1]} of {len(stage.outputs)}, pass on the one that is meant: {shapes}"]
    return []
