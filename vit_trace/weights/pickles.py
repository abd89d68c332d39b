"""Reads a pickle as data: interprets its operations with no functions to call, so that nothing can be executed.

Accepts what `torch.load(weights_only=True)` accepts, and plain classes of settings (argparse.Namespace); keeps only
shapes and dtypes of it. Refuses a pickle that names anything else, with the name. The number of operations bounds
memory and time.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from vit_trace.base.refused import Refused, refuse
from vit_trace.config.words import cut
from vit_trace.weights.data import malformed, too_large
from vit_trace.weights.torch_values import ALLOWED, PLAIN, Container, Global, is_container, result_of, storage_of

MAX_OPERATIONS = 2_000_000
"""Operations read; more are refused. A tensor takes about forty, three times that with its optimizer's state."""


class _Unsafe(Exception):
    """The pickle names something that loading would call; the message is its full name."""


MARK = object()

MEMBER = "builtins.getattr"
"""Stands before a plain class and a name of it: a member of an enumeration."""


class Unpickled(NamedTuple):
    """The value of a pickle, and the names of plain classes that torch reads only if they are allowed.

    `weights_only` is whether torch's weights-only reader knows all its operations then.
    """

    value: Any
    needs: tuple[str, ...]
    weights_only: bool


def unpickled(path: str, stream: BinaryIO) -> Unpickled:
    """What the pickle that starts here holds; leaves `stream` after its end. Raises Refused."""
    machine = _Machine()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPERATIONS:
                raise too_large(path, "its pickle has more operations than a checkpoint needs")
            machine.step(operation.name, argument)
        return Unpickled(machine.pop(), tuple(machine.needs), machine.weights_only)
    except _Unsafe as unsafe:
        raise _unsafe_pickle(path, cut(str(unsafe), 100)) from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError) as error:
        raise malformed(path, f"its pickle is malformed: {cut(str(error) or type(error).__name__, 100)}") from None


def _unsafe_pickle(path: str, name: str) -> Refused:
    """The refusal of a pickle that names something to call when it is loaded."""
    notes: tuple[str, ...] = ("nothing was executed; torch.load(weights_only=True) refuses it too",)
    help = "do not load it unless you know who wrote it"
    if name.split(".")[0] in ("torch", "timm", "transformers", "torchvision", "__main__", "models", "vit_pytorch"):
        notes = ("it seems to be a whole pickled model", *notes)
        help = "torch.save(model.state_dict(), FILE) saves only the tensors"
    return refuse("checkpoint-unsafe", f"{path} would call {name} when loaded", notes=notes, help=(help,))


