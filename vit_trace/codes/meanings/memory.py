"""Says what the codes on the memory of a training step mean."""

MEANINGS: dict[str, str] = {
    "does-not-fit": """
The tensors of a training step take more than --memory allows. The step (forward, backward and the optimizer) runs
on the meta device; the storage of every tensor counts while it is alive. The peak is that of the second and every later
step, which hold the optimizer's state from the start.
Example: a training step at batch 64 takes 10.4 GiB, 2.4 GiB more than 8.0 GiB.
The values in the help were run: a smaller batch, --checkpointing (the repeated blocks keep only their inputs and are
computed again in backward), --precision bf16-mixed (float32 parameters, bfloat16 by torch.autocast), --precision bf16.
A GPU holds more than tensors: workspaces of kernels, rounding and fragmentation of the allocator; it also chooses its
attention kernel itself. Leave some room.
""",
    "memory-not-known": """
The model does not run a training step on the meta device (its forward reads values, or its outputs have no gradient),
so --memory cannot say whether it fits.
""",
}
