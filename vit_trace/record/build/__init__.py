"""Builds models without memory (`anyhow`), recognises programs (`captured`), watches constructors (`construction`)."""
