"""A pickle read as data: an interpreter of its operations that has no functions to call, so nothing can be executed.

Only what `torch.load(weights_only=True)` accepts is accepted, and of that only shapes and dtypes are kept. A pickle
that names anything else is refused with the name. Memory and time are bounded by the number of operations.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from vit_trace.weights.data import Entry

MAX_OPERATIONS = 2_000_000
"""A tensor takes some forty of them, and three times that with its optimizer's state."""


class Unsafe(Exception):
    """The pickle names something that loading it would call; `name` is its full name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Broken(Exception):
    """The bytes are no pickle that torch writes; the message says why."""


class TooLong(Exception):
    """More operations than any checkpoint needs."""


class Global(NamedTuple):
    """A name that stands for something allowed."""

    name: str


class Storage(NamedTuple):
    """Where a tensor's values are: the member of the archive, their dtype and count."""

    key: str
    dtype: str
    numel: int


class Tensor(NamedTuple):
    """A tensor without values, and the storage it is a view of, if any."""

    entry: Entry
    storage: Storage | None = None


class Opaque(NamedTuple):
    """Anything else that is allowed: its value is of no interest."""


OPAQUE = Opaque()
MARK = object()

LEGACY_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128",
    "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
}  # fmt: skip
DTYPES = {
    "bfloat16",
    "bool",
    "complex32",
    "complex64",
    "complex128",
    "float16",
    "float32",
    "float64",
    "float4_e2m1fn_x2",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "qint8",
    "qint32",
    "quint8",
    "quint2x4",
    "quint4x2",
    "bits8",
    "bits16",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "int1",
    "int2",
    "int3",
    "int4",
    "int5",
    "int6",
    "int7",
    "uint1",
    "uint2",
    "uint3",
    "uint4",
    "uint5",
    "uint6",
    "uint7",
}
SCHEMES = {
    "per_channel_affine",
    "per_channel_affine_float_qparams",
    "per_channel_symmetric",
    "per_tensor_affine",
    "per_tensor_symmetric",
}
REBUILDERS = {
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_device_tensor_from_cpu_tensor",
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
    "_rebuild_nested_tensor",
    "_rebuild_wrapper_subclass",
}
ALLOWED = {
    *(f"torch.{prefix}{name}Storage" for name in LEGACY_STORAGES for prefix in ("", "cuda.")),
    *(f"torch.{name}" for name in (*DTYPES, *SCHEMES, "Size", "Tensor", "device")),
    *(f"torch._utils.{name}" for name in REBUILDERS),
    "torch._tensor._rebuild_from_type_v2", "torch.serialization._get_layout", "torch.nn.parameter.Parameter",
    "torch.storage.TypedStorage", "torch.storage.UntypedStorage",
    "collections.OrderedDict", "collections.Counter", "_codecs.encode",
    "builtins.set", "builtins.bytearray", "builtins.complex", "__builtin__.set", "__builtin__.bytearray",
}  # fmt: skip
"""Names that torch's own weights-only reader knows; none of them is ever imported or called here."""


def unpickled(stream: BinaryIO) -> Any:
    """The value of the pickle that starts here; `stream` is left behind its end. Raises Unsafe, Broken, TooLong."""
    machine = Machine()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPERATIONS:
                raise TooLong
            if operation.name == "STOP":
                return machine.pop()
            machine.step(operation.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError) as error:
        raise Broken(str(error) or type(error).__name__) from None
    raise Broken("it has no end")


