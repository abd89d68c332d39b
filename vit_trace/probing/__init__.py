"""Traces targets and finds formulas by tracing them at other sizes.

Other rooms use `run.run_target`, `foreign` (ForeignTracer), `variants` (a model with other numbers), `by_image` (a
failed forward at other images), `screening` (shapes) and `bounded` (TooLong).
"""
