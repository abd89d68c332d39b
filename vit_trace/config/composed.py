"""Composes a file with the files that its `defaults` list names, in the order that Hydra gives them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vit_trace.base.trace import Source
from vit_trace.config.tree import child, read_tree, value_of_node
from vit_trace.config.words import ConfigError, Node, cut, diagnostic

UP = 3
"""Directories above a file that may be the root of its configs."""

MOST = 200
"""Files that are read for one defaults list, each time that one is named, or that one file is based on."""


BASES = ("BASE", "_BASE_", "_base_")
"""Keys of the files that one is based on, as YACS, detectron2 and mmengine have them."""


def with_bases(tree: Node, file: Path, read: Callable[[Path], Node], seen: set[Path] | None = None) -> Node:
    """The tree merged over the files that it is based on, and those that they are, each of them once."""
    seen = set() if seen is None else seen
    for base in bases_of(tree):
        path = Path(file).parent / base
        if len(seen) < MOST and path.is_file() and (own := path.resolve()) not in seen:
            seen.add(own)
            tree = merged(with_bases(read(path), path, read, seen), tree)
    return tree


def bases_of(tree: Node) -> list[str]:
    """The paths of the files that a config is based on."""
    named = [node for key in BASES if (node := child(tree, key)) is not None]
    return [one.text for node in named for one in (node.items or (node,)) if one.kind == "text" and one.text]


def with_defaults(tree: Node, file: Path) -> Node:
    """The tree merged with what its defaults list names, each value at its place. Raises ConfigError."""
    defaults = child(tree, "defaults")
    if defaults is None or defaults.kind != "list" or not _names_files(defaults):
        return _without_defaults(tree)
    try:
        from hydra._internal import defaults_list  # noqa: F401
    except ImportError:
        help = ("pip install 'vit-trace[hydra]'",)
        message = "a defaults list is composed by Hydra, which is not installed"
        raise ConfigError(diagnostic("library-missing", message, defaults.span, help=help)) from None
    file = Path(file).absolute()
    said = None
    for root in list(file.parents)[: UP + 1]:
        try:
            return _composed(root, file, defaults.span)
        except ConfigError:
            raise
        except Exception as error:
            said = said or error
    lines = [line.strip() for line in str(said).splitlines() if line.strip()] or [type(said).__name__]
    message, notes = f"Hydra cannot compose this defaults list: {cut(lines[0], 200)}", lines[1:4]
    raise ConfigError(diagnostic("hydra-defaults", message, defaults.span, tuple(cut(line, 200) for line in notes)))


def _names_files(defaults: Node) -> bool:
    """Whether a defaults list names more than the file itself and Hydra's own settings."""
    return any(isinstance(one, (str, dict)) and not _is_hydra_s(one) and one != "_self_"
               for one in value_of_node(defaults))  # fmt: skip


def _is_hydra_s(entry: object) -> bool:
    """Whether an entry chooses a launcher, a logger or the like of Hydra."""
    words = str(next(iter(entry), "") if isinstance(entry, dict) else entry).split() or [""]
    return words[-1].lstrip("/").startswith("hydra/")


def _without_defaults(tree: Node) -> Node:
    return tree._replace(entries=tuple((key, value) for key, value in tree.entries if key.text != "defaults"))


def _composed(root: Path, file: Path, at: Source) -> Node:
    """The file with its defaults, their groups being directories of `root`."""
    from hydra._internal.defaults_list import create_defaults_list

    name = file.relative_to(root).with_suffix("").as_posix()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = create_defaults_list(_repository(root, name, at), name, [], prepend_hydra=False, skip_missing=True)
    whole = Node("mapping", read_tree(file).span)
    for default in found.defaults:
        tree = _without_defaults(read_tree(_file_of(root, str(default.config_path))))
        for key in reversed([key for key in str(default.package or "").split(".") if key]):
            tree = Node("mapping", tree.span, entries=((Node("text", tree.span, key), tree),))
        whole = merged(whole, tree)
    return whole


def _file_of(root: Path, name: str) -> Path:
    return root / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")


def merged(below: Node, above: Node) -> Node:
    """Two trees as OmegaConf merges them: mappings key by key, anything else as it is above."""
    if below.kind != "mapping" or above.kind != "mapping":
        return above
    entries = {key.text: (key, value) for key, value in below.entries}
    for key, value in above.entries:
        entries[key.text] = (key, merged(entries[key.text][1], value) if key.text in entries else value)
    return Node("mapping", above.span, entries=tuple(entries.values()))


def _repository(root: Path, primary: str, at: Source) -> Any:
    """Hydra's repository of the files below a directory, which are read as any other file here."""
    from hydra._internal.config_repository import ConfigRepository
    from hydra._internal.core_plugins.file_config_source import FileConfigSource
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.plugins.config_source import ConfigResult, ConfigSource
    from omegaconf import OmegaConf

    loaded = iter(range(MOST))

    class Checked(FileConfigSource):
        def load_config(self, config_path: str) -> ConfigResult:
            if next(loaded, None) is None or ".." in config_path.split("/"):
                message = f"this defaults list leads to more than {MOST} files, or out of its directory"
                raise ConfigError(diagnostic("hydra-defaults", message, at))
            file = _file_of(root, config_path)
            values = value_of_node(read_tree(file))
            entries = values.get("defaults")
            if isinstance(entries, list):
                values["defaults"] = _own_entries(entries, config_path.removesuffix(".yaml") == primary)
            header = ConfigSource._get_header_dict(file.read_text(errors="replace")[:512])
            return ConfigResult("main", f"file://{root}", OmegaConf.create(values), header)

    class Repository(ConfigRepository):
        def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
            self.sources = [Checked("main", f"file://{root}")]

    return Repository(None)  # type: ignore[arg-type]  # nothing is searched for


def _own_entries(entries: Sequence[Any], primary: bool) -> list[Any]:
    """A defaults list without Hydra's own settings; what the file itself overrides, it chooses."""
    kept = [one for one in entries if not _is_hydra_s(one)]
    if not primary:
        return kept
    return [{key.removeprefix("override "): value for key, value in one.items()} if isinstance(one, dict) else one
            for one in kept]  # fmt: skip
