"""Formats of a trace: one file each."""