class Machine:
    """The stack, the marks and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise Broken("a mark where a value should be")
        return value

    def marked(self) -> list[Any]:
        """What stands above the last mark, which goes with it."""
        place = len(self.stack) - 1
        while self.stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise Broken("a mark is missing")
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return found

    def step(self, name: str, argument: Any) -> None:
        if name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in ARGUMENTS:
            self.stack.append(argument)
        elif name in STEPS:
            STEPS[name](self, argument)
        elif name in REFUSED:
            raise Unsafe(REFUSED[name] + (f" {argument}" if argument else ""))
        elif name not in ("PROTO", "FRAME"):
            raise Broken(f"the operation {name}, which torch does not write")

    # -- memo, stack ---------------------------------------------------------------------------------------------

    def put(self, place: int) -> None:
        self.memo[int(place)] = self.stack[-1]

    def get(self, place: int) -> None:
        self.stack.append(self.memo[int(place)])

    # -- containers ----------------------------------------------------------------------------------------------

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)

    def update(self, values: list[Any]) -> None:
        """Keys that are no plain values are left out: nothing is hashed that could be nested."""
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                if type(key) in PLAIN:
                    target[key] = value

    def named(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}"
        if full not in ALLOWED:
            raise Unsafe(full)
        self.stack.append(Global(full))

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(called(function, arguments))

    def persistent(self, _: Any) -> None:
        self.stack.append(storage_of(self.pop()))


PLAIN = {str, int, float, bool, bytes, type(None)}
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
ARGUMENTS = {
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
    "LONG1",
    "LONG4",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "BYTEARRAY8",
    "UNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "FLOAT",
    "BINFLOAT",
}
REFUSED = {
    "INST": "INST", "OBJ": "OBJ", "EXT1": "EXT1", "EXT2": "EXT2", "EXT4": "EXT4",
}  # fmt: skip
"""Operations that call something which is not named by GLOBAL."""


def global_named(machine: Machine, argument: str) -> None:
    machine.named(*argument.split(" ", 1))


def stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Broken("a name that is no text")
    machine.named(module, name)


def drop(value: Any) -> None:
    """Nothing is done with it."""


def tuple_of(count: int) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        values = tuple([machine.pop() for _ in range(count)][::-1])
        machine.stack.append(values)

    return step


def set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.update([key, value])


def build(machine: Machine, _: Any) -> None:
    machine.pop()  # attributes of an OrderedDict or a Parameter: nothing that has a shape
    machine.stack[-1]


def dictionary(machine: Machine, _: Any) -> None:
    values = machine.marked()
    machine.stack.append({})
    machine.update(values)


STEPS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.stack.append(MARK),
    "POP": lambda machine, _: drop(machine.stack.pop()),
    "POP_MARK": lambda machine, _: drop(machine.marked()),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_SET": lambda machine, _: machine.stack.append([]),
    "LIST": lambda machine, _: machine.stack.append(machine.marked()),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.marked()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.marked())),
    "TUPLE1": tuple_of(1),
    "TUPLE2": tuple_of(2),
    "TUPLE3": tuple_of(3),
    "DICT": dictionary,
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.marked()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.marked()),
    "SETITEM": set_item,
    "SETITEMS": lambda machine, _: machine.update(machine.marked()),
    "PUT": lambda machine, place: machine.put(place),
    "BINPUT": lambda machine, place: machine.put(place),
    "LONG_BINPUT": lambda machine, place: machine.put(place),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "GET": lambda machine, place: machine.get(place),
    "BINGET": lambda machine, place: machine.get(place),
    "LONG_BINGET": lambda machine, place: machine.get(place),
    "GLOBAL": global_named,
    "STACK_GLOBAL": stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "BINPERSID": Machine.persistent,
    "BUILD": build,
}


# -- what torch's names would make -----------------------------------------------------------------------------------


def called(function: Any, arguments: Any) -> Any:
    """What of a call matters here: a tensor's shape and dtype, an ordered dictionary's items."""
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise Broken("a call of something that is no name")
    short = function.name.rpartition(".")[2]
    if short == "_rebuild_from_type_v2":
        inner, _, values, *_ = arguments
        return called(inner, values)
    if short in ("_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter"):
        return arguments[0] if arguments else OPAQUE
    if short in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"):
        storage, offset, size, *rest = arguments
        return viewed(storage, offset, size, rest[3] if short.endswith("v3") else None)
    if short == "_rebuild_meta_tensor_no_storage":
        dtype, size, *_ = arguments
        return Tensor(Entry(sizes(size), dtype_of(dtype)))
    if short == "_rebuild_device_tensor_from_cpu_tensor":
        return arguments[0]
    if short == "OrderedDict":
        return ordered(arguments)
    if short == "Size" and arguments:
        return arguments[0]
    return OPAQUE


def ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and type(pair[0]) in PLAIN}


def viewed(storage: Any, offset: Any, size: Any, dtype: Any = None) -> Tensor:
    if not isinstance(storage, Storage):
        raise Broken("a tensor without a storage")
    shape = sizes(size)
    entry = Entry(shape, dtype_of(dtype) if isinstance(dtype, Global) else storage.dtype)
    if type(offset) is not int or offset < 0:
        raise Broken("a tensor's offset is no count")
    return Tensor(entry, storage)


def sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, (tuple, list)) or not all(type(one) is int and 0 <= one < 2**63 for one in value):
        raise Broken("a tensor's size is no list of counts")
    return tuple(value)


def dtype_of(value: Any) -> str:
    name = value.name.rpartition(".")[2] if isinstance(value, Global) else ""
    if name not in DTYPES:
        raise Broken("a tensor's dtype is none")
    return name


def storage_of(pid: Any) -> Storage:
    """('storage', type, key, location, count) of torch's persistent ids."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ("storage", b"storage"):
        raise Broken("a persistent id that is no storage")
    kind, key, count = pid[1], pid[2], pid[4]
    name = kind.name.rpartition(".")[2].removesuffix("Storage") if isinstance(kind, Global) else ""
    if type(count) is not int or count < 0 or not isinstance(key, (str, int)):
        raise Broken("a storage without key and size")
    return Storage(str(key), LEGACY_STORAGES.get(name, "uint8"), count)
