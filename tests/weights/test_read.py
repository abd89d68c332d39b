"""Files of weights, good, broken and hostile: read as the libraries read them, or refused with one diagnostic."""

import io
import json
import os
import pickle
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import numpy
import pytest
import torch
from helpers.commands import call, python_process
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vit_trace.base.refused import Refused
from vit_trace.weights import read
from vit_trace.weights.pickles import unpickled
from vit_trace.weights.torch_values import ALLOWED

STATE = {
    "a": torch.zeros(2, 3),
    "b.c": torch.zeros(4, dtype=torch.bfloat16),
    "n": torch.tensor(3),
    "empty": torch.zeros(0, 5, dtype=torch.int8),
}
SHAPES = {name: (tuple(value.shape), str(value.dtype)[6:]) for name, value in STATE.items()}


def shapes(path) -> dict:
    return {name: (entry.shape, entry.dtype) for name, entry in read(path).entries.items()}


def refusal(path) -> tuple[str, str]:
    """(code, message) of the one diagnostic that a file is refused with."""
    with pytest.raises(Refused) as refused:
        read(path)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.severity == "error" and "\n" not in diagnostic.message
    return diagnostic.code, diagnostic.message


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# -- what is well -----------------------------------------------------------------------------------------------------


def test_safetensors_and_both_forms_of_torch_save_say_the_same(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    torch.save(STATE, tmp_path / "zip.pt")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "zip.pt", "old.pth"):
        assert shapes(tmp_path / name) == SHAPES, name


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves_is_read_as_torch_loads_it(tmp_path, old, protocol):
    base = torch.zeros(6, 8)
    state = {
        "parameter": torch.nn.Parameter(torch.zeros(3)),
        "view": base[1:3, ::2],
        "same storage": base.t(),
        "half": torch.zeros(2, dtype=torch.float16),
        "flags": torch.zeros(2, dtype=torch.bool),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "scalar": torch.tensor(1.5),
    }
    if not old:
        state["float8"] = torch.zeros(2, 2).to(torch.float8_e4m3fn)
        state["wide"] = torch.zeros(2, dtype=torch.uint16)
    module = torch.nn.Linear(2, 2)
    module.state_dict()
    state |= module.state_dict(prefix="module.")
    torch.save(state, tmp_path / "x.pt", _use_new_zipfile_serialization=not old, pickle_protocol=protocol)
    loaded = torch.load(tmp_path / "x.pt", weights_only=protocol == 2, map_location="meta")
    assert shapes(tmp_path / "x.pt") == {
        name: (tuple(value.shape), str(value.dtype)[6:]) for name, value in loaded.items()
    }


def test_only_what_torch_itself_allows_is_allowed():
    from torch._weights_only_unpickler import _get_allowed_globals

    known = set(_get_allowed_globals()) | {"__builtin__.set", "__builtin__.bytearray", "torch.nn.parameter.Parameter"}
    odd = {name for name in ALLOWED - known if not name.endswith("Storage")}
    assert odd == set()