class _Machine:
    """The stack, the marks and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.weights_only = True
        self.copied = 0
        self.needs: dict[str, None] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("a mark where a value should be")
        return value

    def last(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def marked(self) -> list[Any]:
        """Takes everything above the last mark off the stack, and the mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return found

    def step(self, name: str, argument: Any) -> None:
        self.weights_only &= name in WEIGHTS_ONLY
        if name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in ARGUMENTS:
            self.stack.append(argument)
        elif name in STEPS:
            STEPS[name](self, argument)
        elif name in REFUSED:
            raise _Unsafe(name + (f" {argument}" if argument else ""))
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"the operation {name}, which torch does not write")

    def put(self, place: Any) -> None:
        self.memo[int(place)] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        self.weights_only &= not isinstance(self.stack[-1], Container)
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        """Only plain keys are kept."""
        target = self.stack[-1]
        self.weights_only &= not isinstance(target, Container)
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                if type(key) in PLAIN:
                    target[key] = value

    def named(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is not text")
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))  # as torch does
        if (full := f"{module}.{name}") not in (*ALLOWED, MEMBER):
            if not is_container(module, name):
                raise _Unsafe(full)
            self.needs[full] = None
        self.stack.append(Global(full))

    def charge(self, held: Any) -> None:
        """Count what a step copies: a pickle may name one large list a million times."""
        self.copied += len(held)
        if self.copied > MAX_OPERATIONS:
            raise ValueError("it fills objects with more than a checkpoint holds")

    def call(self) -> None:
        function, arguments = self.last(2)
        for one in arguments if isinstance(arguments, tuple) else ():
            if isinstance(one, (list, dict, tuple)):
                self.charge(one)
        made = self.member(arguments) if function == Global(MEMBER) else result_of(function, arguments)
        if isinstance(made, Container) and made.kind == "numpy.dtype" and made.made_of:
            self.needs[f"numpy.dtypes.{NUMPY_DTYPES.get(str(made.made_of[0]), 'VoidDType')}"] = None
        self.stack.append(made)

    def member(self, arguments: Any) -> Container:
        """A member of an enumeration, by its name: what Python before 3.11.4 writes for one."""
        match arguments:
            case (Global(name), str(member)) if name in self.needs and member.isidentifier() and member[:1] != "_":
                self.weights_only = False
                return Container(name, (member,))
        raise _Unsafe(MEMBER)

    def build(self) -> None:
        """Attributes of a plain object are kept beside its items; of anything else they have no shape."""
        target, state = self.last(2)
        if isinstance(target, Container):
            target.made_of = state if isinstance(state, tuple) else target.made_of
            for one in state if isinstance(state, tuple) else (state,):
                if isinstance(one, dict):
                    self.charge(one)
                    target.update((key, value) for key, value in one.items() if type(key) in PLAIN)
        self.stack.append(target)


NUMPY_DTYPES = {
    "f8": "Float64DType", "f4": "Float32DType", "f2": "Float16DType", "b1": "BoolDType",
    **{f"i{size}": f"Int{8 * size}DType" for size in (1, 2, 4, 8)},
    **{f"u{size}": f"UInt{8 * size}DType" for size in (1, 2, 4, 8)},
}  # fmt: skip
"""NumPy's descriptions -> its classes of dtypes, which torch has to know before it fills one in."""

CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
ARGUMENTS = {
    one.name
    for one in pickletools.opcodes
    if one.arg and not one.stack_before and one.stack_after not in ([], [pickletools.anyobject])
}
"""Operations whose argument is a number, text or bytes that they put on the stack."""

WEIGHTS_ONLY = frozenset(
    """
    APPEND APPENDS BINFLOAT BINGET BININT BININT1 BININT2 BINPERSID BINPUT BINUNICODE BUILD EMPTY_DICT EMPTY_LIST
    EMPTY_SET EMPTY_TUPLE GLOBAL LONG1 LONG_BINGET LONG_BINPUT MARK NEWFALSE NEWOBJ NEWTRUE NONE PROTO REDUCE SETITEM
    SETITEMS SHORT_BINSTRING STOP TUPLE TUPLE1 TUPLE2 TUPLE3
""".split()
)
"""Operations that torch's weights-only reader knows: those of protocol 2 that torch.save writes."""

REFUSED = ("INST", "OBJ", "EXT1", "EXT2", "EXT4")
"""Operations that call something which GLOBAL does not name."""


def _dictionary(machine: _Machine, _: Any) -> None:
    values = machine.marked()
    machine.stack.append({})
    machine.update(values)


STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": lambda machine, _: machine.stack.append(MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.marked(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda machine, _: machine.stack.append([])),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda machine, _: machine.stack.append(machine.marked())),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.marked())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.last(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.last(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.last(3))),
    "DICT": _dictionary,
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.extend(machine.marked())),
    "SETITEM": lambda machine, _: machine.update(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.marked()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, place: machine.stack.append(machine.memo[int(place)])
    ),
    "GLOBAL": lambda machine, argument: machine.named(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.named(*machine.last(2)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: machine.call()),
    "NEWOBJ_EX": lambda machine, _: machine.stack.append(result_of(*machine.last(3)[:2])),
    "BINPERSID": lambda machine, _: machine.stack.append(storage_of(machine.pop())),
    "BUILD": lambda machine, _: machine.build(),
}
