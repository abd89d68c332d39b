"""Turns what the user typed into a target.

Other rooms use `request` (Request), `target` (Target, Foreign), `spec` (foreign_target, is_foreign, no_spec),
`builtin`, `at_hand` (a model that is built already), `functions` (a function as a model), `library` (listed_models),
`libraries` (prefixes), `knobs` and `inputs` (sizes that can be varied, inputs that can be given), `assignments`
(literal), `huggingface.configs` (known_fields), `recipe`, `guess` (what to feed a model), `flags` and `methods` (what
flags and bound methods mean), `defined` and `contents` (names in the files of libraries and users) and `complaints`.
A config file is read by `found`: it asks each form in forms/ for the models in it (`model_found`), and `aimed` points
errors about them at the file.
"""