def test_npz(tmp_path):
    arrays = {"Transformer/x/kernel": numpy.zeros((2, 3), "f4"), "step": numpy.array(3), "h": numpy.zeros(2, "f2")}
    for save in (numpy.savez, numpy.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        assert shapes(tmp_path / "x.npz") == {
            "Transformer/x/kernel": ((2, 3), "float32"),
            "step": ((), "int64"),
            "h": ((2,), "float16"),
        }


NESTED = {
    "state_dict": ({"epoch": 3, "state_dict": STATE, "optimizer": {"state": {0: STATE}}}, ("state_dict",)),
    "model": ({"model": STATE, "model_ema": STATE, "args": {"lr": 1.0}}, ("model",)),
    "model_state_dict": ({"model_state_dict": STATE, "loss": 0.5}, ("model_state_dict",)),
    "module": ({"module": STATE}, ("module",)),
    "twice": ({"model": {"state_dict": STATE}}, ("model", "state_dict")),
    "only EMA": ({"state_dict_ema": STATE, "optimizer": {"x": torch.zeros(3)}}, ("state_dict_ema",)),
    "unheard of": ({"my_vit": STATE, "optim": {"a": STATE, "b": STATE}}, ("my_vit",)),
    "DINO": ({"student": STATE, "teacher": STATE}, ("teacher",)),
    "plain": (STATE, ()),
}


@pytest.mark.parametrize("name", NESTED)
def test_the_state_dict_in_what_was_saved(tmp_path, name):
    value, taken = NESTED[name]
    torch.save(value, tmp_path / "x.ckpt")
    found = read(tmp_path / "x.ckpt")
    assert found.taken == taken
    assert shapes(tmp_path / "x.ckpt") == SHAPES
    assert len(found.notes) == (len(value) > 1 and bool(taken) and name not in ("model_state_dict",))


def sharded(folder: Path) -> Path:
    save_file({"a": STATE["a"]}, folder / "model-00001-of-00002.safetensors")
    save_file(
        {name: value for name, value in STATE.items() if name != "a"}, folder / "model-00002-of-00002.safetensors"
    )
    names = {name: f"model-0000{1 if name == 'a' else 2}-of-00002.safetensors" for name in STATE}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return path


def test_shards_by_their_index_and_by_their_directory(tmp_path):
    index = sharded(tmp_path)
    assert shapes(index) == shapes(tmp_path) == SHAPES


def changed_index(folder: Path, change) -> Path:
    index = sharded(folder)
    values = json.loads(index.read_text())
    change(values["weight_map"])
    index.write_text(json.dumps(values))
    return index


SHARDS = {
    "missing shard": (lambda names: names.update(a="model-00003-of-00003.safetensors"), "1 is missing"),
    "key in no shard": (lambda names: names.update(lost=names["a"]), "is not in"),
    "other shard": (lambda names: names.update({"b.c": names["a"]}), "by the index in"),
    "traversal": (lambda names: names.update(a="../../etc/passwd"), "own directory"),
    "absolute": (lambda names: names.update(a="/etc/passwd"), "own directory"),
    "index in index": (lambda names: names.update(a="model.safetensors.index.json"), "not a file of tensors"),
    "empty name": (lambda names: names.update(a=""), "own directory"),
}


@pytest.mark.parametrize("name", SHARDS)
def test_shards_that_do_not_belong_together(tmp_path, name):
    change, words = SHARDS[name]
    code, message = refusal(changed_index(tmp_path, change))
    assert code == "checkpoint-shards" and words in message


def bytes_read() -> int:
    """Bytes that this process has read so far."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts bytes as Linux does")
def test_of_20_gb_in_shards_no_tensor_is_read(tmp_path):
    names: dict[str, str] = {}
    for shard in range(10):
        file = f"model-{shard}.safetensors"
        span = 2 * 10**9
        told = json.dumps({f"w{shard}": {"dtype": "F32", "shape": [span // 4], "data_offsets": [0, span]}}).encode()
        with (tmp_path / file).open("wb") as stream:
            stream.write(struct.pack("<Q", len(told)) + told)
            stream.truncate(8 + len(told) + span)
        names[f"w{shard}"] = file
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    read(tmp_path)
    before = bytes_read()
    assert sum(entry.numel for entry in read(tmp_path).entries.values()) == 5 * 10**9
    assert bytes_read() - before < 200_000


# -- safetensors that are none ----------------------------------------------------------------------------------------


def header(text: str | bytes, data: bytes = b"\0" * 24, length: int | None = None) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(start=0, end=24, shape="[2,3]", dtype="F32") -> str:
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}'


MALFORMED = {
    "empty file": (b"", "empty"),
    "seven bytes": (b"\1\0\0\0\0\0\0", "inside the 8 bytes"),
    "cut header": (header('{"a":' + tensor() + "}")[:40], "by its own account"),
    "2^63": (struct.pack("<Q", 2**63) + b"{}", "9,223,372,036,854,775,808"),
    "no bytes": (struct.pack("<Q", 0) + b"{}", "long"),
    "not JSON": (header("{nothing}"), "not JSON"),
    "not UTF-8": (header(b'{"\xff":1}'), "not UTF-8: byte 0xff at 2"),
    "a list": (header("[1, 2]"), "not with {"),
    "nested": (header('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "nested"),
    "duplicate key": (header(f'{{"a":{tensor()},"a":{tensor()}}}'), "twice"),
    "overlap": (header(f'{{"a":{tensor()},"b":{tensor(12, 36)}}}', b"\0" * 36), "overlaps"),
    "hole": (header(f'{{"a":{tensor()},"b":{tensor(32, 56)}}}', b"\0" * 56), "belong to no tensor"),
    "beyond the file": (header(f'{{"a":{tensor(0, 2400, "[600]")}}}'), "the file has 24"),
    "left over": (header(f'{{"a":{tensor()}}}', b"\0" * 30), "6 bytes after"),
    "dtype": (header(f'{{"a":{tensor(dtype="F33")}}}'), "F33"),
    "span": (header(f'{{"a":{tensor(0, 20)}}}'), "24 bytes, but spans 20"),
    "backwards": (header(f'{{"a":{tensor(24, 0)}}}'), "before its start"),
    "negative": (header(f'{{"a":{tensor(shape="[-2,-3]")}}}'), "not a list of counts"),
    "negative offset": (header(f'{{"a":{tensor(start=-24, end=0)}}}'), "not two counts"),
    "true": (header(f'{{"a":{tensor(shape="[true,6]")}}}'), "not a list of counts"),
    "float": (header(f'{{"a":{tensor(shape="[2.0,3]")}}}'), "not a list of counts"),
    "2^64 values": (header(f'{{"a":{tensor(shape="[4294967296,4294967296,4294967296]")}}}'), "spans 24"),
    "NaN": (header('{"a":NaN}'), "NaN"),
    "long number": (header('{"a":' + "9" * 10_000 + "}"), "malformed"),
    "metadata": (header(f'{{"__metadata__":{{"a":1}},"a":{tensor()}}}'), "__metadata__"),
    "no dtype": (header('{"a":{"shape":[2],"data_offsets":[0,8]}}', b"\0" * 8), "not just dtype"),
    "zero offsets": (header(f'{{"a":{tensor(0, 0)}}}', b""), "spans 0"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_safetensors(tmp_path, name):
    content, words = MALFORMED[name]
    path = written(tmp_path, "x.safetensors", content)
    code, message = refusal(path)
    assert code == "checkpoint-malformed" and words in message
    if name == "duplicate key":  # the library takes the last of them
        return
    with pytest.raises(Exception):  # noqa: B017 # the library has its own kinds
        from safetensors import safe_open

        with safe_open(path, "pt") as opened:
            opened.keys()


def test_a_header_of_more_than_100_mb_is_not_read(tmp_path):
    path = tmp_path / "x.safetensors"
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", 200_000_000) + b"{")
        stream.truncate(200_000_100)
    assert refusal(path)[0] == "checkpoint-too-large"


# -- pickles that run code --------------------------------------------------------------------------------------------


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def hostile(value) -> bytes:
    stream = io.BytesIO()
    torch.save({"model": {"w": torch.zeros(2)}, "x": value}, stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "protocol 0", "protocol 4"])
def test_a_pickle_that_calls_os_system_is_refused_and_not_run(tmp_path, kind):
    marker = tmp_path / "ran"
    evil = Evil(f"touch {marker}")
    path = tmp_path / "x.pt"
    if kind in ("zip", "legacy"):
        torch.save({"w": torch.zeros(2), "x": evil}, path, _use_new_zipfile_serialization=kind == "zip")
    else:
        path.write_bytes(pickle.dumps(evil, {"pickle": 2, "protocol 0": 0, "protocol 4": 4}[kind]))
    code, message = refusal(path)
    assert code == "checkpoint-unsafe" and "posix.system" in message
    assert not marker.exists()
    pickle.loads(pickle.dumps(evil))
    assert marker.exists(), "the pickle does run where somebody loads it"


@pytest.mark.parametrize(
    "raw",
    [b"(S'touch x'\nios\nsystem\n.", b"cbuiltins\neval\n(S'1'\ntR.", b"\x80\x02\x82\x01.", b"(cos\nsystem\nS'x'\no."],
    ids=["INST", "eval", "EXT1", "OBJ"],
)
def test_other_ways_to_run_code(tmp_path, raw):
    assert refusal(written(tmp_path, "x.pt", raw))[0] == "checkpoint-unsafe"


MEMBERS = {
    "of a module": b"cbuiltins\ngetattr\n(cos\npath\nS'system'\ntR.",
    "hidden": b"cbuiltins\ngetattr\n(cargparse\nNamespace\nS'__init__'\ntR.",
    "of a call": b"cbuiltins\ngetattr\n(cbuiltins\ngetattr\nS'mro'\ntR.",
    "of nothing": b"cbuiltins\ngetattr\n(tR.",
}


@pytest.mark.parametrize("case", MEMBERS)
def test_getattr_is_refused_unless_it_names_a_member_of_a_plain_class(tmp_path, case):
    assert refusal(written(tmp_path, "x.pt", MEMBERS[case]))[0] == "checkpoint-unsafe"


def test_members_of_enumerations_are_opened(tmp_path):
    """Before 3.11.4 Python writes them as getattr(class, name): torch.distributed.checkpoint's .metadata holds some."""
    raw = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bcbuiltins\ngetattr\n"
    raw += b"ctransformers.trainer_utils\nIntervalStrategy\nX\x02\x00\x00\x00NO\x86Ru."
    found = unpickled("x", BytesIO(raw))
    assert found.value["b"].kind == "transformers.trainer_utils.IntervalStrategy" and not found.weights_only


def test_a_whole_model_is_refused_by_name(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    assert "torch.nn.modules.linear.Linear" in refusal(tmp_path / "model.pt")[1]


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}, 2))
        archive.writestr("x/constants.pkl", b"")
        archive.writestr("x/code/__torch__.py", b"")
    assert refusal(path)[0] == "checkpoint-unsafe"


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_plain_classes_are_opened_at_every_protocol(tmp_path, protocol):
    from argparse import Namespace
    from collections import defaultdict

    value = {"model": STATE, "args": Namespace(a=Path("x"), b=Namespace()), "counts": defaultdict(int, a=1)}
    torch.save(value, tmp_path / "x.pt", pickle_protocol=protocol)
    found = read(tmp_path / "x.pt")
    assert shapes(tmp_path / "x.pt") == SHAPES
    path = f"{type(Path()).__module__}.PosixPath"  # pathlib._local in Python 3.13
    assert {"argparse.Namespace", path, "collections.defaultdict"} <= set(found.needs)
    assert not found.weights_only, "torch fills no defaultdict, whatever is said to be safe"


