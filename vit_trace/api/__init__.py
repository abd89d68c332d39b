"""Hands a trace to a program: its stages by name, its sizes at other settings, its screens and files. No torch.

Other rooms use `traced` (Traced, what `vit_trace.trace` returns), `tracing` (trace_of_call, trace_of_spec), `around`
(recorded_block) and `checked` (what `vit_trace.check` returns).
"""
