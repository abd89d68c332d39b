"""Finds the configs below a directory or by a glob, up to a limit; follows no link to a directory."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from vit_trace.base.refused import refuse
from vit_trace.config.files import shown_file

MAX_ENTRIES = 100_000
"""Files and directories that are looked at for one directory or glob; where there are more, none is checked."""

MAX_CONFIGS = 5_000
"""Configs of one directory or glob; where there are more, none is checked."""


class Walk:
    """A walk through the files that a spec names, a directory or a glob; both limits count over all of it."""

    def __init__(self, spec: str) -> None:
        self.spec, self.entries, self.found = spec, 0, 0

    def configs(self) -> Iterator[str]:
        """YAML and TOML files and config.json below the directory, except hidden ones. Raises Refused at a limit."""
        waiting = [self.spec]
        while waiting:
            for entry in self._entries_of(waiting.pop()):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name.endswith((".yaml", ".yml", ".toml")) or entry.name == "config.json":
                    yield self._counted(entry.path)

    def matching(self) -> Iterator[str]:
        """The paths that match the glob. Raises Refused at a limit."""
        root = os.sep if self.spec.startswith(os.sep) else ""
        parts = [part for part in self.spec.split(os.sep) if part]
        yield from map(self._counted, dict.fromkeys(self._below(root, parts)))

    def _below(self, folder: str, parts: list[str]) -> Iterator[str]:
        """The paths in a folder that match the parts of a glob; ** stands for any number of directories."""
        if not parts:
            yield folder
            return
        part, *rest = parts
        if not any(sign in part for sign in "*?["):
            if os.path.lexists(path := os.path.join(folder, part)):
                yield from self._below(path, rest)
            return
        if part == "**":
            yield from self._below(folder, rest or ["*"])
        for entry in self._entries_of(folder or "."):
            path = os.path.join(folder, entry.name)
            if entry.name.startswith(".") and not part.startswith("."):
                continue
            if part == "**":
                yield from self._below(path, parts) if entry.is_dir(follow_symlinks=False) else ()
            elif fnmatchcase(entry.name, part) and (not rest or entry.is_dir()):
                yield from self._below(path, rest)

    def _entries_of(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.entries += 1
                    if self.entries > MAX_ENTRIES:
                        raise self._too_many(f"{MAX_ENTRIES:,} files and directories")
                    yield entry
        except OSError:  # it cannot be read, or was removed meanwhile
            return

    def _counted(self, path: str) -> str:
        self.found += 1
        if self.found > MAX_CONFIGS:
            raise self._too_many(f"{MAX_CONFIGS:,} configs")
        return path

    def _too_many(self, what: str) -> Exception:
        help = ("name a directory inside it, or the files themselves",)
        return refuse("too-many-files", f"{shown_file(self.spec)} holds more than {what}: none was checked", help=help)
