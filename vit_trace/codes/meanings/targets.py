"""Explains why the named model cannot be loaded, built or given an input."""

MEANINGS: dict[str, str] = {
    "unknown-target": """
There is no model or file of that name.
A spec is FILE.yaml, LIBRARY:NAME as `vit-trace models` lists them, config.json, FILE.py:NAME or package.module:NAME.
""",
    "unknown-model": """
The library has no model of that name. The help gives names of similar spelling; `vit-trace models 'timm:*vit*'` lists
what there is.
""",
    "library-missing": """
The model belongs to a library that is not installed. The help gives the command that installs it.
""",
    "library-broken": """
The library is installed but cannot be imported, often because its version does not fit that of torch.
""",
    "no-weights": "A trace needs no weights and downloads none, so options that ask for weights are refused.",
    "no-such-file": "There is no such file, or no config.json in the directory.",
    "no-such-module": """
There is no Python module of that name on the path. Give a file with its suffix: path/model.py:build.
""",
    "no-such-name": "The Python file or module has no class or function of that name. The help lists those it has.",
    "no-factory": """
The spec gives a Python file without the class or function in it that builds the model.
Example: my_model.py:build
""",
    "not-python": "The file is not Python: it has a syntax error, or another suffix.",
    "import-failed": "The Python file or module raised an exception on import. The line and the exception are shown.",
    "not-a-model": """
The object that was named, or that it returned, is neither a torch.nn.Module nor a class or function that makes one.
""",
    "not-callable": """
The object that was named is already a model, so --set has no constructor to pass values to. Name the function that
builds it.
""",
    "missing-hyperparameter": """
The constructor has arguments without a default. --set gives them.
Example: --set dim=192 --set heads=3
""",
    "unknown-hyperparameter": """
The constructor or config has no such hyperparameter. The help gives names of similar spelling or meaning.
""",
    "bad-value": """
A hyperparameter cannot have the given value.
Example: --set depth=deep. It takes a whole number.
""",
    "flag-of-the-builtin": """
Flags like --dim and --heads are for the built-in ViT. Set another model's hyperparameters under its own names.
Example: --set num_heads=6
""",
    "unreadable-config": "The config.json cannot be read; the message gives the reason.",
    "not-json": "The config.json is not JSON. The place of the syntax error is shown.",
    "not-a-config": "The file is JSON but not a model's config: it is not an object, or has no model_type.",
    "remote-code": """
The config's model is Python code on a hub, and none is downloaded. Name the class in a local file.
""",
    "not-a-vision-model": """
The config is of a model that takes no images, so its input is unknown. Give one with --input.
Example: --input input_ids=2x16:int64
""",
    "needs-input": """
The inputs of the model's forward cannot be derived. Give one --input for each argument.
Example: --input pixel_values=2x3x224x224 --input mask=2x196:bool
""",
    "bad-input": """
--input is not a shape with an optional name and dtype, or gives an argument twice.
Example: --input 2x3x224x224, --input mask=2x196:bool
""",
}
