"""Makes fixes that might let a forward run; each module yields one kind, none is offered before it was tried.

Other rooms use the records (`records`), and of `inputs`, `parameters`, `settings` and `calls` what makes them.
"""
