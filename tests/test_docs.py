"""The documentation: what its pages show is what the program prints, its links lead somewhere, its commands run."""

import html
import importlib.util
import json
import re
import shlex

import pytest
from helpers.commands import call
from helpers.places import ROOT

spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

WRITTEN = {str(page.relative_to(ROOT)): page for page in make.pages()}
ALL = [*make.pages(), make.DOCS / "index.md", make.DOCS / "diagnostics.md"]
HOW = "python docs/make.py makes it again"


def in_process(capfd, monkeypatch):
    """`make.run` without a process for each command."""
    monkeypatch.setenv("COLUMNS", str(make.WIDTH))

    def run(command, place):
        done = make.subprocess.CompletedProcess(command, 0)
        found = call(capfd, *shlex.split(command)[1:])
        done.stdout = "".join(f"{line.rstrip()}\n" for line in f"{found.out}{found.err}".strip("\n").splitlines())
        return done

    return run


def test_the_pages_of_the_reference_are_current(capfd, monkeypatch):
    monkeypatch.setattr(make, "run", in_process(capfd, monkeypatch))
    stale = [str(path.relative_to(ROOT)) for path, text in make.reference("").items() if path.read_text() != text]
    assert not stale, HOW


def test_the_first_command_of_the_readme_prints_what_it_shows(capfd, monkeypatch):
    monkeypatch.setattr(make, "run", in_process(capfd, monkeypatch))
    monkeypatch.chdir(ROOT)
    page = WRITTEN["README.md"].read_text()
    assert make.refreshed(page, "") == page, HOW


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, page in WRITTEN.items() if "```console" in page.read_text()])
def test_commands_print_what_the_page_shows(name):
    page = WRITTEN[name].read_text()
    with make.folder() as place:
        assert make.refreshed(page, place) == page, HOW


@pytest.mark.slow
@pytest.mark.parametrize("name", make.PICTURES)
def test_pictures_show_what_is_printed(name):
    svg = (make.DOCS / "pictures" / f"{name}.svg").read_text()
    seen = html.unescape("".join(re.findall(r"<text [^>]*>(.*?)</text>", svg)))
    with make.folder() as place:
        printed = f"$ {make.PICTURES[name]}{make.run(make.PICTURES[name], place).stdout}"
    assert "".join(seen.split()) == "".join(printed.split()), HOW


def commands():
    """The lines of shell blocks that run vit-trace as it is."""
    for name, page in WRITTEN.items():
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.M | re.S):
            yield from ((name, line) for line in block.splitlines() if line.startswith("vit-trace"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "line"), commands())
def test_commands_start(name, line):
    with make.folder() as place:
        assert make.run(line, place).returncode in (0, 1)


def test_the_problem_matcher_reads_what_check_writes(capfd):
    """VS Code applies the pattern of docs/how-to/ci.md to each line."""
    task = json.loads(re.findall(r"^```json\n(.*?)^```", WRITTEN["docs/how-to/ci.md"].read_text(), re.M | re.S)[0])
    pattern = task["problemMatcher"]["pattern"]
    found = call(capfd, "check", "--format", "concise", ROOT / "examples" / "heads.yaml")
    match = re.match(pattern["regexp"], found.out.splitlines()[0])
    read = {name: match[group] for name, group in pattern.items() if name != "regexp"}
    assert (read["line"], read["column"], read["severity"]) == ("6", "8", "warning")
    assert read["file"].endswith("heads.yaml") and read["code"] == "heads-do-not-fill-dim" and "768" in read["message"]


def broken_links(page):
    """Links of a page to files that are not there."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    own = [link.removeprefix(make.SITE) for link in links if link.startswith(make.SITE)]
    near = [link for link in links if link and "://" not in link]
    return [link for link in near if not (page.parent / link).exists()] + [
        link for link in own if not (ROOT / link).exists()
    ]


def test_links_lead_somewhere():
    assert not {page.name: broken for page in ALL if (broken := broken_links(page))}


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"[one](no.md) [two]({make.SITE}no.py) [three](https://example.org) [four](page.md#here)")
    assert broken_links(page) == ["no.md", "no.py"]


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.M))
    assert listed == {str(page.relative_to(make.DOCS)) for page in ALL if page.is_relative_to(make.DOCS)}
