"""Recognises why a call failed: one file for each cause, found without a list. No torch.

Finders look at shapes, dtypes and numbers, never at the text of torch's message, which differs between devices and
releases. Other rooms use `cause_of`; importing the files registers what the codes mean.
"""

from vit_trace.base.modules import import_all
from vit_trace.diagnose.cause import Cause, found_causes
from vit_trace.diagnose.scene import Scene


def cause_of(scene: Scene) -> Cause:
    """Why the failing call failed."""
    import_all(__name__)
    return next(cause for _, cause in found_causes(scene))
