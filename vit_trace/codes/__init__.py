"""What diagnostic codes mean: `registry` holds it, `meanings` registers what stands beside no code of its own."""
