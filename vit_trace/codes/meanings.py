"""Says what the codes mean that several places give, or rooms that import torch; causes and rules register their own.

An entry begins with its code; further lines are indented. A line that ends with a full stop ends a paragraph.
"""

import re

from vit_trace.codes.registry import Area, register

MEANINGS: dict[Area, str] = {
    "failure": """
build-failed: The constructor raised, so there is no model to trace. The notes give the numbers that met in the line
  that raised, the help values that were tried and do build.
loader-failed: The function or file that was to give a model ran a data loader, and that raised: most often images of
  several sizes in one batch. Give a function that only builds the model, or resize the images.
recomputed-otherwise: A checkpointed block is computed again in backward, and gives tensors of another shape than in
  the forward: it keeps something from one call to the next, or looks at what changes between them.
  Example: a block that appends to a list and concatenates all of it sees one tensor more each time.
out-of-memory: The device is out of memory, although one training step of this model and batch fits it by count: other
  tensors of the program, other programs or the allocator's fragments hold the rest.
backward-failed: backward raised. The diagnostic points at the line of the forward whose gradient it was: a tensor that
  is needed for a gradient was changed in place, or a function of the program's own gives a gradient of another shape.
array-shapes: NumPy refused arrays, in an augmentation, a data set or a metric. The arrays of the line are shown with
  their shapes; most often one image has its channels last, as files have them, and the other first, as torch has them.
  Example: img 64×64×3 and noise 3×64×64.
internal-defect: vit-trace itself failed while it recorded. The model is not to blame. The stages recorded so far are
  shown; please report it with the traceback.
""",
    "silent": """
shapes-change: `run --steps` saw a training step that feeds other shapes than the step before: most often the last batch
  of an epoch, which is smaller. drop_last=True in the DataLoader leaves it out.
branch-on-values: An `if` of the model reads a value of a tensor, and a trace on the meta device has no values: the
  condition was taken as true. A real run may take the other branch, and other stages then follow.
formulas: Some sizes stay numbers, or all: the model could not be traced at enough other settings for a formula to be
  certain. The message says why. The shapes are right either way.
structure: `show --with` asks for a value at which the model has other stages, or may have: a probe with such a value
  had other stages. The sizes shown are those of the stages that were traced.
""",
    "config-check": """
preprocessor-size: preprocessor_config.json makes images of another size than the config says, and the model fails at
  that size, which was tried. Models that take any size get no warning.
  Example: image_size 224 in config.json, size 256 in preprocessor_config.json.
own-code-imported: The config names a class of your own code in _target_ or class_path, which was imported and built.
  --no-import forbids that.
search-cut-off: `check` tries each value before it offers it. The work for one search is limited, counted in traced
  stages, and this search ended at the limit: a value that was not tried may work too.
  Example: remedies: 5 tried, 3 not tried: the limit is 6,000 traced stages.
""",
    "checkpoint": """
checkpoint-nested: load_state_dict was given what torch.load gave, and the state dict is one of its values: the others
  are the optimizer's state, the epoch and the like.
  Example: checkpoint["model"] instead of checkpoint.
optimizer-state: The state of an optimizer does not go with the parameters of this one: a group has another number of
  them, or there are other groups. The state was saved for another model, or with other parameters frozen; an optimizer
  keeps them by place, so their order counts too.
  Example: the saved state has 32 parameters in group 0, the optimizer has 44.
checkpoint-unreadable: There is no such file, it is not a regular file, it cannot be read, or a directory holds no
  checkpoint or several.
not-a-checkpoint: The file is something else: a Git LFS pointer, an HTML page, HDF5, the state of an optimizer, or an
  archive without a state dict in it.
checkpoint-malformed: The file begins like a checkpoint and does not continue like one: it is cut off, or its header
  contradicts itself.
  Example: a tensor of 2×3 float32 values that spans 20 bytes.
  The library that would load it refuses it too. Fetch or save the file again.
checkpoint-unsafe: Loading the file would run code: its pickle names a function or a class that is not a tensor, or it
  is TorchScript.
  Example: a pickle that would call posix.system.
  Nothing was executed. torch.load with weights_only=True refuses such files too. A whole pickled model is usually
  harmless, but is refused too: save only model.state_dict().
no-mapping: -o mapping.json was asked for, and the checkpoint cannot be loaded whole into the model: the diagnostics say
  why; or several models were named.
checkpoint-too-large: A header, an archive's directory or a pickle asks for far more memory than names and shapes take,
  as a zip bomb does.
checkpoint-shards: The index of a checkpoint and its files do not belong together: a file is missing, a tensor is in
  none or in two of them, or the index names a file outside its own directory.
no-config: The checkpoint cannot be written as a config: its layout is not known, or its library has no config for all
  of it.
""",
    "memory": """
does-not-fit: The tensors of a training step take more than --memory allows. The step (forward, backward and the
  optimizer) runs on the meta device; the storage of every tensor counts while it is alive. The peak is that of the
  second and every later step, which hold the optimizer's state from the start.
  Example: a training step at batch 64 takes 10.4 GiB, 2.4 GiB more than 8.0 GiB.
  The values in the help were run: a smaller batch, --checkpointing (the repeated blocks keep only their inputs and are
  computed again in backward), --precision bf16-mixed (float32 parameters, bfloat16 by torch.autocast), --precision
  bf16.
  A GPU holds more than tensors: workspaces of kernels, rounding and fragmentation of the allocator; it also chooses its
  attention kernel itself. Leave some room.
memory-not-known: The model does not run a training step on the meta device (its forward reads values, or its outputs
  have no gradient), so --memory cannot say whether it fits.
""",
    "config": """
patch-divides-image: The patches must tile the image: its height is a multiple of the patch height, its width of the
  patch width.
  Example: 250 = 7·32 + 26. The help gives the nearest multiples of the patch and divisors of the image.
patch-exceeds-image: One patch is larger than the whole image.
  Example: patch_size 32 for image_size 16.
impossible-value: The value has the right type but no model can have it: a size of 0, a rate above 1, a pool that does
  not exist.
  Example: dropout: 1.5. It takes a number from 0 to 1.
wrong-type: The value has another type than the key takes.
  Example: depth: six, or dim: 512.0. It takes a whole number.
unknown-key: There is no hyperparameter of that name. The help gives the one of the nearest spelling or the same
  meaning.
duplicate-key: The file sets a key twice. YAML readers silently take one or the other, so it is refused.
assignment: --set takes KEY=VALUE.
  Example: --set dim=512
too-many-problems: The file has so many problems that the rest of it was not read. Fix the ones shown first.
config-not-found: There is no such file. The help lists files with similar names.
config-unreadable: The file exists but cannot be read; the message gives the system's reason.
config-too-large: The file is too large to be a config, or holds far too many values.
not-a-file: A YAML file is needed; this is a directory, a pipe or a device.
not-utf8: A config is text in UTF-8. The message gives the first byte that is not.
empty-config: The file sets nothing.
  Example of a setting: image_size: 256
not-a-mapping: A config is keys with values, one a line; this is a list or a single text. A colon needs a space after
  it.
  Example: dim:512 is a text, dim: 512 sets dim.
control-character: The file holds a control character, which YAML does not allow.
yaml-syntax: The file is not YAML. The message is the YAML reader's, with the place where it stopped.
yaml-alias: An alias (*name) has no anchor before it, or aliases make the file hold more than 50,000 values.
yaml-tag: A value of the model has a tag (!name), which is not read: a config only holds numbers and names.
yaml-nesting: Values are nested deeper than 24 levels.
not-toml: The file is not TOML. The place of the syntax error is shown.
unresolved-value: A value of the model refers to something that there is not (${...}), stands for one that has to be
  given (???), or is Python code, which is not run. The environment is not read: oc.env counts as unset.
  Example: --set model.num_classes=10 gives the value.
hydra-defaults: Hydra cannot compose the file with what its defaults list names. The message is Hydra's own.
yaml-documents: A file holds one config; here a second YAML document starts at ---.
""",
    "target": """
unknown-target: There is no model or file of that name.
  A spec is FILE.yaml, LIBRARY:NAME as `vit-trace models` lists them, config.json, FILE.py:NAME or package.module:NAME.
unknown-model: The library has no model of that name. The help gives names of similar spelling; `vit-trace models
  'timm:*vit*'` lists what there is.
model-raised: Code of the model, such as an own `parameters` or `__getattr__`, raised while vit-trace looked at the
  model. The message and the line are the model's own.
needs-download: The model's code, or a library it uses, asks the network for weights, a config or code. vit-trace
  refuses every connection at once but those to this machine. --allow-network lets the code use the network.
  Example: "backbone": "microsoft/resnet-50" in a config.json. Put the config of that model into `backbone_config`.
over-limit: The model passes a limit that keeps a mistyped number or a loop from taking hours: 10,000 modules,
  10,000,000,000 elements in one parameter, 50,000,000 values that are filled, 1,000,000 classes, 100,000 values in a
  list; 65,000 calls of torch in one constructor, 10,000,000 lines of Python in one or in an import; 30,000 steps in
  one forward. --limit raises it.
  Example: --limit modules=200000
library-missing: The model belongs to a library that is not installed. The help gives the command that installs it.
library-broken: The library is installed but cannot be imported, often because its version does not fit that of
  torch, or because a file of yours has its name and Python takes it for the library.
no-weights: A trace needs no weights and downloads none, so options that ask for weights are refused.
no-such-file: There is no such file, or no config.json in the directory.
no-such-module: There is no Python module of that name on the path. Give a file with its suffix: path/model.py:build.
no-such-name: The Python file or module has no class or function of that name. The help lists those it has.
no-factory: The spec gives a Python file without the class or function in it that builds the model.
  Example: my_model.py:build
not-python: The file is not Python: it has a syntax error, or another suffix.
import-failed: The Python file or module raised an exception on import. The line and the exception are shown.
trains-on-import: The file computes gradients or reads a data loader when it is imported, so a trace of what it defines
  would first have to train. vit-trace ends it there. vit-trace run runs a script as a script.
  Example: vit-trace run --first train.py
not-a-model: The object that was named, or that it returned, is neither a torch.nn.Module nor a class or function that
  makes one.
not-callable: The object that was named is already a model, so --set has no constructor to pass values to. Name the
  function that builds it.
missing-hyperparameter: The constructor has arguments without a default. --set gives them.
  Example: --set dim=192 --set heads=3
unknown-hyperparameter: The constructor or config has no such hyperparameter. The help gives names of similar spelling
  or meaning.
bad-value: A hyperparameter cannot have the given value.
  Example: --set depth=deep. It takes a whole number.
flag-of-the-builtin: --patch-size, --dim, --depth, --heads and the like set what means the same in another model. This
  model has no argument that is known to mean it, or one that is not a single number. Set it under its own name.
  Example: --set depths=2,2,6,2
unreadable-config: The config.json cannot be read; the message gives the reason.
not-json: The config.json is not JSON. The place of the syntax error is shown.
not-a-config: No model is known in the file. A model is a mapping with _target_ or class_path, the name of a model of
  timm or torchvision, a Hugging Face model_type, arguments of a known training script, or hyperparameters under the
  names of one library. --model-key says where else in the file they stand.
  Example: --model-key net
several-models: The file holds several models, and one has to be named. `check` checks all of them.
  Example: vit-trace configs.yaml:net, or --model-key net
needs-import: The file names code that is not imported: your own, where --no-import forbids it, or code that is neither
  a layer of a library nor in your own directory.
remote-code: The config names Python code or compiled kernels on a hub, and neither is downloaded. Name the class in a
  local file; for attention use one of eager, sdpa and flex_attention.
not-a-vision-model: The config is of a model that takes no images, so its input is unknown. Give one with --input.
  Example: --input input_ids=2x16:int64
needs-input: The inputs of the model's forward cannot be derived. Give one --input for each argument.
  Example: --input pixel_values=2x3x224x224 --input mask=2x196:bool
bad-input: --input is not a shape with an optional name and dtype, or gives an argument twice.
  Example: --input 2x3x224x224, --input mask=2x196:bool
""",
    "usage": """
usage: The command is malformed: a word too many or too few, or an option's value that cannot be read. `vit-trace
  --help` and `vit-trace VERB --help` list what there is.
unknown-flag: There is no such flag. The help names the flag that was probably meant. Set hyperparameters of models
  other than the built-in ViT with --set NAME=VALUE.
missing-value: A flag takes a value, but the next flag follows instead.
  Example: --dim --depth 4
two-configs: Two YAML files are given, one as the spec and one with --config. Name one, and set what differs with flags.
unknown-suffix: -o takes the format from the file's suffix, and this suffix does not name a format. The help lists those
  that do.
unknown-value: An option takes one of a few words, and was given another. The help names them.
no-such-format: This view cannot be written in this format.
cannot-write: The output file cannot be written; a file that was there before is unchanged.
too-many-files: A directory or a glob holds more files or configs than `check` looks through at once. Nothing was
  checked: a report that leaves out files would look like one of all of them. Name a directory inside it.
unreadable-trace: The saved trace cannot be read; the message gives the system's reason.
not-a-trace: The file is not a trace that vit-trace saved. Save one with: vit-trace --format json > trace.json
no-listing: The trace was saved without the model's source, so its source cannot be shown. Save it with --view source -o
  trace.json.
no-source: The annotated source cannot be written as a Python file.
cannot-evaluate: --with changes a quantity that the saved trace's formulas cannot follow; the message says which.
no-such-size: No dimension of the trace has this size. The help names the nearest sizes.
no-such-stage: No stage of the trace has this name. A glob such as '*layers.3*' matches several.
no-such-quantity: The config has no hyperparameter of that name to suggest values for. The help names those it has.
nothing-to-vary: `sizes` asks for the rules of a model that has no number to vary: neither a hyperparameter nor a size
  of its input.
needs-memory: --optimizer, --precision and --checkpointing describe the training step; they need --memory, which gives
  the size of the GPU.
  Example: check SPEC --memory 24GiB --optimizer sgd
no-such-model: No model of timm, Hugging Face or torchvision matches the glob. A word without * matches anywhere in a
  name.
  Example: vit-trace models '*swin*'
no-match: No file or model matches the pattern, or the directory holds no config.
""",
}

for area, entries in MEANINGS.items():
    for entry in re.split(r"\n(?=\S)", entries.strip()):
        code, _, meaning = entry.partition(": ")
        register(area, code, meaning.replace("\n  ", "\n"))
