"""Reads a pickle as data: interprets its operations with no functions to call, so that nothing can be executed.

Accepts only what `torch.load(weights_only=True)` accepts, and keeps only shapes and dtypes of it. Refuses a pickle that
names anything else, with the name. The number of operations bounds memory and time.
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from vit_trace.weights.torch_values import ALLOWED, PLAIN, Broken, Global, result_of, storage_of

MAX_OPERATIONS = 2_000_000
"""Operations read; more are refused. A tensor takes about forty, three times that with its optimizer's state."""


class Unsafe(Exception):
    """The pickle names something that loading would call; the message is its full name."""


class TooLong(Exception):
    """More operations than any checkpoint needs."""


MARK = object()


def unpickled(stream: BinaryIO) -> Any:
    """The value of the pickle that starts here; leaves `stream` after its end. Raises Unsafe, Broken, TooLong."""
    machine = _Machine()
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


class _Machine:
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
        """Takes everything above the last mark off the stack, and the mark."""
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
            raise Unsafe(name + (f" {argument}" if argument else ""))
        elif name not in ("PROTO", "FRAME"):
            raise Broken(f"the operation {name}, which torch does not write")

    def put(self, place: Any) -> None:
        self.memo[int(place)] = self.stack[-1]

    def get(self, place: Any) -> None:
        self.stack.append(self.memo[int(place)])

    def extend(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        """Only plain keys are kept."""
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
        self.stack.append(result_of(function, arguments))

    def persistent(self, _: Any) -> None:
        self.stack.append(storage_of(self.pop()))


CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
ARGUMENTS = set(
    """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8
    BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT
""".split()
)
REFUSED = set("INST OBJ EXT1 EXT2 EXT4".split())
"""Operations that call something which GLOBAL does not name."""


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Broken("a name that is not text")
    machine.named(module, name)


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        machine.stack.append(tuple([machine.pop() for _ in range(count)][::-1]))

    return step


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.update([key, value])


def _set_state(machine: _Machine, _: Any) -> None:
    machine.pop()  # attributes of an OrderedDict or a Parameter: nothing that has a shape
    machine.stack[-1]


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
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    "DICT": _dictionary,
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.extend(machine.marked())),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.update(machine.marked()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": lambda machine, argument: machine.named(*argument.split(" ", 1)),
    "STACK_GLOBAL": _stack_global,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.reduce),
    "BINPERSID": _Machine.persistent,
    "BUILD": _set_state,
}
