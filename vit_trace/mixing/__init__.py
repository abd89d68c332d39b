"""Measures what depends on what: a small copy of the model is run for real, and its input is changed in one place.

Sizes do not show this. Other rooms use `measure` (measure, Measured), `mixes` (what each stage mixes) and what asks of
the copy: `aligned`, `attention`, `coordinates`, `heads`, `readout`, `sums`, `tables` and `unused`.
"""
