"""Building a model and recording it: codes of rooms that import torch, and so cannot register them for `explain`."""

MEANINGS: dict[str, str] = {
    "build-failed": """
The constructor raised, so there is no model to trace. The notes give the numbers that met in the line that raised, the
help values that were tried and do build.
""",
    "internal-defect": """
vit-trace itself failed while it recorded. The model is not to blame. The stages recorded so far are shown; please
report it with the traceback.
""",
}
