"""The rules behind `vit_trace.tracing.shapes`: one file per kind of function, each with its own `RULES` table."""
