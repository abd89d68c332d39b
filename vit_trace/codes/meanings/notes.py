"""Says what the notes of a trace that ran mean."""

MEANINGS: dict[str, str] = {
    "branch-on-values": """
An `if` of the model reads a value of a tensor, and a trace on the meta device has no values: the condition was taken as
true. A real run may take the other branch, and other stages then follow.
""",
    "formulas": """
Some sizes stay numbers, or all: the model could not be traced at enough other settings for a formula to be certain. The
message says why. The shapes are right either way.
""",
}
