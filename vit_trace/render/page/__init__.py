"""Lays a trace out as a web page whose sizes follow from fields for its symbols. Other files use `page` (page_of)."""
