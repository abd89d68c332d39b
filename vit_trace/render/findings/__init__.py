"""Lays out what `check` found: on a screen, while it runs, and where a finding is."""
