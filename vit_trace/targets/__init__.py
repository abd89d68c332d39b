"""Turns what the user typed into a target. Other rooms use `Request` of `request`, `Target` of `target`, `spec`
(`foreign_target`, `is_foreign`, `no_spec`), `builtin`, `library` (`listed_models`), `knobs` and `complaints`.
"""
