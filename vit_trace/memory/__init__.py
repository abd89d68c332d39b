"""Measures what a training step takes, on the meta device.

Other rooms use `options` (the run as typed), `states` (optimizers), `judge.memory_report` (the report, with its budget
and remedies), `report.MemoryReport`, `report.diagnostics`, `subject.Unmeasured` and `functions` (autocast without a
device). Only `options`, `states`, `report`, `tape` and `timeline` need no torch.
"""
