"""Formats of the rules of sizes: one file each."""
