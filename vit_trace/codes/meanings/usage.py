"""Says what each code means that is about the command itself: files, formats, names."""

MEANINGS: dict[str, str] = {
    "usage": """
The command is malformed: a word too many or too few, or an option's value that cannot be read. `vit-trace --help` and
`vit-trace VERB --help` list what there is.
""",
    "unknown-flag": """
There is no such flag. The help names the flag that was probably meant. Set hyperparameters of models other than the
built-in ViT with --set NAME=VALUE.
""",
    "missing-value": """
A flag takes a value, but the next flag follows instead.
Example: --dim --depth 4
""",
    "two-configs": """
Two YAML files are given, one as the spec and one with --config. Name one, and set what differs with flags.
""",
    "unknown-suffix": """
-o takes the format from the file's suffix, and this suffix does not name a format. The help lists those that do.
""",
    "unknown-value": "An option takes one of a few words, and was given another. The help names them.",
    "no-such-format": "This view cannot be written in this format.",
    "cannot-write": "The output file cannot be written; a file that was there before is unchanged.",
    "unreadable-trace": "The saved trace cannot be read; the message gives the system's reason.",
    "not-a-trace": "The file is not a trace that vit-trace saved. Save one with: vit-trace --format json > trace.json",
    "no-listing": """
The trace was saved without the model's source, so its source cannot be shown. Save it with --view source -o trace.json.
""",
    "no-source": "The annotated source cannot be written as a Python file.",
    "cannot-evaluate": """
--with changes a quantity that the saved trace's formulas cannot follow; the message says which.
""",
    "no-such-size": "No dimension of the trace has this size. The help names the nearest sizes.",
    "no-such-stage": "No stage of the trace has this name. A glob such as '*layers.3*' matches several.",
    "no-such-quantity": """
The config has no hyperparameter of that name to suggest values for. The help names those it has.
""",
    "needs-memory": """
--optimizer, --precision and --checkpointing describe the training step; they need --memory, which gives the size of the
GPU.
Example: check SPEC --memory 24GiB --optimizer sgd
""",
    "no-such-model": """
No model of timm, Hugging Face or torchvision matches the glob. A word without * matches anywhere in a name.
Example: vit-trace models '*swin*'
""",
    "no-match": "No file or model matches the pattern, or the directory holds no config.",
}