def test_protocol_0_is_one_diagnostic(tmp_path):
    torch.save({"model": STATE}, tmp_path / "x.pt", pickle_protocol=0)
    with pytest.raises(Exception):  # noqa: B017 # torch cannot read what it wrote
        torch.load(tmp_path / "x.pt", weights_only=False)
    assert refusal(tmp_path / "x.pt")[0] == "checkpoint-malformed"


def named(module: str, name: str, then: bytes = b"") -> bytes:
    return (
        b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)]) + name.encode() + then
    )


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pathlib", "os.system"),
        ("omegaconf", "os.system"),
        ("argparse", "Namespace.__init__"),
        ("builtins", "getattr"),
        ("builtins", "exec"),
        ("types", "FunctionType"),
        ("functools", "partial"),
        ("numpy", "load"),
        ("torch.distributed.checkpoint", "load"),
        ("omegaconf.omegaconf", "os"),
        ("transformers.trainer_utils", "subprocess"),
    ],
)
def test_names_beside_plain_classes_are_refused(tmp_path, module, name):
    stream = written(tmp_path, "x.pt", named(module, name, b"\x93)R."))
    assert refusal(stream)[0] == "checkpoint-unsafe"
    folder = tmp_path / "dcp"
    folder.mkdir()
    (folder / "__0_0.distcp").write_bytes(b"")
    written(folder, ".metadata", named(module, name, b"\x93)R."))
    assert refusal(folder)[0] == "checkpoint-unsafe"


