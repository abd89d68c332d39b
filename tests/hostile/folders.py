"""Directories and globs: empty, huge, deep, in circles, without permission."""

from pathlib import Path

from tests.hostile.case import Case

YAML = "depth: 1\ndim: 64\nheads: 4\n"


def _many(folder: Path) -> None:
    (folder / "d").mkdir()
    for number in range(100_000):
        (folder / "d" / f"{number}.yaml").touch()


def _circles(folder: Path) -> None:
    inner = folder / "a"
    inner.mkdir()
    for number in range(10):
        (inner / f"up{number}").symlink_to("..")
    (folder / "x.yaml").write_text(YAML)


def _locked(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0)
    (folder / "x.yaml").write_text(YAML)


def _deep(folder: Path) -> None:
    inner = folder
    for _ in range(300):
        inner = inner / "d"
        inner.mkdir()
    (inner / "x.yaml").write_text(YAML)


CASES = [
    Case("a directory without configs", ("check", "."), 2, "no YAML or TOML file"),
    Case("a directory of 100,000 files", ("check", "d"), 2, "too-many-files", _many),
    Case("a glob of 100,000 files", ("check", "d/*.yaml"), 2, "too-many-files", _many),
    Case("links in circles", ("check", "."), 0, "1 config", _circles),
    Case("a glob through links in circles", ("check", "**/*.yaml"), 0, "1 config", _circles),
    Case("a glob of many stars", ("check", "*/" * 40 + "*.yaml"), 2, "error[", _circles),
    Case("a glob of many double stars", ("check", "**/" * 40 + "*.yaml"), 0, "", _circles),
    Case("a directory without permission", ("check", "."), 0, "1 config", _locked),
    Case("300 directories deep", ("check", "."), 0, "1 config", _deep),
    Case("a glob 300 directories deep", ("check", "**/*.yaml"), 0, "1 config", _deep),
    Case("a glob of nothing", ("check", "[]*"), 2, "no-match"),
    Case("the root of the file system as a glob", ("check", "/dev/*"), 2, "error["),
]
