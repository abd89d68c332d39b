"""The house: imports point down the rooms, functions are short, a name stands for one thing, the text is plain."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.debts import LONG, ODD, SHARED, VAGUE_NAMES, WIDE
from helpers.places import PACKAGE, ROOT

ROOMS = [
    *(
        "__main__",
        "documents",
        "__init__",
        "cli",
        "scripts",
        "api",
        "render",
        "check",
        "diagnose",
        "weights",
        "memory",
        "mixing",
        "probing",
    ),
    *("targets", "view", "record", "dims", "config", "base", "codes", "vit", "version"),
]
"""Rooms from the top down: each imports only rooms that stand after it."""

LIBRARIES = {
    "typer": {"cli"},
    "rich": {"render", "cli"},
    "yaml": {"config"},
    "omegaconf": {"config"},
    "hydra": {"config"},
    "torch": {
        "__init__",
        "cli",
        "diagnose",
        "memory",
        "mixing",
        "probing",
        "targets",
        "record",
        "vit",
        "weights",
        "check",
        "scripts",
    },
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


TREES = {module: ast.parse(path.read_text()) for module, path in FILES.items()}
IMPORTS = {module: set(imports(tree)) for module, tree in TREES.items()}
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


@pytest.mark.parametrize("package", [name for name in ROOMS if (PACKAGE / name).is_dir()])
def test_a_room_names_what_others_use(package):
    """Every file of a room that another room imports stands in the docstring of the room's `__init__`."""
    own = f"vit_trace.{package}."
    used = {other for module, found in OWN.items() if room(module) != package for other in found}
    words = re.findall(r"[a-z_]+", str(ast.get_docstring(TREES[f"vit_trace.{package}"])))
    assert not {name for name in used if name.startswith(own) and name.rsplit(".", 1)[1] not in words}


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


HEAVY = {"torch", "timm", "transformers", "torchvision", "einops", "rich", "yaml", "omegaconf", "hydra"}
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


# -- sizes and names ---------------------------------------------------------------------------------------------------
# A table of helpers/debts.py holds what still breaks a rule. A test fails on what is not in its table, and on an entry
# of the table that no longer breaks the rule, so that tables only shrink.

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef

MOST_LINES = 40
"""Lines of a function, from `def` to its last."""

MOST_PARAMETERS = 5
"""Parameters of a function, `self` left out; those of torch's own signatures are torch's business."""

TORCH_SIGNATURES = ("vit_trace.record.meta.", "vit_trace.memory.kernels", "vit_trace.memory.functions")
"""Modules whose functions stand in for torch's and take what those take."""

BY_NAME = {
    "vit_trace.vit.ViT.__init__": "the hyperparameters of the model",
    "vit_trace.vit.Transformer.__init__": "the hyperparameters of the layers",
}
"""Functions of more parameters, with what these are: each is a well-known name, and a record would hide them."""

VAGUE = set("number plain places changed alike most along known worth few".split())
"""Names that say nothing where they are called."""


def definitions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    """(dotted name, node) of every function and class, those inside others too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            yield f"{prefix}.{node.name}", node
            yield from definitions(node, f"{prefix}.{node.name}")
        else:
            yield from definitions(node, prefix)


DEFINED = [pair for module, tree in TREES.items() for pair in definitions(tree, module)]
FUNCTIONS = [(name, node) for name, node in DEFINED if isinstance(node, Function)]


def lines(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def parameters(function: Function) -> int:
    """Named parameters, self and cls left out."""
    names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([one for one in names if one.arg not in ("self", "cls")])


def shared_names(trees: dict[str, ast.Module]) -> set[str]:
    """Public names of functions and classes at the top of several files; stand-ins for torch's are left out."""
    top = [
        (node.name, module)
        for module, tree in trees.items()
        if not module.startswith(TORCH_SIGNATURES)
        for node in tree.body
        if isinstance(node, Definition) and not node.name.startswith("_")
    ]
    found = Counter(name for name, _ in set(top))
    return {name for name, count in found.items() if count > 1}


def held(found: set[str], debts: set[str]) -> None:
    """What is found is what is still owed, neither more nor less."""
    assert not found - debts, "breaks the rule"
    assert not debts - found, "no longer breaks the rule: take it off the table"


def test_functions_are_short():
    held({name for name, node in FUNCTIONS if lines(node) > MOST_LINES}, LONG)


def test_functions_take_few_parameters():
    found = {name for name, node in FUNCTIONS if parameters(node) > MOST_PARAMETERS}
    held({name for name in found - BY_NAME.keys() if not name.startswith(TORCH_SIGNATURES)}, WIDE)
    assert found >= BY_NAME.keys()


def test_names_say_something():
    top = {
        f"{module}.{node.name}" for module, tree in TREES.items() for node in tree.body if isinstance(node, Definition)
    }
    held({name for name in top if name.rpartition(".")[2].lstrip("_") in VAGUE}, VAGUE_NAMES)


def test_one_name_stands_for_one_thing():
    held(shared_names(TREES), SHARED)


def test_sizes_and_names_can_fail():
    tree = ast.parse("def f(a, *, b, **c):\n    def g(self):\n        pass\n\n\nclass K: ...\n")
    found = dict(definitions(tree, "m"))
    assert list(found) == ["m.f", "m.f.g", "m.K"]
    assert [lines(found["m.f"]), parameters(found["m.f"]), parameters(found["m.f.g"])] == [3, 2, 0]
    assert shared_names({"a": tree, "b": tree, "c": ast.parse("def g(): ...")}) == {"f", "K"}
    with pytest.raises(AssertionError, match="breaks the rule"):
        held({"new"}, set())
    with pytest.raises(AssertionError, match="take it off"):
        held(set(), {"old"})


# -- plain English -----------------------------------------------------------------------------------------------------

PHRASES = [
    *[
        "of which",
        "in which",
        "such as are",
        "is told",
        "is said of",
        "that is handed",
        "nobody looks",
        "nobody has to",
    ],
    *["is no multiple", "are no multiple", "is no file and", "names no model", "hardly meant", "like one above"],
    *["colours per pixel", "scores per image", "what is read out", "share dropped", "width of a token"],
    *["not turned for", "is one thing in", "is two things in", "goes the way of", "cannot be had", "had or fed"],
    *[
        "do not make one",
        "or not so",
        "than they have",
        "ears of",
        "is free to fit",
        "for no reason",
        "next to nothing",
    ],
    *["a run is paid for", "where time runs out", "decide about", "from which folded", "makes nothing"],
]
"""What english.md's left column and its third rule give as examples of how not to put it."""


def text_of(source: str) -> str:
    """A file as one line of words: comments, docstrings and literals run on where they were wrapped."""
    return re.sub(r"""\s*["']?\s*\n\s*(#\s|f?["'])?\s*""", " ", source).lower()


def phrases(source: str) -> set[str]:
    text = text_of(source)
    return {phrase for phrase in PHRASES if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text)}


def test_the_text_is_plain_english():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    found = {
        f"{path.relative_to(ROOT)}: {phrase}"
        for path in (*FILES.values(), *pages)
        if path.exists()
        for phrase in phrases(path.read_text())
    }
    held(found, ODD)


def test_odd_phrases_are_found_across_lines():
    assert phrases('"""The file\n    # of\n    which"""') == {"of which"}
    assert phrases('x = (\n    "it is "\n    f"told"\n)') == {"is told"}
    assert phrases("of whichever") == set()
