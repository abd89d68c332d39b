"""`--break`: Python's debugger stops where a condition begins to hold, at the model's own lines, in its own frame."""

import re
import subprocess
import sys

import pytest
from helpers.commands import environment, process

NET = """
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, img):
        x = self.conv(img)
        x = rearrange(x, "b c h w -> b (h w) c")
        x = self.norm(x)
        a = self.attention(x, x, x)[0]
        x = x + a
        x = x.mean(1)
        return self.head(x)

def make():
    return Net()
"""
SCRIPT = """
if __name__ == "__main__":
    net = Net()
    for images in torch.rand(2, 4, 3, 16, 16):
        F.cross_entropy(net(images), torch.zeros(4, dtype=torch.long)).backward()
        print("a step")
"""


def stops(text: str) -> list[tuple[str, int]]:
    """The steps that the debugger names, each with the line of the file that is to run next."""
    found, named = [], []
    for line in text.splitlines():
        line = line.removeprefix("(Pdb) ")
        if place := re.match(r"> .*net\.py\((\d+)\)", line):
            found += [(step, int(place[1])) for step in named]
            named = []
        elif "→" in line:
            named.append(line)
    return found


def debugged(tmp_path, commands: str, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "net.py").write_text(NET + SCRIPT)
    command = [sys.executable, "-m", "vit_trace", *words]
    return subprocess.run(
        command, cwd=tmp_path, input=commands, capture_output=True, text=True, env=environment(), timeout=120
    )


CASES = {
    "changes": [
        ("conv  Conv2d  2×3×16×16 → 2×8×4×4", 17),
        ("x  rearrange  2×8×4×4 → 2×16×8", 18),
        ("x#3  mean  2×16×8 → 2×8", 22),
        ("head  Linear  2×8 → 2×10", 22),
    ],
    "16": [("x  rearrange  2×8×4×4 → 2×16×8", 18)],
    "2x8": [("x#3  mean  2×16×8 → 2×8", 22)],
    "norm": [("norm  LayerNorm  2×16×8 → 2×16×8", 19)],
    "Lin*": [("head  Linear  2×8 → 2×10", 22)],
}


@pytest.mark.parametrize("condition", CASES)
def test_it_stops_after_the_step_before_the_next_line(condition, tmp_path):
    done = debugged(tmp_path, "c\n" * 40, "--break", condition, "--input", "img=2x3x16x16", "net.py:make")
    inside = [one for one in stops(done.stderr) if "attention" not in one[0]]
    assert done.returncode == 0, done.stderr
    assert inside == CASES[condition]
    assert "params" in done.stdout and "(Pdb)" not in done.stdout  # the trace, and only that


def test_what_is_tried_there_is_not_of_the_model(tmp_path):
    tried = "p x.shape\np (x @ x.mT).shape\nn\np x.shape\nc\nc\n"
    done = debugged(tmp_path, tried, "--break", "16", "--input", "img=2x3x16x16", "net.py:make")
    plain = process(f"{tmp_path}/net.py:make", "--input", "img=2x3x16x16")
    assert re.findall(r"torch.Size\((.*)\)", done.stderr) == ["[2, 16, 8]", "[2, 16, 16]", "[2, 16, 8]"]
    assert "net.py(19)" in done.stderr  # one line on
    assert done.stdout == plain.stdout


def test_a_condition_that_never_holds_is_said(tmp_path):
    done = debugged(tmp_path, "", "--break", "198", "--break", "atention", "--input", "img=2x3x16x16", "net.py:make")
    assert done.stderr.splitlines() == [f"vit-trace: no step met --break {one}" for one in ("198", "atention")]


def test_quitting_ends_as_ctrl_c_does(tmp_path):
    done = debugged(tmp_path, "q\n", "--break", "changes", "--input", "img=2x3x16x16", "net.py:make")
    assert done.returncode == 130 and "Traceback" not in done.stderr and "params" not in done.stdout


def test_in_a_script_it_stops_in_the_first_step(tmp_path):
    done = debugged(tmp_path, "p img.shape\nc\nc\n", "run", "--break", "4x10", "net.py")
    assert stops(done.stdout) == [("net.head  Linear  4×8 → 4×10", 22)]
    assert "torch.Size([4, 3, 16, 16])" in done.stdout and "a step" not in done.stdout
    assert "cross_entropy" in done.stdout and done.returncode == 0


def test_where_nobody_types_every_stop_is_told(tmp_path):
    done = debugged(tmp_path, "", "--break", "changes", "--input", "img=2x3x16x16", "net.py:make")
    assert [one for one in stops(done.stderr) if "attention" not in one[0]] == CASES["changes"]
    assert done.returncode == 0 and "params" in done.stdout
