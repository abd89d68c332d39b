"""Gives every dimension a formula and computes with formulas. No torch.

Other rooms use `name.name_dims` (formulas from traces at other settings), `symbols.shorten` and `symbols.split`,
`values.at` (a trace at other values), `explain.meanings` (what a size means), `origin` (what it is made of), `walk`
(stage_keys), `saved` (formulas of a saved trace), `allowed` (rules for whole numbers), `solve` (values at which sizes
agree), `costs` (the rules of FLOPs), and `formula` for formulas themselves: `parse`, `evaluate`, `symbols_of`,
`on_screen`.
"""
