"""Traces targets and finds formulas by tracing them at other sizes. Other rooms use `run.run_target`."""
