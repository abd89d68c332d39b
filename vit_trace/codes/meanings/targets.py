"""Why the model that was named cannot be had, built or fed."""

MEANINGS: dict[str, str] = {
    "unknown-target": """
The word names no model and no file.
A spec is FILE.yaml, timm:NAME, hf:NAME, torchvision:NAME, config.json, FILE.py:NAME or package.module:NAME.
""",
    "unknown-model": """
The library has no model of that name. The help names those that are spelt most like it; `vit-trace models 'timm:*vit*'`
lists what there is.
""",
    "library-missing": """
The model belongs to a library that is not installed. The help gives the command that installs it.
""",
    "library-broken": """
The library is installed and cannot be imported: often its version does not fit that of torch.
""",
    "no-weights": """
A trace needs no weights and fetches none, so options that ask for them are refused.
""",
    "no-such-file": """
There is no such file, or no config.json in the directory.
""",
    "no-such-module": """
There is no Python module of that name on the path; a file is named with its ending: path/model.py:build.
""",
    "no-such-name": """
The Python file or module has no class or function of that name. The help names those it has.
""",
    "no-factory": """
A Python file is named without the class or function in it that builds the model.
Example: my_model.py:build
""",
    "not-python": """
The file is not Python: it has a syntax error, or another ending.
""",
    "import-failed": """
The Python file or module raised while it was imported. Its line and its words are shown.
""",
    "not-a-model": """
What was named, or what it returned, is no torch.nn.Module, nor a class or function that makes one.
""",
    "not-callable": """
What was named is a model already, so that --set has no constructor to set anything of. Name the function that
builds it.
""",
    "missing-hyperparameter": """
The constructor has arguments without a default. --set gives them.
Example: --set dim=192 --set heads=3
""",
    "unknown-hyperparameter": """
The constructor or config has no such hyperparameter. The help names the one that is spelt most like it.
""",
    "bad-value": """
A hyperparameter is given a value that it cannot have.
Example: --set depth=deep. It takes a whole number.
""",
    "flag-of-the-builtin": """
--dim, --heads and the like are the built-in ViT's. Another model's hyperparameters are set under its own names.
Example: --set num_heads=6
""",
    "unreadable-config": """
The config.json cannot be read; the message gives the reason.
""",
    "not-json": """
The config.json is not JSON. The place where it stops being so is shown.
""",
    "not-a-config": """
The file is JSON and no model's config: it is no object, or has no model_type.
""",
    "remote-code": """
The config's model is Python code on a hub, and none is fetched. Name the class in a file that is here.
""",
    "not-a-vision-model": """
The config is of a model that sees no images, so no input can be worked out for it. --input gives one.
Example: --input input_ids=2x16:int64
""",
    "needs-input": """
What the model's forward takes cannot be worked out. --input gives it, one for each argument.
Example: --input pixel_values=2x3x224x224 --input mask=2x196:bool
""",
    "bad-input": """
--input is not a shape with an optional name and dtype, or names an argument twice.
Example: --input 2x3x224x224, --input mask=2x196:bool
""",
}
