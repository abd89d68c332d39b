"""Lays out results: formats/ declares each output format; the other files draw screens and pages for them.

Other rooms use `formats` (also `trace.standard`), `diagnostics` (print_diagnostic), `codes` and `explain` (what
`explain` prints), `console`, `legible` and `progress`.
"""
