"""Holds what every room uses.

`trace` (the records of a trace), `refused` (refuse, Refused), `words` (how sizes are written), `roles` (what libraries
call each hyperparameter), `modules` (import_all), `numbers` (numbers_near, divisors), `limits` (require_within),
`network` (connections refused), `leaving` (exceptions that end a program), `imports` (libraries that do not import).
"""
