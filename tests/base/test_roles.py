"""The names of hyperparameters stand in one table: no other file lists two names of one role."""

import ast

import pytest
from helpers.places import PACKAGE

from vit_trace.base.roles import ROLES, SETTINGS, role_named, same_role, value_of

TABLE = PACKAGE / "base" / "roles.py"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != TABLE]

ALLOWED = {
    "diagnose/causes/wrong_rank.py": {"dim"},  # parameters of torch's functions
    "targets/tokens.py": {"image"},  # parameters of forwards: rows and columns of tokens
    "targets/forms/named.py": {"image"},  # parameters of the libraries that a config names
    "targets/forms/own_names.py": {"dim", "image"},  # parameters of the classes that a config may be of
    "targets/forms/repositories.py": {"image"},  # names of a repository's config, and the library's for them
}
"""File -> roles that it may list names of, because they mean other things there."""


def listed(source: str) -> set[str]:
    """Roles that a literal tuple, list, set or the keys of a dict hold two or more names of."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            items = node.keys
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            items = node.elts
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
            held = node.func.value
            text = held.value if isinstance(held, ast.Constant) and isinstance(held.value, str) else ""
            items = [ast.Constant(word) for word in text.split()]
        else:
            continue
        names = {item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)}
        found |= {role for role, words in ROLES.items() if len(names.intersection(words)) > 1}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_other_file_lists_the_names_of_a_role(path):
    assert not listed(path.read_text()) - ALLOWED.get(path.relative_to(PACKAGE).as_posix(), set())


def test_a_list_of_names_elsewhere_is_found():
    assert listed('HEADS = ("num_heads", "heads")') == {"heads"}
    assert listed('set("embed_dim hidden_size".split())') == {"dim"}
    assert listed('x = {"in_chans": 3, "img_size": 224}') == set()


def test_each_name_has_one_role():
    names = [name for words in (ROLES | SETTINGS).values() for name in words]
    assert len(names) == len(set(names))


def test_what_a_name_means():
    assert role_named("n_embd") == role_named("dim") == "dim" and role_named("depth") == ""
    assert same_role("dim", ["depth", "hidden_size"]) == ["hidden_size"]
    assert value_of("channels", {"in_chans": 4, "channels": (1, 2)}.get) == 4
    assert value_of("channels", {}.get) is None
