"""Explains what is wrong in a YAML file, or in a setting on the command line."""

MEANINGS: dict[str, str] = {
    "patch-divides-image": """
The patches must tile the image: its height is a multiple of the patch height, its width of the patch width.
Example: 250 = 7·32 + 26. The help gives the nearest multiples of the patch and divisors of the image.
""",
    "patch-exceeds-image": """
One patch is larger than the whole image.
Example: patch_size 32 for image_size 16.
""",
    "impossible-value": """
The value has the right type but no model can have it: a size of 0, a rate above 1, a pool that does not exist.
Example: dropout: 1.5. It takes a number from 0 to 1.
""",
    "wrong-type": """
The value has another type than the key takes.
Example: depth: six, or dim: 512.0. It takes a whole number.
""",
    "unknown-key": """
There is no hyperparameter of that name. The help gives the one of the nearest spelling or the same meaning.
""",
    "duplicate-key": "The file sets a key twice. YAML readers silently take one or the other, so it is refused.",
    "assignment": """
--set takes KEY=VALUE.
Example: --set dim=512
""",
    "too-many-problems": "The file has so many problems that the rest of it was not read. Fix the ones shown first.",
    "config-not-found": "There is no such file. The help lists files with similar names.",
    "config-unreadable": "The file exists but cannot be read; the message gives the system's reason.",
    "config-too-large": "The file is too large to be a config, and was not read.",
    "not-a-file": "A YAML file is needed; this is a directory, a pipe or a device.",
    "not-utf8": "A config is text in UTF-8. The message gives the first byte that is not.",
    "empty-config": """
The file sets nothing.
Example of a setting: image_size: 256
""",
    "not-a-mapping": """
A config is keys with values, one a line; this is a list or a single text. A colon needs a space after it.
Example: dim:512 is a text, dim: 512 sets dim.
""",
    "control-character": "The file holds a control character, which YAML does not allow.",
    "yaml-syntax": "The file is not YAML. The message is the YAML reader's, with the place where it stopped.",
    "yaml-alias": "Aliases (*name) are not read: a config is flat, so write the value itself.",
    "yaml-merge": "The merge key << is not read: a config is flat, so write the keys themselves.",
    "yaml-tag": "Tags (!name) are not read, so that a config can only hold numbers and names.",
    "yaml-nesting": "Values are nested, but a config is flat: keys with plain values or pairs.",
    "yaml-documents": "A file holds one config; here a second YAML document starts at ---.",
}
