"""Lays out results: formats/ declares each output format; the other files draw screens and pages for them."""
