"""The forms of configs, as people write down a model: one file each, `FORM` in it all there is to know.

`model` holds what a form finds; `vit_trace.targets.found` looks for models in a file.
"""
