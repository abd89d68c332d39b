"""Python refuses a line of the model: an attribute, a variable or a key that is not there, arguments that a function
does not take, a value of another type than the line needs. The message is Python's own; if a name is misspelled, the
notes give what is near: names of the module's layers and parameters, the object's attributes, the variables.
"""

from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.scene import Scene, frame_note

PYTHON = CauseKind("python-error", __doc__)

LONGEST_HEADLINE = 100
"""Characters of Python's message in the headline; a longer one is left to a note."""


@finds("python", turn=Turn.LATE)
def line_refused(scene: Scene) -> Cause:
    """`self.headx(x)` where the layer is called head."""
    kind, said = scene.raised
    said = " ".join(said.split())
    text = f"{kind}: {said}" if len(said) <= LONGEST_HEADLINE else f"{scene.name} raised {kind}"
    notes = []
    near, assigned, signature = (scene.argument(name) for name in ("near", "assigned", "signature"))
    if isinstance(near, list) and near:
        notes.append(f"did you mean {' or '.join(f'`{one}`' for one in near)}?")
    if (hidden := scene.argument("hidden")) is not None:
        notes.append(f"{hidden} is a property of {scene.argument('class')}: an AttributeError in it became this one")
    if isinstance(assigned, list) and assigned:
        lines = f"line{'s' * (len(assigned) > 1)} {', '.join(map(str, assigned))}"
        notes.append(f"{scene.argument('name')} is assigned only on {lines}, which did not run before this line")
    if isinstance(signature, str):
        notes.append(f"it takes {signature}")
    return Cause(PYTHON, text, (*notes, *(frame_note(scene) if not notes else ())))
