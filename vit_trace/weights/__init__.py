"""Checkpoints: what a file of weights holds, which model it is of, and whether it fits another one.

`read` gives names, shapes and dtypes without reading a value and without running anything that the file says;
`describe` says which model they are of; `fit` compares them with a target, one diagnosis for each cause. Only `fit`
imports torch, to build the target.
"""

from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.files import read

__all__ = ["Checkpoint", "Entry", "read"]
