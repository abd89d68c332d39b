"""Which warnings and notes of `check` count and are shown: flags, pyproject.toml, comments at the line."""

import pytest
from helpers.commands import call

BAD = "depth: 1\ndim: 770\nheads: 12{}\n"
WARNING, NOTE = "warning[heads-do-not-fill-dim]", "note[tensor-core-alignment]"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text(BAD.format(""))
    return tmp_path


def test_notes_are_for_those_who_ask(config, capfd):
    _, out, _ = call(capfd, "check", "m.yaml")
    assert WARNING in out and NOTE not in out and "1 note not shown (-v shows all)" in out
    assert NOTE in call(capfd, "check", "m.yaml", "-v").out
    _, out, _ = call(capfd, "check", "m.yaml", "-q")
    assert WARNING not in out and "1 warning, 1 note not shown" in out and "all well" not in out


@pytest.mark.parametrize(("flags", "notices"), [([], 0), (["-v"], 1)])
def test_github_gets_notices_only_where_they_are_asked_for(config, capfd, flags, notices):
    assert call(capfd, "check", "m.yaml", "--format", "github", *flags).out.count("::notice") == notices


CHOICES = [
    (["--ignore", "heads-do"], "", "", 0),
    (["--select", "tensor,misspelt"], "", "", 0),
    (["--ignore", "tensor"], "", "", 1),
    ([], 'ignore = ["heads"]', "", 0),
    (["--ignore", "tensor"], 'ignore = ["heads"]', "", 1),  # what is typed wins
    ([], "", " # vit-trace: ignore[heads-do-not-fill-dim]", 0),
    ([], "", " # vit-trace: ignore", 0),
    ([], "", " # vit-trace: ignore[tensor]", 1),
    ([], "", "\n# vit-trace: ignore[heads]", 0),
]


@pytest.mark.parametrize(("flags", "project", "comment", "code"), CHOICES)
def test_what_is_ignored_does_not_count(config, capfd, flags, project, comment, code):
    if project:
        (config / "pyproject.toml").write_text(f"[tool.vit-trace]\n{project}\n")
    (config / "m.yaml").write_text(BAD.format(comment))
    run = call(capfd, "check", "m.yaml", "--strict", *flags)
    assert (run.code, run.out.count(WARNING)) == (code, code), run


def test_errors_cannot_be_ignored(config, capfd):
    (config / "m.yaml").write_text("image_size: 250 # vit-trace: ignore\n")
    assert call(capfd, "check", "m.yaml", "--ignore", "patch").code == 1


@pytest.mark.parametrize(
    ("flags", "project", "says"),
    [
        (["--ignore", "head-do-not-fill-dim"], "", "did you mean heads-do-not-fill-dim?"),
        ([], "ignore = 3", "is not a list of codes"),
        ([], "ignore = [", "not TOML"),
    ],
)
def test_a_choice_of_nothing_is_refused(config, capfd, flags, project, says):
    if project:
        (config / "pyproject.toml").write_text(f"[tool.vit-trace]\n{project}\n")
    code, _, err = call(capfd, "check", "m.yaml", *flags)
    assert code == 2 and says in err
