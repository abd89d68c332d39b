"""Records one forward as a Trace.

Other rooms use `record.record` (record, RecordOptions), `rungs` (trace_anyhow, RUNGS), `build.anyhow` (build_anyhow),
`source.listing` (listed), `source.makers` (Makers), and `raised` for the facts of a crash.
"""
