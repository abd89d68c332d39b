"""Formats of what a checkpoint holds: one file each."""
