"""Lays out results: formats/ declares each output format; the other files draw screens and pages for them.

Other rooms use `formats` (also `trace.standard`), `diagnostics` (print_diagnostic), `codes` and `answer` (what
`explain` prints), `console`, `legible`, `drawn` (a screen that a program holds), `page.page` (a trace as a page or as a
notebook's cell), `tabular` (the rows of a view as records) and `progress`.
"""
