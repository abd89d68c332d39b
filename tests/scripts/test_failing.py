"""Scripts that end in a shape error: what is said of each, and that its remedy makes it run.

The lines at the head of a script are the facts: the code, the line pointed at, parts of the message, notes and helps,
the fix, which is applied to the script's text and run for real, and the last Python that has all that is told.
"""

import re
import runpy
import sys
from pathlib import Path

import pytest

from vit_trace.scripts.explain import explanation

FOLDER = Path(__file__).parent / "failing"
PATHS = sorted(path for path in FOLDER.glob("*.py") if path.stem != "tiny")
SLOW = {path for path in PATHS if path.read_text().startswith("# slow")}
SCRIPTS = [pytest.param(path, marks=pytest.mark.slow if path in SLOW else (), id=path.stem) for path in PATHS]


def facts(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^# (\w+): (.+)$", text, re.MULTILINE)


def ended(path: Path, monkeypatch) -> BaseException | None:
    """What a script raises, run as Python runs it; None where it runs to its end."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    monkeypatch.setattr(sys, "argv", [str(path)])
    try:
        runpy.run_path(str(path), run_name="__main__")
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_failing_script(path, monkeypatch, tmp_path):
    text, error = path.read_text(), ended(path, monkeypatch)
    last = tuple(map(int, dict(facts(text)).get("until", "9.0").split(".")))
    if sys.version_info[:2] > last:
        pytest.skip("from Python 3.12 on an exception does not know the variables of a comprehension")
    assert error is not None
    found = explanation(error)
    assert found is not None, f"nothing is said of {type(error).__name__}: {error}"
    said = found.diagnostics[-1]
    for key, value in facts(text):
        if key == "code":
            assert value in [one.code for one in found.diagnostics], said
            said = next(one for one in found.diagnostics if one.code == value)
        elif key == "line":
            assert said.span is not None, said
            line = Path(said.span.file).read_text().splitlines()[said.span.line - 1].strip()
            assert line == value
        elif key == "until":
            continue
        elif key == "fix":
            old, _, new = value.partition(" => ")
            head, _, body = text.rpartition(f"# fix: {value}\n")
            assert old in body
            other = tmp_path / path.name
            other.write_text(head + body.replace(old, new, 1) if body.count(old) == 1 else head + _last(body, old, new))
            assert ended(other, monkeypatch) is None
        else:
            held = {"message": [said.message], "note": said.notes, "help": said.help}[key]
            assert any(value.strip() in one for one in held), held
    del error, found


def _last(body: str, old: str, new: str) -> str:
    before, _, after = body.rpartition(old)
    return before + new + after
