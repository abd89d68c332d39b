"""Output formats and verbs: a new one is a new file, found by its folder."""

import subprocess
import sys

import pytest
from helpers.places import ROOT

from vit_trace.cli.app import run
from vit_trace.cli.options import output_of
from vit_trace.render import formats
from vit_trace.render.formats import DEFAULT, Format, formats_of

SUFFIXES = {
    "trace": {
        ".txt": "rich",
        ".json": "json",
        ".md": "markdown",
        ".py": "python",
        ".csv": "csv",
        ".tex": "tex",
        ".html": "html",
        ".htm": "html",
        ".svg": "svg",
        ".mmd": "mermaid",
        ".mermaid": "mermaid",
        ".dot": "dot",
        ".gv": "dot",
    },
    "check": {".txt": "rich", ".json": "json", ".sarif": "sarif", "mapping.json": "mapping"},
    "checkpoint": {".yaml": "yaml", ".yml": "yaml", ".json": "config"},
}


@pytest.mark.parametrize("subject", SUFFIXES)
def test_each_format_declares_itself(subject):
    declared = formats_of(subject)
    assert next(iter(declared)) == DEFAULT
    assert all(isinstance(one, Format) for one in declared.values())
    suffixes = [(suffix, name) for name, one in declared.items() for suffix in one.suffixes]
    assert dict(suffixes) == SUFFIXES[subject]
    assert len(suffixes) == len(SUFFIXES[subject]), "two formats for one suffix"


def test_declaring_formats_imports_nothing_heavy():
    code = (
        "import sys\nfrom vit_trace.render.formats import formats_of\n"
        f"for subject in {list(SUFFIXES)}: formats_of(subject)\n"
        "print(sorted({'torch', 'rich', 'yaml', 'typer'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr


COUNT = '''"""Writes how many stages a trace has."""

from vit_trace.render.formats import Format


def write_count(shown, stream):
    stream.write(f"{len(shown.trace.stages)} stages\\n")


FORMATS = {"count": Format(write_count, suffixes=(".count",))}
'''


def test_a_new_file_is_a_new_format(capfd, tmp_path, monkeypatch):
    import vit_trace.render.formats.trace as folder

    refused = run(["--dim", "x", "--format", "count"]), capfd.readouterr().err
    assert refused[0] == 2 and "--format count: there is no such format" in refused[1]
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "count.py").write_text(COUNT)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "trace")])
    file = tmp_path / "stages.count"
    assert run(["--depth", "1", "--no-formulas", "--format", "count", "-o", str(file)]) == 0
    out = capfd.readouterr().out
    assert out == file.read_text() and out.endswith(" stages\n")
    assert "count" in output_of("trace").options[0].help


HELLO = '''"""Greets."""

from vit_trace.cli.options import Option, verb

NAME = Option("name", "NAME", "Whom to greet.", "you")


@verb(name=NAME)
def hello(name: str) -> int:
    """Greet somebody."""
    print(f"hello {name}")
    return 0
'''


def test_a_new_file_is_a_new_verb(capfd, tmp_path, monkeypatch):
    from vit_trace.cli import verbs

    (tmp_path / "hello.py").write_text(HELLO)
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(tmp_path)])
    assert run(["hello", "--name", "Ada"]) == 0
    assert capfd.readouterr().out == "hello Ada\n"
    assert run(["--help"]) == 0
    assert "Greet somebody." in capfd.readouterr().out
    assert run(["helo"]) == 2
    assert "did you mean vit-trace hello?" in capfd.readouterr().err


def test_each_verb_is_the_function_of_its_file():
    from vit_trace.cli.verbs import load_verb, verb_names

    files = {path.stem for path in (ROOT / "vit_trace" / "cli" / "verbs").glob("[!_]*.py")}
    assert set(verb_names()) == files
    assert [load_verb(name).__name__ for name in verb_names()] == verb_names()
    assert all(load_verb(name).__doc__ for name in verb_names())
