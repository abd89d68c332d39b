"""What is wrong with the command itself: files, formats, names that were asked for."""

MEANINGS: dict[str, str] = {
    "usage": """
The words of the command do not make one: too many, too few, an option's value that cannot be read. `vit-trace --help`
and `vit-trace VERB --help` say what there is.
""",
    "unknown-flag": """
There is no such flag. The help names the one that was likely meant. Hyperparameters of models other than the built-in
ViT are set with --set NAME=VALUE.
""",
    "missing-value": """
A flag takes a value, and the next flag follows instead.
Example: --dim --depth 4
""",
    "two-configs": """
Two YAML files are given, one as the spec and one with --config. Name one, and set what differs with flags.
""",
    "unknown-suffix": """
-o takes the format from the file's ending, and this one names none.
""",
    "unknown-value": """
An option takes one of a few words, and was given another. The help names them.
""",
    "no-such-format": """
The view that was asked for cannot be written in that format.
""",
    "cannot-write": """
The output file cannot be written; what stood there before is untouched.
""",
    "unreadable-trace": """
The saved trace cannot be read; the message gives the system's reason.
""",
    "not-a-trace": """
The file is not a trace that vit-trace saved. Save one with: vit-trace --format json > trace.json
""",
    "no-listing": """
The trace was saved without the model's source, so its source cannot be shown. Save it with --view source -o trace.json.
""",
    "no-source": """
The annotated source cannot be written as a Python file.
""",
    "cannot-evaluate": """
--with changes a quantity that the saved trace's formulas cannot follow; the message says which.
""",
    "no-such-size": """
No dimension of the trace has this size. The help names the sizes nearest to it.
""",
    "no-such-stage": """
No stage of the trace has this name. A glob such as '*layers.3*' names several.
""",
    "no-such-quantity": """
The config has no whole number of that name to suggest values for. The help names those it has.
""",
    "needs-memory": """
--optimizer, --precision and --checkpointing say how to train; they count only where --memory says on how large a GPU.
Example: check SPEC --memory 24GiB --optimizer sgd
""",
    "no-such-model": """
No model of timm, Hugging Face or torchvision has a name that fits the glob. A word without * fits where it stands in a
name.
Example: vit-trace models '*swin*'
""",
    "no-match": """
No file or model fits the pattern, or the directory holds no config.
""",
}
