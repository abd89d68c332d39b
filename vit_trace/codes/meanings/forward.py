"""A forward, or a constructor, that failed."""

MEANINGS: dict[str, str] = {
    "broadcast": """
Two tensors meet in one operation (x + pos_embedding) and on some axis have different sizes, neither of them 1.
Example: x is 2×82×1024, pos_embedding is 1×65×1024: 82 tokens against 65 positions.
The notes say what each size is made of and who made it. Most often a position embedding was made for another image
size: build the model for the size of the input, feed it the size it was built for, or interpolate the embedding.
""",
    "linear": """
A linear layer is given another number of features than it was built for: the last axis of its input is not in_features.
Example: blocks.1.mlp.2 takes 700 features, its input 2×197×768 has 768.
One of the two layers was built with another width, or axes were exchanged or not flattened on the way. The notes name
the layer that made the features, and what the same layers of the other blocks have.
""",
    "matmul": """
A matrix product (matmul, @, bmm, einsum, attention) of tensors whose inner sizes differ.
Example: q 2×5×6 @ k 2×8×5: 6 is not 8. The last size of the first has to be the last but one of the second.
A transpose is missing, or the two sides were projected to different widths.
""",
    "cat": """
Tensors that are joined by cat have to agree on every axis but the joined one, and have the same number of axes.
Example: cls_token 2×1×10 and x 2×5×8 along axis 1: 10 is not 8.
""",
    "stack": """
Tensors that are stacked have to have one shape.
""",
    "reshape": """
view, reshape or unflatten to sizes that do not multiply to the number of values there are.
Example: 2×7×576 to 2×7×3×5×38: 576 is not 3·5·38 = 570, since C = 192 is not a multiple of heads = 5.
The sizes that stay are left out; the note names the number that was divided with a remainder.
""",
    "window": """
A window that does not tile the grid it is laid over: the grid has to be a multiple of the window.
Example: h = 64 is not a multiple of window_size = 7.
Take a window that divides the grid, or an image whose grid it divides.
""",
    "split": """
split with parts that do not add up to the axis that is split.
""",
    "chunk": """
chunk, split or unbind gave another number of parts than names to take them.
Example: chunk(3) of an axis of 2 gives 2 parts. chunk gives fewer parts, not smaller ones, where an axis is too short.
""",
    "unpack": """
An assignment to several names from something that has another number of values: h, w = self.grid of three numbers,
h, w = x.shape[1] of one.
""",
    "expand": """
expand and broadcast_to can only make axes of size 1 larger.
Example: tokens has 2 on axis 0 and cannot be expanded to 4: made for one batch size, used with another.
""",
    "einops-rank": """
An einops pattern names another number of axes than the tensor has.
Example: b c h w for a tensor 3×224×224: the batch axis is missing.
""",
    "einops-divide": """
An axis that an einops pattern takes apart is not a multiple of what is known of its parts.
Example: (h p1) of size 250 with p1 = 32. The image has to be a multiple of the patch, the width one of the heads.
""",
    "einops-length": """
An einops pattern gives an axis a length that it does not have, or one name two lengths.
""",
    "conv-channels": """
A convolution is given another number of channels than it was built for.
Example: patch_embed.proj takes 3 channels, its input 1×1×224×224 has 1.
Feed images with those channels, or build the model with in_channels of the images. If the channels stand last
(batch, height, width, channels), permute the input.
""",
    "kernel": """
A convolution's kernel is larger than the image that it slides over: a patch larger than the image, or an image that
has been halved too often on the way.
""",
    "norm-size": """
A normalisation was built for another width (LayerNorm, RMSNorm) or other channels (BatchNorm, GroupNorm) than its input
has, or has groups that do not divide the channels.
""",
    "attention-width": """
nn.MultiheadAttention is given tokens of another width than its embed_dim.
""",
    "attention-mask": """
A mask of attention is of another size than queries and keys, or queries and keys are of different batches.
Example: key_padding_mask 2×196 for 197 keys: made before the class token was put in front.
nn.MultiheadAttention takes a key_padding_mask of batch × keys and an attn_mask of queries × keys; without
batch_first=True it takes the first axis of its inputs for the tokens.
""",
    "missing-batch-axis": """
The input has one axis less than the model takes: one image without the batch axis in front.
Example: 3×224×224 for a model that takes b×3×224×224. x.unsqueeze(0) makes a batch of one.
""",
    "extra-batch-axis": """
The input has one axis more than the model takes: a batch of batches, often from a data loader that adds its own.
""",
    "channels-last": """
The image's channels stand last (batch, height, width, channels), as most image libraries keep them; torch's models
take them behind the batch. x.permute(0, 3, 1, 2) moves them.
""",
    "mixed-axes": """
The input's axes stand in another order than the model takes them: the sizes of two of them are those that a layer and
its input disagree about, and with them exchanged it runs.
""",
    "wrong-rank": """
A tensor has another number of axes than the code takes: b, c, h, w = x.shape of a tensor with three axes, an axis named
that is not there, a layer given a tensor without batch or with one axis too many.
""",
    "index": """
A place is asked for that is not there: x[:, 9] of an axis of 9, a row that an embedding does not have, a mask of
another size, the fifth of a list of four. Where the values of an index decide, the notes give its lowest and highest.
Example: pos has 196 rows and is asked for row 196: token ids and positions count from 0.
""",
    "permute": """
permute names an axis twice, and so leaves one out. It takes every axis once, in the order that they are to have.
Example: permute(0, 3, 3, 1) of four axes names 3 twice, and 2 not at all.
""",
    "gather": """
gather and scatter take an index that is no longer than the tensor on any axis but the one it runs along; scatter's is
no longer than what is scattered either.
Example: the index 2×4×17 is longer than x 2×9×16 on axis 2.
""",
    "view": """
view only gives a new shape to values that lie in a row. After a transpose or permute they do not, though the sizes
would do: x.transpose(1, 2).view(2, -1). reshape copies where it has to; x.contiguous().view(…) does the same.
""",
    "dtype": """
Two dtypes meet in one layer or product: half precision images in float weights, images of whole numbers, token ids that
are not whole. torch converts neither. On the meta device this passes, a real run stops: so it is reported all the same.
Convert the input (x.float()) or the model (model.half()).
""",
    "assertion": """
The model's own code refused: an assert or raise of its author. The text is theirs; the notes add the numbers that the
line speaks of, and what was tried shows which inputs it takes.
""",
    "wrong-call": """
forward was called with arguments that it does not take, or without some that it needs; a layer was given a tuple of
tensors instead of one of them; a size is no whole number (a / b, where a // b is meant).
""",
    "forward-failed": """
forward raised, and no cause is known that would say more than Python does. The stages up to there, the operands and the
numbers of the frame are shown. If the sizes explain it, please report it: it is a cause worth having.
""",
    "build-failed": """
The constructor raised, so there is no model to trace. The notes give the numbers that met in the line that raised, the
help values that were tried and do build.
""",
    "internal-defect": """
vit-trace itself failed while it recorded. The model is not to blame. The stages recorded so far are shown; please
report it with the traceback.
""",
}
