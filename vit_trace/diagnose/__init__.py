"""Explains why a forward or a constructor failed, and what is wrong though it runs.

Other rooms use `diagnose` (diagnosed, of_model, of_case), `trials` (Case), `construct` (build_failure) and `resolve`
(a target from what was typed, or its diagnosis); those who judge a trace alone, `scene`, `causes` and `silent`. causes/
and silent/ hold one file for each thing that is recognised; `layout` recognises an input whose axes stand wrong.
"""
