"""Reads the options of a training run from the command line. No torch."""

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from msgspec import Struct

from vit_trace.base.refused import refuse, require_known
from vit_trace.base.words import whole_number
from vit_trace.memory.states import OPTIMIZERS

Device = Literal["cuda", "cpu"]
Precision = Literal["fp32", "bf16-mixed", "fp16-mixed", "bf16"]

PRECISIONS: dict[str, str] = {
    "fp32": "float32",
    "bf16-mixed": "float32 parameters, bfloat16 by autocast as on CUDA",
    "fp16-mixed": "float32 parameters, float16 by autocast as on CUDA",
    "bf16": "all bfloat16",
}
DEVICES = ("cuda", "cpu")
KERNELS = ("flash", "efficient", "math")
"""Kernels of attention on CUDA."""

UNITS = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGTP", 1)
    for ending, base in (("iB", 1024), ("B", 1000), ("", 1024))
}
"""Bytes of a unit; GiB and G are 1024³, GB is 1000³."""

SIZE = re.compile(r"^\s*(\d+(?:_\d{3})*(?:\.\d+)?)\s*([A-Za-z]*)\s*$")
LEAST, MOST = 10_000, 2**63
"""Least bytes of a number without a unit (24 lacks one), and bytes above which no memory is."""


class Lora(Struct, frozen=True):
    """Adapters of rank `r` at the modules whose names end in one of `targets`; those of `save` are trained too."""

    r: int
    targets: tuple[str, ...]
    save: tuple[str, ...] = ()


class Training(Struct, frozen=True):
    """One training run, option by option.

    `batch_size` None is the target's own. `checkpointing` recomputes every `checkpoint_every`-th block. `attention` is
    the kernel on CUDA, None the one that torch chooses; `reserve` the bytes beside the allocator's. `freeze` are globs
    over names of parameters. `inference` is a forward without gradients. `accumulate` counts the batches of one
    optimizer step. `ddp` is DistributedDataParallel. `shards` is the number of GPUs that hold a part each of what
    `zero` says: 1 the optimizer's state, 2 also gradients, 3 also parameters, as FSDP does. `input_on_device`: the next
    batch lies on the device already.
    """

    batch_size: int | None = None
    optimizer: str = "adamw"
    precision: Precision = "fp32"
    checkpointing: bool = False
    checkpoint_every: int = 1
    device: Device = "cuda"
    attention: str | None = None
    reserve: int | None = None
    freeze: tuple[str, ...] = ()
    lora: Lora | None = None
    inference: bool = False
    ema: bool = False
    accumulate: int = 1
    ddp: bool = False
    shards: int = 1
    zero: int = 0
    input_on_device: bool = False


class TrainingAsked(NamedTuple):
    """A training run as typed: each option by its name, None or its default where it was not given."""

    device: str | None = None
    optimizer: str | None = None
    precision: str | None = None
    checkpointing: bool = False
    checkpoint_every: int | None = None
    attention: str | None = None
    reserve: str | None = None
    freeze: tuple[str, ...] = ()
    lora: str | None = None
    inference: bool = False
    ema: bool = False
    accumulate: int | None = None
    ddp: bool = False
    fsdp: int | None = None
    zero: int | None = None
    gpus: int | None = None
    input_on_device: bool = False

    def given(self) -> list[str]:
        """Flags that were given."""
        return [f"--{name.replace('_', '-')}" for name, value in self._asdict().items() if value]

    def training(self) -> Training:
        """The run. Raises Refused."""
        asked = {name: value for name, value in self._asdict().items() if value}
        for name, known in (("device", DEVICES), ("optimizer", tuple(OPTIMIZERS)), ("precision", tuple(PRECISIONS))):
            require_known(f"--{name}", asked.get(name, known[0]), known)
        require_known("--attention", asked.get("attention", KERNELS[0]), KERNELS)
        self._require_sense()
        if "lora" in asked:
            asked["lora"] = lora_of(asked["lora"])
        if "reserve" in asked:
            asked["reserve"] = amount_of("--reserve", asked["reserve"])
        if "checkpoint_every" in asked:
            asked["checkpointing"] = True
        fsdp, zero, gpus = (asked.pop(name, 0) for name in ("fsdp", "zero", "gpus"))
        if fsdp or zero:
            asked |= {"shards": fsdp or gpus, "zero": zero or 3}
        return Training(**asked)

    def _require_sense(self) -> None:
        """Refuse options that exclude each other."""
        if self.inference:
            for flag in self.given():
                if flag in TRAINS:
                    raise refuse("bad-value", f"{flag} says how to train, and --inference does not train")
        if self.device == "cpu":
            for flag in ("--attention", "--reserve"):
                if flag in self.given():
                    raise refuse("bad-value", f"{flag} is for --device cuda")
        if self.fsdp and (self.zero or self.gpus):
            raise refuse("bad-value", "--fsdp N is --zero 3 --gpus N: give one of the two", help=("--fsdp 8",))
        if bool(self.zero) != bool(self.gpus):
            raise refuse(
                "bad-value",
                "--zero needs the number of GPUs, --gpus",
                help=(f"--zero {self.zero or 1} --gpus {self.gpus or 8}",),
            )
        if self.zero and self.zero > 3:
            raise refuse("bad-value", f"--zero {self.zero}: it takes 1, 2 or 3")


TRAINS = frozenset(
    (
        "--optimizer --checkpointing --checkpoint-every --freeze --lora --ema --accumulate --ddp --fsdp --zero --gpus"
    ).split()
)
"""Flags that say how to train."""


def lora_of(text: str) -> Lora:
    """r=8,targets=q_proj+v_proj,save=head. Raises Refused."""
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    rank, targets = parts.pop("r", ""), parts.pop("targets", "")
    save = tuple(filter(None, parts.pop("save", "").split("+")))
    if parts or not rank.isdecimal() or not int(rank) or not targets:
        help = ("--lora r=8,targets=qkv+proj", "--lora r=8,targets=query+value,save=classifier")
        raise refuse("bad-value", f"--lora {text}: it takes a rank and the names of modules", help=help)
    return Lora(int(rank), tuple(filter(None, targets.split("+"))), save)


def budget_of(text: str) -> int:
    """Bytes of --memory. Raises Refused."""
    return amount_of("--memory", text)


def amount_of(flag: str, text: str) -> int:
    """Bytes of 24GiB, 80GB, 24000MiB, 1.5TiB or a plain number. Raises Refused."""
    found = SIZE.match(text)
    unit = next((held for name, held in UNITS.items() if found and name.lower() == found[2].lower()), None)
    if found is None or unit is None or (unit == 1 and "." in found[1]):
        help = (f"{flag} 24GiB, 80GB, 24000MiB, or a number of bytes",)
        raise refuse("bad-value", f"{flag} {text}: not an amount of memory", help=help)
    whole, point, rest = found[1].replace("_", "").partition(".")
    count = int(Fraction(f"{whole_number(whole)}{point}{rest[:20]}") * unit)
    if not found[2] and count < LEAST:
        help = (f"{flag} {found[1]}GiB",)
        raise refuse("bad-value", f"{flag} {text}: {count} bytes hold no model: a unit is missing", help=help)
    if not 0 < count < MOST:
        raise refuse("bad-value", f"{flag} {text}: it takes 1 byte to 8 EiB", help=(f"{flag} 24GiB",))
    return count
