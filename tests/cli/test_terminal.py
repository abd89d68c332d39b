"""vit-trace in a terminal, in a pipe behind one, and in files: width, colour, pager, what is said where."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from helpers.commands import call, environment, shell

from vit_trace.cli.app import run

SMALL = ["--image-size", "64", "--dim", "32", "--depth", "2", "--heads", "2", "--dim-head", "8", "--mlp-dim", "48"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("terminal") / "small.json"
    assert run([*SMALL, "-o", str(file)]) == 0
    return file


def in_terminal(script: str, columns: int = 90, lines: int = 24, **variables: str) -> str:
    """What a terminal of a size shows of a shell script."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    command = ["bash", "-c", script.replace("vit-trace", f"{sys.executable} -m vit_trace")]
    more = {"TERM": "xterm-256color", "PAGER": "cat", "LINES": ""} | variables
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**more))
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the terminal is closed on the other side
        pass
    running.wait(60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_a_pipe_in_a_terminal_is_as_wide_as_the_terminal_and_plain(saved):
    text = in_terminal(f"vit-trace show {saved} | cat")
    assert 70 < widest(text) <= 90 and "\x1b" not in text


@pytest.mark.parametrize(("flags", "coloured"), [("", True), ("--color never", False), ("--color always", True)])
def test_colour_is_as_asked(saved, flags, coloured):
    assert ("\x1b[" in in_terminal(f"vit-trace show {saved} {flags}")) == coloured
    piped = shell(f"vit-trace show {saved} {flags}").stdout
    assert ("\x1b[" in piped) == ("always" in flags)


def test_what_is_longer_than_the_terminal_goes_through_the_pager(saved):
    marked = {"PAGER": "sed s/^/PAGED:/"}
    assert in_terminal(f"vit-trace show {saved}", **marked).count("PAGED:") > 24
    assert "PAGED:" not in in_terminal(f"vit-trace show {saved}", lines=400, **marked)
    assert "PAGED:" not in in_terminal(f"vit-trace show {saved} --no-pager", **marked)
    assert "PAGED:" not in in_terminal(f"vit-trace show {saved} | cat", **marked)
    for broken in ("no-such-pager-at-all", "false"):
        assert "4 steps mix tokens" in in_terminal(f"vit-trace show {saved}", PAGER=broken)
    assert in_terminal(f"vit-trace show {saved}", PAGER="sh -c 'cat; exit 3'").count("4 steps mix tokens") == 1


def test_a_file_holds_the_diagnosis_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = " ".join(SMALL)
    done = shell(f"vit-trace {words} --input 2x3x96x96 > a.txt; vit-trace {words} --input 2x3x96x96 -o b.txt")
    for name in ("a.txt", "b.txt"):
        text = Path(name).read_text()
        assert "✗" in text and text.count("error[broadcast]") == 1, name
    assert done.stderr.count("error[broadcast]") == 2
    shell(f"vit-trace {words} --input 2x3x96x96 > c.txt 2>&1")
    assert Path("c.txt").read_text().count("error[broadcast]") == 1


def test_a_saved_crash_exits_as_the_crash_did(capfd, tmp_path):
    file = tmp_path / "crash.json"
    assert call(capfd, *SMALL, "--input", "2x3x96x96", "-o", file).code == 1
    assert call(capfd, "show", file).code == 1


def test_a_place_stays_whole_in_a_narrow_terminal(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    _, _, err = call(capfd, *SMALL, "--input", "2x3x96x96")
    (place,) = [line for line in err.splitlines() if "-->" in line]
    file, line, _ = place.split("--> ")[1].split(":")
    assert file.endswith("vit.py") and line.isdecimal()


@pytest.mark.parametrize("columns", [80, 130])
@pytest.mark.parametrize("words", ["--help", "run --help"])
def test_help_stands_in_panels_in_a_terminal(words, columns):
    text = re.sub(r"\x1b\[[0-9;]*m", "", in_terminal(f"vit-trace {words}", columns))
    titles = re.findall(r"^╭─ (.+?) ─+╮$", text, re.M)
    assert widest(text) <= columns and "..." not in text.replace("]...", "")
    assert {"Arguments", "What to show"} < {*titles}
    assert {*re.findall(r"--[a-z-]+", shell(f"vit-trace {words}").stdout)} <= {*re.findall(r"--[a-z-]+", text)}


def test_help_is_plain_where_there_are_no_panels():
    plain = shell("vit-trace --help", COLUMNS="80").stdout
    assert "╭" not in plain and "╭" not in in_terminal("vit-trace --help", TERM="dumb")
    assert "╭" not in in_terminal("vit-trace --help", 50)
