"""Completion: what may follow a line, the same in bash, zsh and fish themselves, without torch or a library."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from helpers.commands import environment, process, python_process

from vit_trace.cli.app import run
from vit_trace.cli.completing import SCRIPTS, completions
from vit_trace.render.codes import MEANINGS
from vit_trace.targets.defined import FINDERS, scanned_names

NET = "from torch import nn\nclass Net(nn.Module):\n    pass\ndef build():\n    return Net()\n"
LINES = [  # a line, and what completes its last word
    ("vit-trace ex", ["explain"]),
    ("vit-trace --vi", ["--view"]),
    ("vit-trace --view ", ["table", "tree", "source"]),
    ("vit-trace --view=t", ["--view=table", "--view=tree"]),
    ("vit-trace --no-fo", ["--no-fold", "--no-formulas"]),
    ("vit-trace show --wi", ["--width", "--with"]),
    ("vit-trace --columns stage,for", ["stage,formula"]),
    ("vit-trace --pool ", ["cls", "mean"]),
    ("vit-trace check --format s", ["sarif"]),
    ("vit-trace check --precision b", ["bf16-mixed", "bf16"]),
    ("vit-trace check --ignore broadcast-", ["broadcast-one"]),
    ("vit-trace explain matm", ["matmul"]),
    ("vit-trace net", ["net.py", "nets/"]),
    ("vit-trace net.py:", ["net.py:Net", "net.py:build"]),
    ("vit-trace show saved.json --stage mlp", ["mlp_head", "mlp_head.0", "mlp_head.1"]),
    ("vit-trace sh", ["show"]),
    ("vit-trace 'a quo", []),
]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completing")
    (folder / "net.py").write_text(NET)
    (folder / "nets").mkdir()
    small = ["--image-size", "64", "--dim", "32", "--depth", "1", "--heads", "2", "--dim-head", "8", "--mlp-dim", "48"]
    assert run([*small, "--no-formulas", "-o", str(folder / "saved.json")]) == 0
    return folder


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_what_may_follow_a_line(here, monkeypatch, line, expected):
    monkeypatch.chdir(here)
    assert [one.text for one in completions(line)] == expected


def test_every_code_is_offered():
    assert {one.text for one in completions("vit-trace explain ")} >= set(MEANINGS)


@pytest.mark.parametrize("prefix", FINDERS)
def test_names_read_from_a_library_s_files_are_those_that_it_lists(prefix):
    if find_spec(FINDERS[prefix][0]) is None:
        pytest.skip("not installed")
    from vit_trace.targets.library import library

    assert list(scanned_names(prefix)) == sorted(library(prefix).names())
    some = scanned_names(prefix)[7]
    assert f"{prefix}:{some}" in [one.text for one in completions(f"vit-trace {prefix}:{some[:-1]}")]


def test_nothing_heavy_is_imported():
    script = (
        "import sys\nfrom vit_trace.cli.completing import completions\n"
        "for line in ('vit-trace timm:v', 'vit-trace hf:', 'vit-trace explain ', 'vit-trace --st', 'vit-trace '):\n"
        "    completions(line)\n"
        "assert not {'torch', 'timm', 'transformers', 'torchvision'} & set(sys.modules)"
    )
    done = python_process("-c", script)
    assert done.returncode == 0, done.stderr


BASH = """
set -- {python}
vit-trace() {{ {python} -m vit_trace "$@"; }}
{script}
for line in {lines}; do
    COMP_LINE=$line COMP_POINT=${{#line}}
    _vit_trace vit-trace
    echo "$line -> ${{COMPREPLY[*]}}"
done
"""
FISH = """
function vit-trace; {python} -m vit_trace $argv; end
{script}
for line in {lines}; echo "$line -> "(complete -C "$line" | cut -f1 | string join ' '); end
"""
ZSH = """
vit-trace() {{ {python} -m vit_trace "$@" }}
compdef() {{ }}
compadd() {{ [[ $1 == -S ]] && shift 2; shift; offered+=("$@") }}
_files() {{ }}
{script}
for line in {lines}; do
    words=(${{=line}}) CURRENT=$#words offered=()
    _vit_trace
    echo "$line -> $offered"
done
"""
SHOWN = {
    "vit-trace ex": "explain",
    "vit-trace --vi": "--view",
    "vit-trace check --format s": "sarif",
    "vit-trace net.py:": "net.py:Net net.py:build",
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_real_shell_completes(here, shell):
    if shutil.which(shell) is None:
        pytest.skip("not installed")
    frame = {"bash": BASH, "fish": FISH, "zsh": ZSH}[shell]
    lines = " ".join(f"'{line}'" for line in SHOWN)
    text = frame.format(python=sys.executable, script=SCRIPTS[shell], lines=lines)
    quiet = {"bash": ["--norc"], "fish": ["--no-config"], "zsh": ["-f"]}[shell]
    done = subprocess.run(
        [shell, *quiet, "-c", text], capture_output=True, text=True, cwd=here, env=environment(), timeout=120
    )
    found = {
        line: " ".join(sorted(text.split())) for line, text in (one.split(" -> ") for one in done.stdout.splitlines())
    }
    own = {line: text.replace("net.py:", "") if shell == "bash" else text for line, text in SHOWN.items()}
    assert found == own, done.stderr  # bash completes what follows the colon, which breaks words there


def test_the_script_is_installed_once(tmp_path):
    for shell, file in {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/vit-trace.fish"}.items():
        for _ in range(2):
            done = process("--install-completion", shell, HOME=str(tmp_path))
            assert done.returncode == 0, done.stderr
        assert (tmp_path / file).read_text().count(SCRIPTS[shell]) == 1
    shown = process("--show-completion", SHELL="/bin/zsh")
    assert shown.stdout == SCRIPTS["zsh"] + "\n"
    refused = process("--show-completion", "tcsh")
    assert refused.returncode == 2 and re.search("one of bash, zsh, fish", refused.stderr)
