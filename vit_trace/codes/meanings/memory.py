"""What a training run takes."""

MEANINGS: dict[str, str] = {
    "does-not-fit": """
The tensors of a training step take more than --memory allows. A step is run without memory: forward, backward and the
optimizer, every tensor's storage counted while it lives. The peak is that of the second and every later step, which
hold the optimizer's state from the start.
Example: a training step at batch 64 takes 10.4 GiB, 2.4 GiB more than 8.0 GiB.
The help values were run: a smaller batch, --checkpointing (the repeated blocks keep their inputs only and are computed
again in backward), --precision bf16-mixed (float32 parameters, bfloat16 by torch.autocast) and --precision bf16.
Tensor bytes are not all that a GPU holds: kernels' workspaces, the allocator's rounding and fragmentation come on top,
and its attention kernel is chosen there. Leave some room.
""",
    "memory-not-known": """
The model does not run in training without memory (its forward reads values, its outputs have no gradient), so --memory
has no answer. Nothing is said of whether it fits.
""",
}
