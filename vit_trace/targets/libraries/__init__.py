"""The libraries of models: one file each, its name the prefix of its specs, `LIBRARY` in it all there is to know.

Other rooms use `prefixes` here, which imports none of them, and `vit_trace.targets.library` for the rest.
"""

import pkgutil


def prefixes() -> tuple[str, ...]:
    """The prefixes of all libraries, read from the names of their files."""
    return tuple(sorted(one.name for one in pkgutil.iter_modules(__path__)))
