"""Keeps what matters of the values that torch writes into a pickle: shapes, dtypes, storages. Calls nothing."""

import re
from typing import Any, NamedTuple

from vit_trace.weights.data import Entry, are_counts


class Global(NamedTuple):
    """A name that stands for something allowed."""

    name: str


class Storage(NamedTuple):
    """The member of the archive that holds a tensor's values, their dtype and count."""

    key: str
    dtype: str
    numel: int


class Tensor(NamedTuple):
    """A tensor without values, and the storage it is a view of, if any."""

    entry: Entry
    storage: Storage | None = None


class _Opaque(NamedTuple):
    """Anything else that is allowed; its value does not matter."""


class Container(dict[Any, Any]):
    """An object of a plain class, never made: its items and attributes by name. `kind` is the class's full name."""

    def __init__(self, kind: str, made_of: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.kind, self.made_of = kind, made_of


PLAIN = {str, int, float, bool, bytes, type(None)}
"""Types of the keys that are kept: nothing is hashed that could be nested."""

LEGACY_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128",
    "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
}  # fmt: skip
DTYPES = """
    bfloat16 bool complex32 complex64 complex128 float16 float32 float64 float4_e2m1fn_x2 float8_e4m3fn
    float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu int8 int16 int32 int64 uint8 uint16 uint32 uint64 qint8
    qint32 quint8 quint2x4 quint4x2 bits8 bits16 bits1x8 bits2x4 bits4x2 int1 int2 int3 int4 int5 int6 int7 uint1
    uint2 uint3 uint4 uint5 uint6 uint7
""".split()
SCHEMES = """
    per_channel_affine per_channel_affine_float_qparams per_channel_symmetric per_tensor_affine per_tensor_symmetric
""".split()
REBUILDERS = """
    _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state
    _rebuild_meta_tensor_no_storage _rebuild_device_tensor_from_cpu_tensor _rebuild_qtensor _rebuild_sparse_tensor
    _rebuild_nested_tensor _rebuild_wrapper_subclass
""".split()
ALLOWED = {
    *(f"torch.{prefix}{name}Storage" for name in LEGACY_STORAGES for prefix in ("", "cuda.")),
    *(f"torch.{name}" for name in (*DTYPES, *SCHEMES, "Size", "Tensor", "device")),
    *(f"torch._utils.{name}" for name in REBUILDERS),
    "torch._tensor._rebuild_from_type_v2", "torch.serialization._get_layout", "torch.nn.parameter.Parameter",
    "torch.storage.TypedStorage", "torch.storage.UntypedStorage",
    "collections.OrderedDict", "collections.Counter", "_codecs.encode",
    "builtins.set", "builtins.bytearray", "builtins.complex",
}  # fmt: skip
"""Names that torch's own weights-only reader knows; none of them is ever imported or called here."""

CONTAINERS = {
    "argparse.Namespace", "types.SimpleNamespace", "copyreg._reconstructor",
    "collections.defaultdict", "collections.deque", "datetime.datetime", "datetime.date", "datetime.timedelta",
    "datetime.timezone", "numpy.ndarray", "numpy.dtype", "torch.torch_version.TorchVersion",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
    *(f"builtins.{name}" for name in "dict list tuple frozenset slice range int float str bool bytes object".split()),
}  # fmt: skip
FAMILIES = re.compile(
    r"(omegaconf|ml_collections|addict|munch|box|pathlib|uuid|decimal|fractions|easydict|typing|accelerate"
    r"|yacs\.config|fvcore\.common\.config|detectron2\.config|mmengine\.config|mmcv\.utils\.config|numpy\.dtypes"
    r"|transformers\.(training_args|trainer_utils|trainer_pt_utils)|lightning_fabric\.utilities"
    r"|(pytorch_)?lightning\.(pytorch|fabric)\.utilities|torch\.distributed\.checkpoint)(\..*)?"
)
"""Modules whose classes hold settings or descriptions, and do nothing when they are made."""


def is_container(module: str, name: str) -> bool:
    """Whether a name is that of a plain class: it holds values, and torch reads it once it is said to be safe."""
    plain = name.isidentifier() and name.lstrip("_")[:1].isupper()
    return f"{module}.{name}" in CONTAINERS or (plain and FAMILIES.fullmatch(module) is not None)


def result_of(function: Any, arguments: Any) -> Any:
    """What matters of a call: a tensor's shape and dtype, an ordered dictionary's items. Raises ValueError."""
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise ValueError("a call of something that is not a name")
    if function.name not in ALLOWED:
        return _container_of(function.name, arguments)
    short = function.name.rpartition(".")[2]
    if short == "_rebuild_from_type_v2":
        inner, _, values, *_ = arguments
        return result_of(inner, values)
    if short in ("_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter"):
        return arguments[0] if arguments else _Opaque()
    if short in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"):
        storage, offset, size, *rest = arguments
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without a storage")
        dtype = _dtype_of(rest[3]) if short.endswith("v3") and isinstance(rest[3], Global) else storage.dtype
        if type(offset) is not int or offset < 0:
            raise ValueError("a tensor's offset is not a count")
        return Tensor(Entry(_checked_shape(size), dtype), storage)
    if short == "_rebuild_meta_tensor_no_storage":
        dtype, size, *_ = arguments
        return Tensor(Entry(_checked_shape(size), _dtype_of(dtype)))
    if short == "_rebuild_device_tensor_from_cpu_tensor":
        return arguments[0]
    if short == "OrderedDict":
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and type(pair[0]) in PLAIN}
    if short == "Size" and arguments:
        return arguments[0]
    return _Opaque()


def _container_of(name: str, arguments: tuple[Any, ...]) -> Container:
    """An object of a plain class; what copyreg makes is of the class that it is given."""
    first = arguments[0] if arguments else None
    if name.endswith("._reconstructor") and isinstance(first, Global):
        name = first.name
    if not is_container(*name.rpartition(".")[::2]):
        raise ValueError(f"it makes an object of {name}")
    made = Container(name, arguments)
    for one in arguments:
        if isinstance(one, dict):
            made.update(one)
    return made


def _checked_shape(value: Any) -> tuple[int, ...]:
    if not are_counts(value):
        raise ValueError("a tensor's size is not a list of counts")
    return tuple(value)


def _dtype_of(value: Any) -> str:
    name = value.name.rpartition(".")[2] if isinstance(value, Global) else ""
    if name not in DTYPES:
        raise ValueError("a tensor's dtype is not a dtype")
    return name


def storage_of(pid: Any) -> Storage:
    """('storage', type, key, location, count) of torch's persistent ids."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ("storage", b"storage"):
        raise ValueError("a persistent id that is not a storage")
    kind, key, count = pid[1], pid[2], pid[4]
    name = kind.name.rpartition(".")[2].removesuffix("Storage") if isinstance(kind, Global) else ""
    if type(count) is not int or count < 0 or not isinstance(key, (str, int)):
        raise ValueError("a storage without key and size")
    return Storage(str(key), LEGACY_STORAGES.get(name, "uint8"), count)
