"""`check --checkpoint`: files of weights that cannot be read, and those that do not fit."""

MEANINGS: dict[str, str] = {
    "checkpoint-unreadable": """
There is no such file, it is no regular file, it may not be read, or a directory has no checkpoint or several.
""",
    "not-a-checkpoint": """
The file is something else: a Git LFS pointer, an HTML page, HDF5, or an archive without a state dict in it.
""",
    "checkpoint-malformed": """
The file begins like a checkpoint and does not go on like one: it is cut off, or its header contradicts itself.
Example: a tensor of 2×3 float32 values that spans 20 bytes.
The same is refused by the library that would load it. Fetch or save the file again.
""",
    "checkpoint-unsafe": """
Loading the file would run code: its pickle names a function or a class that is no tensor, or it is TorchScript.
Example: a pickle that would call posix.system.
Nothing of it was executed. torch.load with weights_only=True refuses such files too. A whole pickled model or a
training script's argparse.Namespace is most often harmless, and is refused all the same: save only model.state_dict().
""",
    "checkpoint-too-large": """
A header, an archive's directory or a pickle asks for far more memory than names and shapes take: a zip bomb, for one.
""",
    "checkpoint-shards": """
A checkpoint of several files whose index and files do not belong together: one is missing, a tensor is in none or in
two, or the index names a file outside its own directory.
""",
    "checkpoint-model": """
Hardly a tensor of the model is in the checkpoint: it is of another architecture.
""",
    "checkpoint-naming": """
The checkpoint has the names of another library (timm, transformers, vit-pytorch, torchvision, the original JAX ViT).
The notes show which name is which; shapes are compared under that mapping.
""",
    "checkpoint-prefix": """
All names start with a prefix that the model's names do not have, or the other way round: module. of DataParallel,
_orig_mod. of torch.compile, model. or backbone. of a training framework.
""",
    "checkpoint-qkv": """
One side keeps the weights of q, k and v in one tensor, the other in three. They are the same rows one after the other.
""",
    "checkpoint-image-size": """
The position embedding has a row for each patch, so it belongs to one image size and patch size.
Example: 577 = 24·24 + 1 positions for 384×384 with patch 16; 197 = 14·14 + 1 for 224×224.
Build the model for the checkpoint's image size, or interpolate the embedding to the new grid.
""",
    "checkpoint-patch": """
The first layer takes patches of another size. Its weights cannot be used for it without resampling them.
""",
    "checkpoint-width": """
The tokens have another width, so that no layer fits.
""",
    "checkpoint-inner": """
Attention is heads · dim_head wide inside, and the two differ in that.
""",
    "checkpoint-mlp": """
The hidden layers of the feed-forward have another width.
""",
    "checkpoint-depth": """
The two have different numbers of layers.
""",
    "checkpoint-channels": """
The images have another number of channels.
""",
    "checkpoint-heads": """
Queries, keys and values are cut into another number of heads. Every shape agrees, so that loading works, and every
output is wrong. Heads are known of a checkpoint only where something tells them: a config.json beside it, JAX' kernels,
tables of relative positions, norms of the queries.
""",
    "checkpoint-tokens": """
One side has a class, distillation or register token that the other has not, or another number of them.
""",
    "checkpoint-pool": """
timm keeps the last norm as norm where a token is read out, as fc_norm where the mean is. The two differ in that.
""",
    "checkpoint-window": """
Tables of relative positions have (2·window - 1)² rows: they belong to one window, or one image size.
""",
    "checkpoint-classes": """
The head has another number of classes. All other tensors can be used, as one does for fine-tuning: so it is a warning.
Loading stops at it all the same, with strict=False too: drop the head's tensors first. --strict makes it count.
""",
    "checkpoint-no-head": """
Only one of the two has a head. All other tensors can be used: so it is a warning.
""",
    "checkpoint-missing": """
The model has tensors that the checkpoint has not, for no reason that would be known. They would keep random values.
""",
    "checkpoint-unexpected": """
The checkpoint has tensors that the model has no place for. Left out, the model computes something else than it was
trained to; a warning only where what is left out stands behind the tokens (a pooler, a projection).
""",
    "checkpoint-shape": """
Tensors have another shape in the model for no reason that would be known.
""",
    "checkpoint-dtype": """
The checkpoint keeps weights as whole numbers or in eight bits, the model does not: it was quantised, and copying its
values without their scales gives a model that computes nonsense. Half precision is no reason for it: that is converted.
""",
    "no-config": """
The checkpoint cannot be written as a config: its layout is not known, or no config of its library says all that it has.
""",
}
