"""Numbers, texts and forms that no setting takes, in a config.json and a YAML file."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case

ODD = {
    "negative": "-1",
    "zero": "0",
    "a fraction": "1.5",
    "NaN": "NaN",
    "infinity": "Infinity",
    "a text": '"x"',
    "a number as a text": '"64"',
    "true": "true",
    "null": "null",
    "a list": "[1, 2, 3]",
    "an object": '{"a": 1}',
    "an empty list": "[]",
    "a million in a list": "[" + "1," * 999_999 + "1]",
    "10**9": "1000000000",
    "10**17": "100000000000000000",
    "1e400": "1e400",
}
FIELDS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "image_size",
    "patch_size",
    "num_channels",
    "id2label",
)

TEXTS: dict[str, bytes] = {
    "not UTF-8": b'{"model_type": "vit", "a": "\xff"}',
    "a BOM": b'\xef\xbb\xbf{"model_type": "vit", "num_hidden_layers": 1}',
    "UTF-16": '{"model_type": "vit"}'.encode("utf-16"),
    "nothing": b"",
    "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 lists in a field": b'{"model_type": "vit", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a list": b"[1, 2]",
    "a number": b"3",
    "cut off": b'{"model_type": "vit"',
    "a control character": b'{"model_type": "vi\x1b[2Jt"}',
    "a null byte": b'{"model_type": "vit"}\0',
    "no type": b"{}",
    "a type that is a list": b'{"model_type": ["vit"]}',
    "an unknown type": b'{"model_type": "nonesuch"}',
    "odd architectures": b'{"model_type": "vit", "architectures": 7}',
    "unknown architectures": b'{"model_type": "vit", "num_hidden_layers": 1, "architectures": ["Nonesuch", 3, null]}',
    "an odd dtype": b'{"model_type": "vit", "num_hidden_layers": 1, "torch_dtype": "float99"}',
    "a dtype that is a list": b'{"model_type": "vit", "num_hidden_layers": 1, "dtype": [1]}',
}
SOUND = {"odd architectures", "unknown architectures", "an odd dtype", "a dtype that is a list", "a BOM"}

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML: dict[str, bytes] = {
    "a bomb": BOMB.encode(),
    "an anchor in itself": b"dim: &a [*a]\n",
    "merge keys": b"base: &b {dimm: 64}\n<<: *b\n",
    "a merge with itself": b"base: &b\n  <<: *b\n<<: *b\n",
    "the same key twice": b"dim: 64\ndim: 128\n",
    "10,000 lists": b"dim: " + b"[" * 10_000 + b"]" * 10_000 + b"\n",
    "10,000 levels": "".join(" " * i + "a:\n" for i in range(2_000)).encode(),
    "a tag of Python": b"dim: !!python/object/apply:os.system ['true']\n",
    "not UTF-8": b"dim: \xff\n",
    "a BOM": b"\xef\xbb\xbfdim: x\n",
    "two documents": b"dim: 64\n---\ndim: 32\n",
    "a number of 10,000 digits": b"dim: " + b"9" * 10_000 + b"\n",
    "base 60": b"dim: 1:30\n",
    "infinity": b"dim: .inf\n",
    "NaN": b"dim: .nan\n",
    "a date": b"dim: 2020-01-01\n",
    "a tab": b"dim:\t64\n\theads: 3\n",
    "a null byte": b"dim: 6\x004\n",
}

SET = {
    "timm:vit_tiny_patch16_224": ("num_heads", "patch_size", "embed_dim", "img_size", "mlp_ratio"),
    "torchvision:vit_b_16": ("image_size", "num_classes"),
    "hf:ViTConfig": ("num_attention_heads", "patch_size", "hidden_size", "hidden_act"),
    "vit-pytorch:ViT": ("heads", "patch_size", "dim_head"),
}
GIVEN = ("1000000007", "-1", "0", "1e400", "nan", "x", "[]", "9" * 5_000)
"""Values of --set; the first is prime, and so large that numbers up to it cannot be counted through."""


def _file(name: str, content: bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return prepare


def _field(field: str, value: str) -> bytes:
    """A config.json with one odd value."""
    rest = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 64}
    lines = [f' "{name}": {json.dumps(number)}' for name, number in rest.items() if name != field]
    return "\n".join(["{", ' "model_type": "vit",', f' "{field}": {value},', ",\n".join(lines), "}"]).encode()


CASES = [
    *(
        Case(f"{spec} {name}={value[:20]}", (spec, "--set", f"{name}={value}", "--no-formulas"), None)
        for spec, names in SET.items()
        for name in names
        for value in GIVEN
    ),
    *(
        Case(
            f"{field} is {name}",
            ("config.json", "--no-formulas"),
            None,
            "",
            _file("config.json", _field(field, value)),
            requires="transformers",
        )
        for field in FIELDS
        for name, value in ODD.items()
    ),
    *(
        Case(
            f"JSON of {name}",
            ("config.json", "--no-formulas"),
            0 if name in SOUND else 2,
            "" if name in SOUND else "error[",
            _file("config.json", content),
            requires="transformers",
        )
        for name, content in TEXTS.items()
    ),
    *(
        Case(f"YAML of {name}", ("c.yaml", "--no-formulas"), 2, "error[", _file("c.yaml", content))
        for name, content in YAML.items()
    ),
]
