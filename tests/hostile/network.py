"""Models and configs that ask for the network, for code or weights from elsewhere, and end the program."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case

MODEL = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 16, 16)
        self.head = nn.Linear(8, 10)
        {constructor}

    def middle(self, x):
        {forward}
        return x

    def forward(self, x):
        return self.head(self.middle(self.conv(x).mean((2, 3))))
"""
URL = '"https://weights.example.org/w.pt"'

ASKS = {
    "urllib": f"import urllib.request; urllib.request.urlopen({URL})",
    "http.client": "import http.client; http.client.HTTPSConnection('example.org').request('GET', '/')",
    "socket by name": "import socket; socket.create_connection(('example.org', 80))",
    "socket by number": "import socket; socket.socket().connect(('203.0.113.7', 80))",
    "socket of IPv6": "import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.7', 53))",
    "name only": "import socket; socket.gethostbyname('example.org')",
    "name by getaddrinfo": "import socket; socket.getaddrinfo(b'example.org', 80)",
    "state dict from a URL": f"torch.hub.load_state_dict_from_url({URL})",
    "torch.hub": "torch.hub.load('facebookresearch/dino', 'dino_vits16', trust_repo=True)",
    "file of a hub": "import huggingface_hub; huggingface_hub.hf_hub_download('a/b', 'c.bin')",
    "snapshot of a hub": "import huggingface_hub; huggingface_hub.snapshot_download('a/b')",
    "AutoModel": "import transformers; transformers.AutoModel.from_pretrained('google/vit-base-patch16-224')",
    "AutoConfig": "import transformers; transformers.AutoConfig.from_pretrained('google/vit-base-patch16-224')",
    "timm": "import timm; timm.create_model('vit_tiny_patch16_224', pretrained=True)",
    "timm by hub": "import timm; timm.create_model('hf-hub:timm/vit_tiny_patch16_224.augreg_in21k')",
    "torchvision": "import torchvision; torchvision.models.resnet18(weights='DEFAULT')",
    "ftp": "import ftplib; ftplib.FTP('example.org')",
    "mail": "import smtplib; smtplib.SMTP('example.org')",
    "asyncio": "import asyncio; asyncio.run(asyncio.open_connection('example.org', 80))",
    "in a loop": f"""import time, urllib.request
        while True:
            try:
                urllib.request.urlopen({URL}); break
            except Exception:
                time.sleep(60)""",
}
"""What asks for the network, as a statement."""

GOES_ON = {
    "caught": f"""import urllib.request
        try:
            urllib.request.urlopen({URL})
        except Exception:
            pass""",
    "caught after four tries": f"""import time, urllib.request
        for turn in range(4):
            try:
                urllib.request.urlopen({URL})
            except OSError:
                time.sleep(30)""",
    "in a thread": f"""import threading, urllib.request
        threading.excepthook = lambda _: None
        threading.Thread(target=urllib.request.urlopen, args=({URL},)).start()""",
    "on loopback": """import socket
        server = socket.create_server(('127.0.0.1', 0))
        socket.create_connection(server.getsockname()).close()
        server.close()""",
    "by a pair of sockets": "import socket; [one.close() for one in socket.socketpair()]",
}
"""What may ask, is refused at once where it does, and does not keep the model from running."""

LEAVES = {
    "SystemExit": "raise SystemExit(3)",
    "sys.exit": "import sys; sys.exit('no such model')",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "CancelledError": "import asyncio; raise asyncio.CancelledError('gone')",
    "own BaseException": "raise type('Mine', (BaseException,), {})('mine')",
}

CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "backbone of a hub": ("needs-download", {"model_type": "dpt", "backbone": "microsoft/resnet-50"}),
    "backbone of detr": (
        "needs-download",
        {"model_type": "detr", "backbone": "microsoft/resnet-50", "use_timm_backbone": False},
    ),
    "timm backbone of a hub": ("needs-download", {"model_type": "timm_backbone", "backbone": "hf-hub:timm/vit_tiny"}),
    "attention of a hub": ("remote-code", {"model_type": "vit", "attn_implementation": "kernels-community/flash-attn"}),
    "attention of anybody": ("remote-code", {"model_type": "vit", "attn_implementation": "evil/kernel@main:run"}),
    "attention, internal": ("remote-code", {"model_type": "vit", "_attn_implementation_internal": "evil/kernel"}),
    "attention, underscore": ("remote-code", {"model_type": "vit", "_attn_implementation": "paged|evil/kernel"}),
    "flash attention": ("remote-code", {"model_type": "vit", "attn_implementation": "flash_attention_3"}),
    "attention by part": ("remote-code", {"model_type": "clip", "attn_implementation": {"vision_config": "evil/k"}}),
    "attention in a part": (
        "remote-code",
        {"model_type": "clip", "vision_config": {"attn_implementation": "evil/kernel"}},
    ),
    "experts of a hub": ("remote-code", {"model_type": "vit", "experts_implementation": "evil/experts"}),
    "code of its own": ("remote-code", {"model_type": "mine", "auto_map": {"AutoModel": "evil/repo--m.M"}}),
    "checkpoint for timm": (
        "no-weights",
        {
            "model_type": "timm_wrapper",
            "architecture": "vit_tiny_patch16_224",
            "model_args": {"checkpoint_path": "evil.pth"},
        },
    ),
    "checkpoint for timm's own config": (
        "no-weights",
        {"architecture": "vit_tiny_patch16_224", "model_args": {"checkpoint_path": "evil.pth"}},
    ),
    "weights for timm's own config": (
        "no-weights",
        {"architecture": "vit_tiny_patch16_224", "model_args": {"pretrained": True}},
    ),
}
"""What a config.json holds, and the code of the refusal."""

SOUND: dict[str, dict[str, object]] = {
    "code beside a known model": {
        "model_type": "vit",
        "num_hidden_layers": 1,
        "auto_map": {"AutoModel": "evil/repo--m.M"},
    },
    "quantization": {
        "model_type": "vit",
        "num_hidden_layers": 1,
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    },
    "eager attention": {"model_type": "vit", "num_hidden_layers": 1, "attn_implementation": "eager"},
    "code in a part": {
        "model_type": "clip_vision_model",
        "num_hidden_layers": 1,
        "auto_map": {"AutoConfig": "evil/repo--c.C"},
    },
}
"""Configs that name foreign code which is not needed: they are traced with what is installed."""


def model_file(constructor: str = "pass", forward: str = "pass") -> Callable[[Path], None]:
    """Writes model.py, whose class Model runs a statement in its constructor or in its forward."""
    text = MODEL.format(constructor=constructor, forward=forward)
    return lambda folder: void(folder.joinpath("model.py").write_text(text))


def config_file(values: dict[str, object]) -> Callable[[Path], None]:
    """Writes config.json."""
    return lambda folder: void(folder.joinpath("config.json").write_text(json.dumps(values, indent=1)))


def imported(code: str) -> str:
    """The library of vision models that the code imports; "" for none."""
    return next((name for name in ("transformers", "timm", "torchvision") if f"import {name}" in code), "")


def void(_: object) -> None:
    """Nothing, of something."""


RUN = ("model.py:Model", "--no-formulas")
READ = ("config.json", "--no-formulas")

CASES = [
    *(
        Case(f"constructor asks by {name}", RUN, 2, "needs-download", model_file(text), requires=imported(text))
        for name, text in ASKS.items()
    ),
    *(
        Case(f"forward asks by {name}", RUN, 1, "needs-download", model_file(forward=text), requires=imported(text))
        for name, text in ASKS.items()
    ),
    *(Case(f"constructor {name}", RUN, 0, "6,", model_file(text)) for name, text in GOES_ON.items()),
    *(Case(f"forward {name}", RUN, 0, "6,", model_file(forward=text)) for name, text in GOES_ON.items()),
    *(Case(f"constructor leaves by {name}", RUN, 2, "build-failed", model_file(text)) for name, text in LEAVES.items()),
    *(Case(f"forward leaves by {name}", RUN, 1, "error[", model_file(forward=text)) for name, text in LEAVES.items()),
    *(
        Case(f"config: {name}", READ, 2, code, config_file(values), requires="transformers")
        for name, (code, values) in CONFIGS.items()
    ),
    *(
        Case(f"config: {name}", READ, 0, "output", config_file(values), requires="transformers")
        for name, values in SOUND.items()
    ),
    Case("--set of weights", ("timm:vit_tiny_patch16_224", "--set", "pretrained=true"), 2, "no-weights"),
    Case("--set of weights, torchvision", ("torchvision:vit_b_16", "--set", "weights=DEFAULT"), 2, "no-weights"),
]
