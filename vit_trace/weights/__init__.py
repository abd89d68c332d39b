"""Reads checkpoints: what a file of weights holds, which model it belongs to, and whether it fits another one.

Other rooms use `files.read` (names, shapes and dtypes, without reading a value or running anything in the file), the
records of `data` and `describe`, `holding` (a summary, and the model it belongs to) and `fit.fit` (one diagnostic for
each cause, with remedies). causes/ and layouts/ hold what is recognised. Only `fit` imports torch, to build the target.
"""

from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.files import read

__all__ = ["Checkpoint", "Entry", "read"]
