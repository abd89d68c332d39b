"""Decides what to show of a trace, without laying it out.

Other rooms use `outline` (rows), `narrow` (the part of a trace or listing that was asked for) and `screen` (how the
user wants it shown).
"""
