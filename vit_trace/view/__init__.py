"""Decides what to show of a trace, without laying it out.

Other rooms use `outline` (`rows` of a trace), `ranked` (sorted ones), `beside` (of several traces), `constructor` and
`summary` (what stands around them), `narrow` (the part of a trace or listing that was asked for), `fold` (the tree of
stages), `flow` (who feeds whom) and `screen` (how the user wants it shown).
"""
