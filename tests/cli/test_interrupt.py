"""Ctrl-C in a loop that no limit holds: the process ends within two seconds, with exit code 130."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LOOP = "while True: pass"
CLASS = """
import pathlib
from torch import nn
class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 8, 16, 16)
        {}
    def forward(self, x):
        {}
"""
ENTERED = "pathlib.Path('entered').touch()\n        "
FILES = {
    "an import": f"import pathlib; pathlib.Path('entered').touch()\n{LOOP}\n",
    "a constructor": CLASS.format(f"{ENTERED}{LOOP}", "return x"),
    "a forward": CLASS.format("pass", f"{ENTERED}{LOOP}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", FILES)
def test_ctrl_c_in_an_endless_loop(place, tmp_path: Path):
    (tmp_path / "m.py").write_text(FILES[place])
    command = [sys.executable, "-m", "vit_trace", "m.py:Net", "--limit", "lines=999999999999"]
    process = subprocess.Popen(command, cwd=tmp_path)
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "entered").exists() and time.monotonic() < end:
            time.sleep(0.05)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert time.monotonic() - start < 2
    finally:
        process.kill()
