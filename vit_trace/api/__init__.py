"""Hands a trace to a program: its stages by name, its sizes at other settings, its screens and files. No torch.

Other rooms use `traced` (Traced, what `vit_trace.trace` returns) and `spec` (trace_spec).
"""
