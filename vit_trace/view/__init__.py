"""Decides what to show of a trace, without laying it out: `outline.outline` for rows, `narrow.narrowed` for source."""
