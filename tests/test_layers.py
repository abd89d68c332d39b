"""Imports point down: who may know whom, and who may print."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vit_trace"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))

FORBIDDEN = {
    "tracing": {"rich", "typer", *(f"vit_trace.{part}" for part in ("render", "views", "cli", "dims", "targets"))},
    "dims": {"torch", "rich", "typer", "vit_trace.render", "vit_trace.views", "vit_trace.cli", "vit_trace.targets"},
    "targets": {"rich", "typer", "vit_trace.render", "vit_trace.views", "vit_trace.cli"},
    "checks": {"rich", "typer", "vit_trace.render", "vit_trace.cli"},
    "checkpoint": {"rich", "typer", "vit_trace.render.findings", "vit_trace.cli"},
    "render": {"torch", "typer", "vit_trace.cli"},
    "views.py": {"torch", "rich", "typer", "vit_trace.render", "vit_trace.cli"},
    "vit.py": {"vit_trace", "rich", "typer"},
    "config": {"torch", "rich", "typer", "vit_trace.render", "vit_trace.cli"},
}  # fmt: skip
"""Part of the package -> what it must not import."""

MAY_PRINT = {"cli.py", "__main__.py"}
TYPES_ONLY = "TYPE_CHECKING"


def imports(path: Path) -> set[str]:
    """Modules a file imports, at the top or later; those for type checkers only are left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == TYPES_ONLY:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def broken_rules(part: str, modules: set[str]) -> set[str]:
    return {
        module
        for module in modules
        for forbidden in FORBIDDEN.get(part, ())
        if module == forbidden or module.startswith(forbidden + ".")
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    part = path.relative_to(PACKAGE).parts[0]
    assert not broken_rules(part, imports(path))


def test_the_rule_can_fail():
    assert broken_rules("tracing", {"rich.table"}) == {"rich.table"}
    assert imports(PACKAGE / "render" / "table.py") & {"rich.console"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_doorman_prints_and_exits(path):
    if path.name in MAY_PRINT:
        return
    names = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not names & {"print", "exit", "input"}


HEAVY_AT_THE_TOP = {"torch", "timm", "transformers", "torchvision", "einops", "rich", "yaml"}


FAST = ["cli.py", "flags.py", "output.py", "__init__.py", "__main__.py", "views.py"]
FAST += [f"config/{path.name}" for path in FILES if path.parent == PACKAGE / "config"]


@pytest.mark.parametrize("name", FAST)
def test_what_starts_fast_imports_nothing_heavy_at_its_top(name):
    tree = ast.parse((PACKAGE / name).read_text())
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
    assert not {module.split(".")[0] for module in top} & HEAVY_AT_THE_TOP
