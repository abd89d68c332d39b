"""Every code that a diagnostic can have is documented, and every documented code can come."""

import ast
import re
from pathlib import Path

import pytest
from helpers.places import PACKAGE

from vit_trace.codes.registry import MEANINGS as CODES
from vit_trace.codes.registry import TITLES, register
from vit_trace.render import codes

SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "meanings.py")

MAKERS = {
    "Diagnostic",
    "Failure",
    "Cause",
    "MisfitKind",
    "Refused",
    "BadValue",
    "rule",
    "silent_mistake",
    "refuse",
    "refusal",
    "refused_at",
    "fail",
    "diagnostic",
}
"""Calls whose first argument, or `code`, is a code."""

KINDS = {
    node.targets[0].id: node.value.args[0].value
    for path in SOURCES
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.Assign) and getattr(getattr(node.value, "func", None), "id", "") == "CauseKind"
}
"""Name of a kind of cause -> its code. To declare one is not enough: a finder has to give it."""

WORDS = re.compile(r"[a-z]+(-[a-z0-9]+)*")
KEBAB = re.compile(r"[a-z]+(-[a-z0-9]+)+")
NO_CODE = {"vit-trace", "utf-8", "vit-trace-plain", *(TITLES.keys() - {"usage"})}


def texts(node: ast.AST) -> set[str]:
    """The texts that an expression may be: itself, or the branches of a condition."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    if isinstance(node, ast.BoolOp):
        return set().union(*map(texts, node.values))
    return {node.value} if isinstance(node, ast.Constant) and WORDS.fullmatch(str(node.value)) else set()


def is_kind(node: ast.Call) -> bool:
    return getattr(node.func, "id", "") == "CauseKind"


def kinds(node: ast.AST) -> set[str]:
    """Codes of the kinds of causes that an expression may be."""
    if isinstance(node, ast.IfExp):
        return kinds(node.body) | kinds(node.orelse)
    if isinstance(node, ast.Tuple):
        return set().union(*map(kinds, node.elts))
    return {KINDS[node.id]} if isinstance(node, ast.Name) and node.id in KINDS else set()


def emitted(source: str, part: str = "diagnose") -> set[str]:
    """Codes that a file can give: what is handed to a maker or named by a constant; every dashed text in
    `diagnose` and `check`.
    """
    found: set[str] = set()
    tree = ast.parse(source)
    declared = [id(node.args[0]) for node in ast.walk(tree) if isinstance(node, ast.Call) and is_kind(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "code")]
            found |= set().union(*map(texts, given)) if name in MAKERS else set()
            found |= set().union(*map(kinds, node.args))
        elif isinstance(node, ast.Assign):
            name = getattr(node.targets[0], "id", "")
            found |= kinds(node.value)
            found |= {text for text in texts(node.value) if name == "code" or (name.isupper() and "-" in text)}
        elif part in ("diagnose", "check") and isinstance(node, ast.Constant) and id(node) not in declared:
            found |= {node.value} if KEBAB.fullmatch(str(node.value)) else set()
    return found - NO_CODE


def emitted_by(path: Path) -> set[str]:
    return emitted(path.read_text(), path.relative_to(PACKAGE).parts[0])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_code_is_documented(path):
    assert not emitted_by(path) - CODES.keys(), "say what they mean: beside the code, or in vit_trace/codes/meanings.py"


def test_every_documented_code_can_come():
    assert not set(CODES) - set().union(*(emitted_by(path) for path in SOURCES))


def test_a_code_has_one_meaning():
    with pytest.raises(ValueError, match="broadcast has two meanings"):
        register("failure", "broadcast", "Something else.")


def test_the_page_is_the_one_that_was_made():
    """docs/diagnostics.md: vit-trace explain codes > docs/diagnostics.md"""
    assert (PACKAGE.parent / "docs" / "diagnostics.md").read_text() == codes.explain_code(codes.ALL) + "\n"


@pytest.mark.parametrize("width", [80, 200])
def test_all_codes_are_listed_with_a_line_each(width, monkeypatch, capsys):
    from vit_trace.cli import app as cli

    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.run(["explain", "codes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and line not in TITLES.values()] == [
        line for line in lines if line.partition(" ")[0] in CODES
    ]
    assert sorted(line.partition(" ")[0] for line in lines if line.partition(" ")[0] in CODES) == sorted(CODES)
    assert all(len(line) <= width for line in lines)


def test_the_search_can_fail():
    assert emitted("raise refuse('new' if x else 'no-such-thing', 'text')\nCODE = 'made-up'") == {
        *("new", "no-such-thing", "made-up")
    }
    assert emitted('UNUSED = CauseKind("never-found", "A meaning.")') == set()
    assert emitted("Cause(MATMUL, 'text')") == emitted("kind = MATMUL if x else y") == {"matmul"}


@pytest.mark.parametrize("width", [40, 80, 200])
def test_texts_keep_to_the_width(width, monkeypatch, capsys):
    from vit_trace.cli import app as cli

    monkeypatch.setenv("COLUMNS", str(width))
    for code, text in CODES.items():
        assert cli.run(["explain", code]) == 0
        title, *lines = capsys.readouterr().out.splitlines()
        assert title == code and lines and all(len(line) <= min(width, 100) for line in lines), code
        assert " ".join(lines).split() == text.split()


def test_examples_stand_on_their_own_line():
    assert codes.explain_code("assignment") == "assignment\n--set takes KEY=VALUE.\nExample: --set dim=512"
