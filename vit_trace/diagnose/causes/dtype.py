"""Two dtypes meet in one layer or product: half precision images and float weights, images of integers, token ids that
are not integers. torch converts neither. On the meta device this passes, a real run stops: so it is reported all the
same. Convert the input (x.float()) or the model (model.half()).
"""

from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.changes.inputs import conversions
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.dtypes import CONTRACTIONS, NORMS, dtype_clash
from vit_trace.diagnose.scene import Scene

DTYPE = CauseKind("dtype", __doc__, (conversions, *usual()))


@finds(*CONTRACTIONS, *NORMS, turn=Turn.EARLY)
def dtypes_differ(scene: Scene) -> Cause | None:
    """`model.half()(x)`. Early, for dtypes that differ are wrong whatever the shapes are."""
    text = dtype_clash(scene.call, scene.layer, scene.operands)
    return Cause(DTYPE, text) if text else None
