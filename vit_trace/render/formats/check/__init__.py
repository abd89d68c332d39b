"""Formats of the verdicts of check: one file each."""
