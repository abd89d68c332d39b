"""Puts traces into the pages of a documentation: a directive for Sphinx, a plugin for MkDocs."""
