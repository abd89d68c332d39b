"""Reads checkpoints: what a file of weights holds, which model it belongs to, and whether it fits another one.

Other rooms use `files.read` (names, shapes and dtypes, without reading a value or running anything in the file), the
records of `data`, `mapping` and `describe`, `holding` (a summary, and the model it belongs to), `fit.fit` (one
diagnostic for each cause, with remedies) and `loading` (which applies them to a model at hand). causes/ and layouts/
hold what is recognised. Only `fit` and `loading` import torch, to build the target and to fill it.
"""

from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.files import read

__all__ = ["Checkpoint", "Entry", "read"]
