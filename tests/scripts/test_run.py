"""`vit-trace run` in processes of its own: the report, files, several ranks, `--first` and `--steps`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import environment, process

FAILING = Path(__file__).parent / "failing"

STEPS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
net = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Flatten(), nn.LazyLinear(5))
net(torch.zeros(1, 3, 32, 32))
for images, labels in DataLoader(TensorDataset(torch.rand(5, 3, 32, 32), torch.randint(5, (5,))), batch_size=3):
    logits = net(images)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
print("the end")
"""

RANKS = """
import sys, os
sys.path.insert(0, sys.argv[1])
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tiny import ViT
dist.init_process_group("gloo")
net = DistributedDataParallel(ViT())
size = 24 if sys.argv[2] in ("all", os.environ["RANK"]) else 32
net(torch.rand(2, 3, size, size)).sum().backward()
"""

COMPILED = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(16, 16)
    def forward(self, x):
        q = self.q(x)
        return (q @ q).softmax(-1)
net = torch.compile(Net(), backend="eager")
net(torch.rand(2, 9, 16))
"""


def test_python_first_then_the_report_and_files(tmp_path):
    files = [tmp_path / f"crash.{suffix}" for suffix in ("json", "txt", "html")]
    options = [word for file in files for word in ("-o", file)]
    done = process("run", *options, FAILING / "loss_grid.py")
    assert (done.returncode, done.stdout) == (1, "")
    account, _, report = done.stderr.partition("\nerror[loss-labels]")
    assert account.startswith("Traceback (most recent call last):\n  File") and "vit_trace" not in account
    assert "help: F.interpolate(logits" in report
    saved = json.loads(files[0].read_text())
    assert (saved["schema"], saved["exception"]) == ("vit-trace-crash/1", "RuntimeError")
    assert saved["diagnostics"][0]["code"] == "loss-labels"
    assert [stage["name"] for stage in saved["trace"]["stages"]][:2] == ["images", "target"]
    for file in files[1:]:
        assert "RuntimeError" in file.read_text() and "loss-labels" in file.read_text()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "usage"),
        (("-o", "x.pdf", "a.py"), "unknown-suffix"),
        (("-o", "no/x.txt", "a.py"), "cannot-write"),
        (("--frist", "a.py"), "unknown-flag"),
        (("--steps", "0", "a.py"), "usage"),
    ],
)
def test_what_cannot_be_asked(words, code):
    done = process("run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error[{code}]" in done.stderr


@pytest.mark.slow
def test_the_first_step_with_its_loss(tmp_path):
    (tmp_path / "train.py").write_text(STEPS)
    done = process("run", "--first", "-o", tmp_path / "first.json", tmp_path / "train.py")
    trace = json.loads((tmp_path / "first.json").read_text())
    assert (done.returncode, done.stdout) == (0, "")
    assert [stage["name"] for stage in trace["stages"] if stage["parent"] is None][:2] == ["images", "labels"]
    assert trace["stages"][-2]["operation"] == "cross_entropy"


@pytest.mark.slow
def test_shapes_that_change_between_steps(tmp_path):
    (tmp_path / "train.py").write_text(STEPS)
    done = process("run", "--steps", 2, "--levels", 1, tmp_path / "train.py")
    assert (done.returncode, "the end" in done.stdout, "cross_entropy" in done.stdout) == (0, False, True)
    assert "note[shapes-change]: step 2 feeds Sequential 2×3×32×32 instead of 3×3×32×32" in done.stderr
    assert "same shapes" not in done.stderr


@pytest.mark.slow
def test_shapes_that_stay(tmp_path):
    (tmp_path / "train.py").write_text(STEPS.replace("(5, 3", "(6, 3").replace("(5,)", "(6,)"))
    done = process("run", "--steps", 2, "--levels", 1, tmp_path / "train.py")
    assert done.stdout.startswith("train.py\n") and done.stderr == "vit-trace: all 2 steps feed the same shapes\n"


@pytest.mark.slow
def test_a_compiled_module(tmp_path):
    (tmp_path / "compiled.py").write_text(COMPILED)
    done = process("run", tmp_path / "compiled.py")
    assert "help: q.transpose(-2, -1) instead of q (tried: runs, output 2×9×9)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "said"), [("all", "ranks 0, 1 of 2: RuntimeError"), ("1", "rank 1 of 2: RuntimeError")]
)
def test_ranks_that_fail_together(which, said, tmp_path):
    (tmp_path / "train.py").write_text(RANKS)
    words = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vit_trace", "run")
    command = [sys.executable, *words, str(tmp_path / "train.py"), str(FAILING), which]
    variables = environment(TMPDIR=str(tmp_path), OMP_NUM_THREADS="1")
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120)
    assert done.stderr.count(said) == 1
    assert done.stderr.count("error[broadcast]") == 1
    assert "pos_embed interpolated from 17 positions to 10 positions (tried: runs, output 2×10)" in done.stderr


@pytest.mark.slow
def test_what_a_report_costs(tmp_path):
    """At most 2.5 times the CPU time of `import torch` beyond the failure itself, for a ViT-L."""
    script = f"""
import sys, time
sys.path.insert(0, {str(FAILING)!r})
start = time.process_time()
import torch
torch_takes = time.process_time() - start
from tiny import ViT
with torch.device("meta"):
    net = ViT(image=224, patch=16, dim=1024, depth=24, heads=16)
try:
    net(torch.empty(8, 3, 256, 256, device="meta"))
except RuntimeError as error:
    from vit_trace.scripts.report import tell
    before = time.process_time()
    tell(error)
    print((time.process_time() - before) / torch_takes)
"""
    (tmp_path / "large.py").write_text(script)
    done = subprocess.run([sys.executable, tmp_path / "large.py"], capture_output=True, text=True, env=environment())
    assert "an input of 224×224 (tried" in done.stderr
    assert float(done.stdout) < 2.5


CHILDREN = """
import sys
import torch
from torch import multiprocessing
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8 * 16, 10)
    def forward(self, x):
        return self.head(self.patch(x).flatten(1))

def worker(rank, size):
    Net()(torch.rand(2, 3, size, size)).sum().backward()

if __name__ == "__main__":
    if sys.argv[1] == "all":
        multiprocessing.spawn(worker, (40,), nprocs=2)
    one = multiprocessing.get_context(sys.argv[1]).Process(target=worker, args=(0, 40))
    one.start()
    one.join()
    print("ended with", one.exitcode)
"""


@pytest.mark.parametrize("start", ["all", "fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_process_that_the_script_starts_is_explained(start, tmp_path):
    script, report, temporary = tmp_path / "train.py", tmp_path / "crash.json", tmp_path / "temporary"
    script.write_text(CHILDREN)
    temporary.mkdir()
    done = process("run", "-o", report, script, start, TMPDIR=str(temporary))
    account, _, found = done.stderr.partition("\nerror[linear]")
    assert "Traceback" in account and account.rstrip().endswith("shapes cannot be multiplied (2x200 and 128x10)")
    assert "children.py" not in account and "train.py:12:" in found and "an input of 32×32 (tried" in found
    assert [*temporary.glob("vit-trace*")] == []  # torch leaves files of its own
    if start == "all":
        assert (done.returncode, done.stdout) == (1, "")
        assert json.loads(report.read_text())["trace"]["failure"]["code"] == "linear"
    else:
        assert (done.returncode, done.stdout) == (0, "ended with 1\n")
