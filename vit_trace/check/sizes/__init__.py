"""Says which numbers each setting of a model may have, as rules: `vit-trace sizes`."""