# -- bombs ------------------------------------------------------------------------------------------------------------


def bombs(folder: Path) -> dict[str, Path]:
    with (
        zipfile.ZipFile(folder / "pickle.pt", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x/data.pkl", "w") as one,
    ):
        for _ in range(64):
            one.write(b"]" * 2**20)
    with zipfile.ZipFile(folder / "data.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}, 2))
        with archive.open("x/data/0", "w", force_zip64=True) as one:
            for _ in range(64):
                one.write(bytes(2**20))
    stack = b"\x80\x02" + b"]" * (30 * 2**20) + b"."
    written(folder, "stack.pt", stack)
    memo = b"\x80\x02]" + b"".join(b"r" + struct.pack("<I", 2**31 - 1 - n) for n in range(1000)) + b"."
    written(folder, "memo.pt", memo)
    written(folder, "bytes.pt", b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.")
    laughs = b"\x80\x02]q\0" + b"".join(
        b"(" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"tq" + bytes([n + 1]) for n in range(60)
    )
    written(folder, "laughs.pt", laughs + b"}h" + bytes([60]) + b"K\1s.")
    many = b"(" + b"K\1" * 500_000
    copies = b"\x80\x02cargparse\nNamespace\nq\0)\x81q\1" + b"}q\2" + many.replace(b"K\1", b"K\1K\2") + b"u0"
    written(folder, "copies.pt", copies + b"h\1h\2b0" * 100_000 + b"h\1.")
    ordered = b"\x80\x02ccollections\nOrderedDict\nq\0" + b"]q\1" + many + b"e0"
    written(folder, "ordered.pt", ordered + b"h\0h\1\x85R0" * 100_000 + b"h\1.")
    keys = b"\x80\x02}(" + b")" + b"\x85" * 300_000 + b"K\1u."
    written(folder, "keys.pt", keys)
    return {path.name: path for path in folder.iterdir()}


def test_bombs_are_refused_in_little_memory(tmp_path):
    found = bombs(tmp_path)
    script = (
        "import resource, sys\n"
        "from vit_trace.weights import read\n"
        "from vit_trace.base.refused import Refused\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        read(path)\n"
        "        print('read', path)\n"
        "    except Refused as refused:\n"
        "        print(refused.diagnostics[0].code)\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    run = python_process("-c", script, *found.values())
    assert run.returncode == 0, run.stderr
    *codes, memory = run.stdout.split()
    assert len(codes) == len(found) and set(codes) <= {
        "checkpoint-too-large",
        "checkpoint-malformed",
        "not-a-checkpoint",
    }, run.stdout
    assert int(memory) < 500


@pytest.mark.slow
def test_an_npz_of_nothing_but_zeros(tmp_path):
    zeros = {"descr": "<f4", "fortran_order": False, "shape": (300 * 2**20,)}
    with (
        zipfile.ZipFile(tmp_path / "zeros.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as one,
    ):
        numpy.lib.format.write_array_header_1_0(one, zeros)
        for _ in range(1200):
            one.write(bytes(2**20))
    assert refusal(tmp_path / "zeros.npz")[0] == "checkpoint-too-large"


def test_a_zip_whose_members_overlap(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("a.npy", "b.npy"):
            archive.writestr(name, bytes(200))
    raw = bytearray(stream.getvalue())
    second = raw.rfind(b"PK\1\2")
    raw[second + 42 : second + 46] = struct.pack("<I", 10)
    assert refusal(written(tmp_path, "x.npz", bytes(raw)))[0] in ("checkpoint-too-large", "checkpoint-malformed")


# -- other files ------------------------------------------------------------------------------------------------------


OTHERS = {
    "pointer.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "Git LFS"),
    "page.pt": (b"<!DOCTYPE html><html></html>", "HTML"),
    "x.bin": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "x.pth": (b"GGUF" + bytes(100), "GGUF"),
    "notes.txt": (b"hello, this is text", "not a checkpoint"),
    "array.npz": (b"\x93NUMPY" + bytes(100), "one NumPy array"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_that_are_something_else(tmp_path, name):
    content, words = OTHERS[name]
    code, message = refusal(written(tmp_path, name, content))
    assert code == "not-a-checkpoint" and words in message


def test_what_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    assert refusal(tmp_path / "pipe.pt")[0] == "checkpoint-unreadable"
    assert refusal(tmp_path / "none.pt")[0] == "checkpoint-unreadable"
    assert refusal("/dev/zero")[0] == "checkpoint-unreadable"
    (tmp_path / "empty").mkdir()
    assert "has no checkpoint" in refusal(tmp_path / "empty")[1]
    (tmp_path / "empty" / "a.pt").write_bytes(b"")
    (tmp_path / "empty" / "b.pt").write_bytes(b"")
    assert "has 2 checkpoints" in refusal(tmp_path / "empty")[1]
    assert refusal("x\0y.pt")[0] == "checkpoint-unreadable"
    locked = written(tmp_path, "locked.pt", b"x")
    locked.chmod(0)
    if os.geteuid():
        assert refusal(locked)[0] == "checkpoint-unreadable"


def test_cut_and_inconsistent_archives(tmp_path):
    whole = hostile(1)
    for size in (10, 100, len(whole) // 2, len(whole) - 1):
        assert refusal(written(tmp_path, "cut.pt", whole[:size]))[0] == "checkpoint-malformed"
    torch.save(STATE, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as full, zipfile.ZipFile(tmp_path / "less.pt", "w") as less:
        for member in full.infolist():
            if not member.filename.endswith("data/0"):
                less.writestr(member.filename, full.read(member))
    assert refusal(tmp_path / "less.pt")[0] == "checkpoint-malformed"
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    assert refusal(tmp_path / "none.pt")[0] == "not-a-checkpoint"


def test_arrays_of_objects_are_refused(tmp_path):
    numpy.savez(tmp_path / "x.npz", a=numpy.array([{}], dtype=object))
    assert refusal(tmp_path / "x.npz")[0] == "checkpoint-unsafe"


# -- anything at all --------------------------------------------------------------------------------------------------

SUFFIXES = st.sampled_from([".safetensors", ".pt", ".bin", ".npz", ".x", ".index.json"])
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def never_another_exception(folder: Path, suffix: str, content: bytes) -> None:
    try:
        read(written(folder, f"x{suffix}", content))
    except Refused as refused:
        assert len(refused.diagnostics) == 1


@QUICK
@given(suffix=SUFFIXES, content=st.binary(max_size=200))
def test_random_bytes(tmp_path, suffix, content):
    never_another_exception(tmp_path, suffix, content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.sampled_from(["F32", "dtype", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "weight_map", "a"]), inner)
    ),
    max_leaves=12,
)


@QUICK
@given(value=JSON, index=st.booleans())
def test_random_headers(tmp_path, value, index):
    text = json.dumps(value)
    if index:
        never_another_exception(tmp_path, ".index.json", text.encode())
    else:
        never_another_exception(tmp_path, ".safetensors", header(text))


@QUICK
@given(
    suffix=SUFFIXES, start=st.sampled_from([b"\x80\x02", b"\x80\x04", b"(", b"}", b"]"]), content=st.binary(max_size=80)
)
def test_random_pickles(tmp_path, suffix, start, content):
    never_another_exception(tmp_path, suffix, start + content + b".")


@QUICK
@given(
    place=st.integers(0, 10**6), value=st.integers(0, 255), kind=st.sampled_from(["pt", "old", "safetensors", "npz"])
)
def test_files_with_one_byte_changed(tmp_path, place, value, kind):
    raw = bytearray(GOOD[kind])
    raw[place % len(raw)] = value
    never_another_exception(tmp_path, {"pt": ".pt", "old": ".pt"}.get(kind, f".{kind}"), bytes(raw))


def good() -> dict[str, bytes]:
    from safetensors.torch import save

    found = {"safetensors": save(STATE)}
    for kind in ("pt", "old"):
        stream = io.BytesIO()
        torch.save({"model": STATE}, stream, _use_new_zipfile_serialization=kind == "pt")
        found[kind] = stream.getvalue()
    stream = io.BytesIO()
    numpy.savez_compressed(stream, a=numpy.zeros((2, 3)), b=numpy.zeros(4, "i2"))
    return found | {"npz": stream.getvalue()}


GOOD = good()


@pytest.mark.parametrize(
    ("width", "heads", "says", "command"),
    [(24, 3, "with its number of heads for HEADS", "num_heads=HEADS"),
     (192, 4, "with heads of 64 as in published models", "num_heads=3")],
)  # fmt: skip
def test_heads_that_no_tensor_tells_are_those_of_published_models_or_asked_for(
    width, heads, says, command, tmp_path, capfd
):
    timm = pytest.importorskip("timm")
    sizes = dict(img_size=32, patch_size=8, embed_dim=width, depth=1, num_heads=heads, num_classes=5)
    torch.save(timm.create_model("vit_base_patch16_224", **sizes).state_dict(), tmp_path / "x.pth")
    code, shown, _ = call(capfd, "check", "--checkpoint", str(tmp_path / "x.pth"))
    assert code == 0 and says in shown and command in shown and "assumed" not in shown


def test_a_refused_file_is_a_finding_in_json_too(tmp_path, capfd):
    model = torch.nn.Linear(2, 2)
    torch.save(torch.optim.AdamW(model.parameters()).state_dict(), tmp_path / "optimizer.pt")
    code, shown, _ = call(capfd, "check", "--checkpoint", str(tmp_path / "optimizer.pt"), "--format", "json")
    assert code == 1 and json.loads(shown)["configs"][0]["diagnostics"][0]["code"] == "not-a-checkpoint"


def test_a_mapping_that_there_is_not_is_a_finding(tmp_path, capfd):
    torch.save({"a.weight": torch.ones(2, 2)}, tmp_path / "x.pth")
    words = (
        "check",
        "--image-size",
        "32",
        "--checkpoint",
        str(tmp_path / "x.pth"),
        "-o",
        str(tmp_path / "mapping.json"),
    )
    code, _, said = call(capfd, *words)
    assert code == 1 and "no mapping loads" in said
    code, _, _ = call(capfd, *words[:4], str(tmp_path / "nothing.pth"), *words[5:])
    assert code == 2 and not (tmp_path / "mapping.json").exists()
