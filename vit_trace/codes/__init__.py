"""What diagnostic codes mean. Others use `registry.register` and `codes.explained`."""
