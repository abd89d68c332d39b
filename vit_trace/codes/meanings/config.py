"""What a YAML file, or a setting on the command line, gets wrong."""

MEANINGS: dict[str, str] = {
    "patch-divides-image": """
The patches have to tile the image: its height a multiple of the patch height, its width of the patch width.
Example: 250 = 7·32 + 26. The help names the multiples of the patch and the divisors of the image that are nearest.
""",
    "patch-exceeds-image": """
One patch is larger than the whole image.
Example: patch_size 32 for image_size 16.
""",
    "impossible-value": """
A value of the right kind that no model can have: a size of 0, a share above 1, a pool that does not exist.
Example: dropout: 1.5. It takes a number from 0 to 1.
""",
    "wrong-type": """
A value of another kind than the key takes.
Example: depth: six, or dim: 512.0. It takes a whole number.
""",
    "unknown-key": """
There is no hyperparameter of that name. The help names the one that is spelt most like it.
""",
    "duplicate-key": """
A key stands twice in one file. YAML readers take one or the other without a word, so it is refused.
""",
    "assignment": """
--set takes KEY=VALUE.
Example: --set dim=512
""",
    "too-many-problems": """
The file has so many problems that the rest of it was not read. Mend those that are shown first.
""",
    "config-not-found": """
There is no such file. The help names files with a name like it.
""",
    "config-unreadable": """
The file is there and cannot be read; the message gives the system's reason.
""",
    "config-too-large": """
The file is too large to be a config, and was not read.
""",
    "not-a-file": """
A YAML file is wanted; this is a directory, a pipe or a device.
""",
    "not-utf8": """
A config is text in UTF-8. The message gives the first byte that is not.
""",
    "empty-config": """
The file sets nothing.
Example of what would do: image_size: 256
""",
    "not-a-mapping": """
A config is keys with values, one a line; this is a list or a single text. A colon needs a space behind it.
Example: dim:512 is a text, dim: 512 sets dim.
""",
    "control-character": """
A control character stands in the file, where YAML allows none.
""",
    "yaml-syntax": """
The file is not YAML. The message is that of the YAML reader, with the place where it gave up.
""",
    "yaml-alias": """
Aliases (*name) are not read: a config is flat, so write the value itself.
""",
    "yaml-merge": """
The merge key << is not read: a config is flat, so write the keys themselves.
""",
    "yaml-tag": """
Tags (!name) are not read, so that a config can never make anything but numbers and names.
""",
    "yaml-nesting": """
Values are nested where a config is flat: keys with plain values, a pair at most.
""",
    "yaml-documents": """
A file holds one config; a second YAML document starts at ---.
""",
}
