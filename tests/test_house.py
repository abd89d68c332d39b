"""The house: imports point down the list of rooms, files import each other in no circle, and only `cli` prints."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.places import PACKAGE

ROOMS = [
    *("__main__", "__init__", "cli", "render", "check", "diagnose", "weights", "memory", "probing", "targets", "view"),
    *("record", "dims", "config", "base", "codes", "vit", "version"),
]
"""Rooms from the top down: each imports only rooms that stand after it."""

LIBRARIES = {
    "typer": {"cli"},
    "rich": {"render", "cli"},
    "yaml": {"config"},
    "torch": {"__init__", "cli", "diagnose", "memory", "probing", "targets", "record", "vit", "weights", "check"},
    "einops": {"vit", "record"},
    "timm": {"targets"},
    "transformers": {"targets", "weights"},
    "torchvision": {"targets"},
}
"""Third-party package -> the rooms that may import it."""

FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""Dotted module -> its file."""


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that a file imports, at its top, inside a function or for the type checker only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ({name if name in FILES else str(node.module) for name in names})


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


IMPORTS = {module: set(imports(ast.parse(path.read_text()))) for module, path in FILES.items()}
OWN = {module: {other for other in found if other in FILES} for module, found in IMPORTS.items()}


def upward(module: str, found: set[str]) -> set[str]:
    """Imports that run up the list of rooms."""
    here = ROOMS.index(room(module))
    return {other for other in found if room(other) != room(module) and ROOMS.index(room(other)) < here}


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """Files that reach themselves through what they import."""
    left = {name: set(others) - {name} for name, others in arrows.items()}
    while gone := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in gone}
    return sorted(left)


@pytest.mark.parametrize("module", FILES)
def test_imports_point_down(module):
    assert not upward(module, OWN[module])


@pytest.mark.parametrize("module", FILES)
def test_what_is_imported_exists(module):
    assert not {other for other in IMPORTS[module] if other.startswith("vit_trace")} - FILES.keys()


def test_no_file_imports_itself_in_a_circle():
    assert circles(OWN) == []


def test_the_rules_can_fail():
    assert upward("vit_trace.record.record", {"vit_trace.cli.app"}) == {"vit_trace.cli.app"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
    assert "rich.text" in IMPORTS["vit_trace.render.table"]


@pytest.mark.parametrize("module", FILES)
def test_libraries_are_imported_where_they_belong(module):
    found = {name.split(".")[0] for name in IMPORTS[module]} & LIBRARIES.keys()
    assert not {name for name in found if room(module) not in LIBRARIES[name]}


@pytest.mark.parametrize("module", FILES)
def test_only_the_command_line_prints_and_exits(module):
    if room(module) in ("cli", "__main__"):
        return
    tree = ast.parse(FILES[module].read_text())
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"print", "exit", "input"}


HEAVY = {"torch", "timm", "transformers", "torchvision", "einops", "rich", "yaml"}
"""Packages that take long to import."""


@pytest.mark.parametrize(
    "module", [name for name in FILES if room(name) in ("cli", "config", "view", "base", "__init__", "__main__")]
)
def test_what_starts_fast_imports_nothing_heavy_at_its_top(module):
    tree = ast.parse(FILES[module].read_text())
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in top} & HEAVY


def test_each_test_stands_where_its_room_does():
    folders = {path.name for path in Path(__file__).parent.iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    assert folders <= set(ROOMS)
