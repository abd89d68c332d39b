"""Traces targets and finds formulas by tracing them at other sizes. Other rooms use `run` and `trace_once` of `run`."""
