"""Judges configs: verdicts with the remedies that were tried.

Other rooms use `options` (what the command line asks), `extras` (memory_question), `many` (verdicts), `choice` (which
findings count) and `verdict` (its records), and of sizes/ `sizes` (size_report) and its `report`. rules/ holds
what is judged, one rule a function. Only what builds a model imports torch, and late.
"""
