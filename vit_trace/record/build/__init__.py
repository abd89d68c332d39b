"""Builds models without memory (`anyhow`), and watches what their constructors work out (`construction`)."""
