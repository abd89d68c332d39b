"""Says what the codes for unreadable files of weights mean; `weights.causes` has the codes of those that do not fit."""

MEANINGS: dict[str, str] = {
    "checkpoint-unreadable": """
There is no such file, it is not a regular file, it cannot be read, or a directory holds no checkpoint or several.
""",
    "not-a-checkpoint": """
The file is something else: a Git LFS pointer, an HTML page, HDF5, or an archive without a state dict in it.
""",
    "checkpoint-malformed": """
The file begins like a checkpoint and does not continue like one: it is cut off, or its header contradicts itself.
Example: a tensor of 2×3 float32 values that spans 20 bytes.
The library that would load it refuses it too. Fetch or save the file again.
""",
    "checkpoint-unsafe": """
Loading the file would run code: its pickle names a function or a class that is not a tensor, or it is TorchScript.
Example: a pickle that would call posix.system.
Nothing was executed. torch.load with weights_only=True refuses such files too. A whole pickled model or a training
script's argparse.Namespace is usually harmless, but is refused too: save only model.state_dict().
""",
    "checkpoint-too-large": """
A header, an archive's directory or a pickle asks for far more memory than names and shapes take, as a zip bomb does.
""",
    "checkpoint-shards": """
The index of a checkpoint and its files do not belong together: a file is missing, a tensor is in none or in two of
them, or the index names a file outside its own directory.
""",
    "no-config": """
The checkpoint cannot be written as a config: its layout is not known, or its library has no config for all of it.
""",
}
