"""Records one forward as a Trace.

Other rooms use `record.record` (record, RecordOptions), `around` (code that is no forward), `stopping` (a debugger in
it), `recorder` (TorchCall), `amended` (CalledAgain), `rungs` (trace_anyhow, RUNGS), `build.anyhow` (build_anyhow),
`build.captured` (program_of), `build.construction` (loops_counted), `source.listing` (listed), `source.makers`
(Makers), `source.frames`, of `raised` the facts of a crash (`failure`, `capture`, `programs`, `mishaps`,
`expressions`, `names`), and of `meta` the rules that memory's own are made of (`core`, `arrange`, `contract`,
`reduce`, `collector`, `tensors`).
"""
