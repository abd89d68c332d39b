"""Leads from a running frame to the source that made a tensor: span, name of the result, einops call. No torch.

Positions and bindings are worked out once per code object and instruction.
"""

import dis
import linecache
import os
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

from vit_trace.base.trace import Source

OWN, LIBRARY, EINOPS = range(3)
"""Who wrote a file: the model's author, a library whose steps are not the reader's (torch, stdlib, us), einops."""

MACHINERY = os.path.join(Path(os.path.abspath(__file__)).parents[2], "")
"""Directory of this package, where torch and the recorder hand calls on to each other."""
MODEL_FILE = os.path.join(MACHINERY, "vit.py")
OVERRIDES = os.path.join("torch", "overrides.py")
"""Where torch's functions in Python hand themselves on to a function mode."""
STORES = {"STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR"}
DOUBLE_STORES = {"STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST"}
JUMPS = {"JUMP_FORWARD", "JUMP_ABSOLUTE"}
INLINED = {"LIST_APPEND", "SET_ADD"}
COMPREHENSIONS = {"<listcomp>", "<setcomp>"}
LOOP_ENDS = {"END_FOR", "POP_TOP", "POP_ITER"}


def _package_directory(name: str) -> str:
    """Directory of an installed package, with a trailing separator; "" when there is none, or a file has its name."""
    found = find_spec(name)
    return os.path.join(*found.submodule_search_locations, "") if found and found.submodule_search_locations else ""


@cache
def _directories() -> tuple[tuple[str, int], ...]:
    """(directory prefix, owner) pairs, the first that fits a file decides."""
    stdlib = os.path.join(sysconfig.get_paths()["stdlib"], "")
    found = [
        (MODEL_FILE, OWN),
        (_package_directory("einops"), EINOPS),
        (_package_directory("torch"), LIBRARY),
        (MACHINERY, LIBRARY),
        (os.path.join(stdlib, "site-packages", ""), OWN),
        (stdlib, LIBRARY),
        ("<frozen", LIBRARY),
    ]
    return tuple((prefix, owner) for prefix, owner in found if prefix)


@cache
def owner(filename: str) -> int:
    """Whose file it is: OWN, LIBRARY or EINOPS."""
    return next((owner for prefix, owner in _directories() if filename.startswith(prefix)), OWN)


def is_installed(file: str) -> bool:
    """Whether a file is of an installed library, not of the user's own."""
    return "site-packages" in file or "dist-packages" in file


def is_own(frame: FrameType) -> bool:
    return owner(frame.f_code.co_filename) == OWN


def is_machinery(filename: str) -> bool:
    return filename.startswith(MACHINERY) and filename != MODEL_FILE


class Site(NamedTuple):
    """Where a torch call comes from.

    `frame` is the nearest frame in the model's own files; `inside` is whether it runs within the innermost module's
    forward (False: torch's code made the call); `library` is the nearest frame of torch's code within that module;
    `einops` is the frame of the einops function on the way.
    """

    frame: FrameType | None
    inside: bool
    library: FrameType | None
    einops: FrameType | None


def find_site(frame: FrameType | None, boundary: CodeType, root: CodeType) -> Site:
    """Walk outwards from `frame` to the model's own code, not past `root` (the recorder's own frame).

    `boundary` is the code of `nn.Module._call_impl`: passing it means that the innermost module's library code called.
    """
    inside, einops, library, handed_on = True, None, None, False
    while frame is not None and (code := frame.f_code) is not root:
        whose = owner(code.co_filename)
        if whose == OWN:
            return Site(frame, inside, library, einops)
        if code is boundary:
            inside = False
        elif inside:
            if whose == EINOPS:
                einops = frame
            elif code.co_filename.endswith(OVERRIDES):
                handed_on = True
            elif handed_on:  # torch's relu hands itself on to the mode: who called it is wanted
                handed_on = False
            elif library is None and not code.co_filename.startswith(MACHINERY):
                library = frame
        frame = frame.f_back
    return Site(None, False, library, einops)


def entries(traceback: TracebackType | None, below: CodeType | None = None) -> list[tuple[FrameType, int]]:
    """The frames of a traceback, outermost first, each with the instruction that raised or called on.

    Only those inside the frame that runs `below`, if it is there.
    """
    found: list[tuple[FrameType, int]] = []
    while traceback is not None:
        found.append((traceback.tb_frame, traceback.tb_lasti))
        traceback = traceback.tb_next
    at = next((place for place, (frame, _) in enumerate(found) if frame.f_code is below), -1)
    return found[at + 1 :]


@cache
def positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    """(line, end line, byte column, end byte column) per instruction of `code`."""
    linecache.checkcache(code.co_filename)
    return tuple(code.co_positions())


