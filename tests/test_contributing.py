"""CONTRIBUTING.md: its examples are the code as it is, and the rooms of its table are those of the house."""

import re

import pytest
from helpers.places import PACKAGE, ROOT
from test_house import ROOMS

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
CODE = {line.strip() for path in PACKAGE.rglob("*.py") for line in path.read_text().splitlines()}
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


def not_in_code(example: str) -> list[str]:
    """Lines of an example that stand nowhere in the package; a comma at the end is left out."""
    known = {line.rstrip(",") for line in CODE}
    return [line for line in example.splitlines() if line.strip().rstrip(",") not in known]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0])
def test_examples_are_the_code_as_it_is(example):
    assert not_in_code(example) == []


def test_every_thing_to_add_has_an_example():
    how = PAGE.partition("## How to add")[2]
    assert all("```python" in section for section in how.split("\n### ")[1:])
    assert len(EXAMPLES) >= 9


def test_the_rooms_are_listed_in_their_order():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M)
    assert rows == [room for room in ROOMS if (PACKAGE / room).is_dir()]


def test_files_that_are_named_exist():
    paths = re.findall(r"`((?:vit_trace|tests)/[\w/.]+)`", PAGE)
    assert paths and not [path for path in paths if not (ROOT / path).exists()]


def test_an_example_of_other_code_is_found():
    assert not_in_code("def no_such_function_anywhere():\n    return None\n") == ["def no_such_function_anywhere():"]
