"""Silent mistakes: a forward that runs and is wrong all the same."""

MEANINGS: dict[str, str] = {
    "pixels-dropped": """
The image is not a multiple of the patch, and the rows or columns that are left over at its edge are never looked at.
Example: 225 = 14·16 + 1: one row is dropped.
Resize or crop to a multiple of the patch, so that you decide what is lost.
""",
    "positions-cut": """
Only some of the positions of a position embedding are used, since the image has fewer patches than it was made for. The
first ones are taken, in rows of the other grid: patch (1, 0) of a 7×7 grid gets the position of (0, 7) of an 8×8 grid.
Nothing fails, the result is wrong. Interpolate the embedding to the new grid.
""",
    "broadcast-one": """
An axis of size 1 is broadcast where the same parameter of the sibling blocks has its full size.
""",
    "height-width-exchanged": """
Height and width change places on the way: tokens laid out in rows of w are read as rows of h. On square images nothing
shows; on others the image is scrambled. Found by tracing with an image that is not square.
""",
    "returns-nothing": """
The forward ran to its end and gave back no tensor. Most often its return statement is missing.
""",
    "branch-on-values": """
An `if` of the model asks for a value of a tensor, and a trace without memory has none: True was taken. A real run may
go the other way, and other stages then follow.
""",
    "formulas": """
Sizes stay numbers, or some do: the model could not be traced at enough other settings for a formula to be certain. The
message says why. The shapes are right either way.
""",
}