def span(code: CodeType, lasti: int) -> Source | None:
    """Source of the expression that instruction `lasti` of `code` evaluates; the line where columns are missing."""
    return _span_in(code.co_filename, code, lasti)


@cache
def _span_in(filename: str, code: CodeType, lasti: int) -> Source | None:
    """The same; the file is named because Python takes equal code of two files for the same."""
    line, end_line, column, end_column = positions(code)[lasti // 2]
    if line is None:
        return None
    return source(filename, line, end_line or line, column, end_column)


def source(filename: str, line: int, end_line: int, column: int | None, end_column: int | None) -> Source:
    """The span with its text. `column` and `end_column` are in bytes, None where not known."""
    lines = linecache.getlines(filename)[line - 1 : end_line]
    if len(lines) < end_line - line + 1:
        return Source(filename, line, end_line, 0, 0, "")
    lines[-1] = lines[-1].rstrip("\n")
    if column is None or end_column is None:
        text = "".join(lines)
        return Source(filename, line, end_line, len(text) - len(text.lstrip()), len(lines[-1]), text.strip())
    start, stop = _characters(lines[0], column), _characters(lines[-1], end_column)
    lines[-1] = lines[-1][:stop]
    return Source(filename, line, end_line, start, stop, "".join(lines)[start:])


def _characters(line: str, column: int) -> int:
    """Characters in the first `column` bytes of the line."""
    return column if line.isascii() else len(line.encode()[:column].decode(errors="ignore"))


EXPRESSIONS = ("LOAD_", "PUSH_NULL", "BINARY_", "UNARY_", "BUILD_", "COMPARE_OP", "PRECALL", "KW_NAMES", "CALL")
"""How instructions begin that make a value of others."""


class _Binding(NamedTuple):
    """What becomes of an instruction's result: bound to `names`, or it `leaves` the frame, returned or yielded.

    `element` says that it is one element of several.
    """

    names: tuple[str, ...] = ()
    leaves: bool = False
    element: bool = False


@cache
def instructions(code: CodeType) -> tuple[list[dis.Instruction], dict[int, int]]:
    """The instructions of `code`, and the place in them of each offset.

    A frame that waits for a Python function may stand on the inline cache behind its call: that counts as the call.
    """
    listing = list(dis.get_instructions(code))
    places: dict[int, int] = {}
    for place, instruction in enumerate(listing):
        end = listing[place + 1].offset if place + 1 < len(listing) else len(code.co_code)
        places.update(dict.fromkeys(range(instruction.offset, end, 2), place))
    return listing, places


@cache
def _binding(code: CodeType, lasti: int) -> _Binding:
    """What the code does next with the result of instruction `lasti`."""
    listing, places = instructions(code)
    place = places.get(lasti, len(listing) - 1)
    if listing[place].opname == "PRECALL":  # Python 3.11 writes a call as two instructions
        place += 1
    if listing[place].opname != "UNPACK_SEQUENCE":  # which drains an iterator itself
        place += 1
    after = _after_comprehension(code, place)
    if after is not None:
        return _bound_at(code, after)._replace(element=True)
    return _bound_at(code, place)


def _after_comprehension(code: CodeType, place: int) -> int | None:
    """Where the code goes on with the list or set that a comprehension in it collects from `place` on.

    From Python 3.12 on a comprehension is a loop in the function itself; None where there is no such loop.
    """
    listing, places = instructions(code)
    append = listing[place] if place + 1 < len(listing) else None
    if append is None or append.opname not in INLINED or code.co_name in COMPREHENSIONS:
        return None
    place += 1
    if not listing[place].opname.startswith("JUMP_BACKWARD"):
        return None  # [*several, one]
    while listing[place].opname.startswith("JUMP_BACKWARD"):  # to the head of each loop, which says where it ends
        head = places.get(listing[place].argval, len(listing) - 1)
        if listing[head].opname != "FOR_ITER":
            return None
        place = places.get(listing[head].argval, len(listing) - 1)
        while listing[place].opname in LOOP_ENDS:
            place += 1
    if listing[place].opname == "SWAP":  # then the loop's variables get their values from before it
        restored = int(listing[place].arg or 1) - 1
        place += 1
        while restored > 0 and (names := stored(listing[place])):
            restored, place = restored - len(names), place + 1
    return place


def _bound_at(code: CodeType, place: int) -> _Binding:
    """What the instructions from `place` on do with the value on the stack."""
    listing, places = instructions(code)
    for _ in range(4):
        if place >= len(listing):
            return _Binding()
        step = listing[place]
        if names := stored(step):
            return _Binding(names[:1])
        if step.opname == "UNPACK_SEQUENCE":
            return _Binding(_unpacked(listing, place))
        if step.opname.startswith("RETURN_VALUE"):
            return _Binding(leaves=True)
        if step.opname == "YIELD_VALUE" or (step.opname in INLINED and code.co_name in COMPREHENSIONS):
            return _Binding(leaves=True, element=True)
        if step.opname in JUMPS:
            place = places.get(step.argval, len(listing))
        elif step.opname == "COPY":
            place += 1
        elif step.opname.startswith("LOAD_FAST") and listing[place + 1].opname == "STORE_ATTR":
            place += 1  # the variable is the object whose attribute is set next
        else:
            return _Binding(_bound_beside(listing, place))
    return _Binding()


def _bound_beside(listing: list[dis.Instruction], place: int) -> tuple[str, ...]:
    """The name of the value on the stack where others are made before any is bound: `q, k = x[0], x[1]`."""
    above = 0  # values on the stack above it
    for at in range(place, len(listing)):
        step = listing[at]
        if names := stored(step):
            if above < len(names):
                return names[above : above + 1]
            above -= len(names)
        elif step.opname == "SWAP":
            depth = int(step.arg or 1) - 1
            above = {above: 0, 0: depth}[above] if above in (0, depth) else above
        elif step.opname == "BUILD_TUPLE" and above < int(step.arg or 0) and at + 1 < len(listing):
            unpacked = listing[at + 1].opname == "UNPACK_SEQUENCE" and listing[at + 1].arg == step.arg
            names = _unpacked(listing, at + 1) if unpacked else ()
            return names[len(names) - 1 - above : len(names) - above] if names else ()
        elif not step.opname.startswith(EXPRESSIONS) or _taken(step) > above:
            return ()
        else:
            above += dis.stack_effect(step.opcode, step.arg, jump=False)
    return ()


def _taken(step: dis.Instruction) -> int:
    """How many values an instruction of an expression takes off the stack."""
    if step.opname.startswith(("LOAD_ATTR", "LOAD_METHOD")):
        return 1
    leaves = not step.opname.startswith(("LOAD_", "PUSH_NULL", "KW_NAMES"))
    return 1 - dis.stack_effect(step.opcode, step.arg, jump=False) if leaves else 0


def stored(step: dis.Instruction) -> tuple[str, ...]:
    """The names that an instruction binds: one or two, or none."""
    if step.opname in STORES:
        return (str(step.argval),)
    if step.opname in DOUBLE_STORES:
        return tuple(map(str, step.argval if step.opname == "STORE_FAST_STORE_FAST" else step.argval[:1]))
    return ()


def _unpacked(listing: list[dis.Instruction], place: int) -> tuple[str, ...]:
    """Names that the UNPACK_SEQUENCE at `place` binds; () when its targets are not plain names."""
    count = int(listing[place].arg or 0)
    names: list[str] = []
    for step in listing[place + 1 :]:
        if len(names) >= count or step.opname == "STORE_ATTR" or not (found := stored(step)):
            break
        names += found
    return tuple(names[:count]) if len(names) >= count else ()


class _BoundNames(NamedTuple):
    """The variables that a value ends in, and the instruction that binds them.

    `several` says that the value is one element of a sequence that is unpacked into the names.
    """

    names: tuple[str, ...]
    several: bool
    code: CodeType
    lasti: int


def bound_names(frame: FrameType) -> _BoundNames:
    """What binds the value that is now being made in `frame`.

    A value that a helper, a lambda or a comprehension of the model returns is followed into the caller.
    """
    several = False
    while True:
        code, lasti = frame.f_code, frame.f_lasti
        bound = _binding(code, lasti)
        several = several or bound.element
        caller = frame.f_back
        if not bound.leaves or caller is None or owner(caller.f_code.co_filename) != OWN:
            return _BoundNames(bound.names, several, code, lasti)
        listing, places = instructions(caller.f_code)
        several = several or listing[places.get(caller.f_lasti, 0)].opname == "UNPACK_SEQUENCE"
        frame = caller


class _EinopsCall(NamedTuple):
    """A running einops function: its name, the pattern, the tensors it was given."""

    operation: str
    pattern: str
    given: tuple[object, ...]


def einops_call(frame: FrameType) -> _EinopsCall:
    """The einops call that `frame` runs."""
    values = frame.f_locals
    given = values.get("tensors_and_pattern")
    if given is not None:  # einsum(*tensors, pattern)
        return _EinopsCall(frame.f_code.co_name, str(given[-1]), tuple(given[:-1]))
    tensor = values.get("tensor", values.get("tensors", values.get("x")))
    return _EinopsCall(frame.f_code.co_name, str(values.get("pattern", "")), (tensor,))
