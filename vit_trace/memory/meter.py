"""Measures one training step on tensors without memory: every storage made and dropped, and what autograd saves.

One dispatch mode over torch's own autograd, and hooks that know which module runs. Keeps no tensor alive. Bytes are
those of whole storages, each counted once, as torch.distributed's MemTracker counts them.
"""

import sys
import weakref
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from vit_trace.memory.kernels import Kernels
from vit_trace.memory.states import Trained
from vit_trace.memory.tape import Owned, Place, Tape

LAST = chr(0x10FFFF)
ENGINE = torch.autograd.graph._engine_run_backward.__code__
sequence_number: Any = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]


Workspaces = Mapping[Any, Callable[..., list[tuple[int, ...]]]]
"""Kernel -> bytes of the buffers that it takes while it runs: groups that are there together, one after the other."""
NONE: Workspaces = MappingProxyType({})

_Moment = tuple[str, str | int]
"""The phase, and the module or, in backward, the number of autograd's node."""


class Where:
    """Knows which module runs: in backward, the one whose forward made the node that autograd is at."""

    def __init__(self, model: nn.Module) -> None:
        self.names = {id(module): name for name, module in model.named_modules()}
        self.stack: list[str] = [""]
        self.marks: list[tuple[int, str]] = []

    def hook(self, stack: ExitStack) -> None:
        stack.callback(register_module_forward_pre_hook(self.enter).remove)
        stack.callback(register_module_forward_hook(self.leave, always_call=True).remove)

    def enter(self, module: nn.Module, args: Any) -> None:
        self.stack.append(self.names.get(id(module), self.stack[-1]))
        self.mark()

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self.stack.pop()
        self.mark()

    def mark(self) -> None:
        self.marks.append((sequence_number(), self.stack[-1]))

    def now(self) -> _Moment:
        if torch._C._current_graph_task_id() == -1:
            return "forward", self.stack[-1]
        if len(self.stack) > 1:
            return "recomputation in backward", self.stack[-1]
        node = torch._C._current_autograd_node()
        return "backward", node._sequence_nr() if node is not None else 0

    def place(self, moment: _Moment) -> Place:
        """The module of a moment, once the forward is over."""
        phase, at = moment
        if isinstance(at, str):
            return Place(phase, at)
        found = bisect_right(self.marks, (at, LAST)) - 1
        return Place(phase, self.marks[found][1] if found >= 0 else "")


def _accumulates(func: Any, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether autograd adds a second gradient to one that nothing else holds: without a mode it does so in place."""
    if func is not torch.ops.aten.add.Tensor or kwargs or torch._C._current_graph_task_id() == -1:
        return False
    held, other = args
    caller = sys._getframe(2).f_code
    return (
        caller is ENGINE
        and isinstance(other, Tensor)
        and (held.shape, held.dtype) == (other.shape, other.dtype)
        and torch._C._storage_Use_Count(held.untyped_storage()._cdata) <= 2  # the tensor and this look at it
    )


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every storage that lives while it is on."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler only to keep it away from here."""
        return False

    def __init__(self, where: Where, run: Kernels, workspaces: Workspaces = NONE) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.where, self.run, self.workspaces = where, run, workspaces
        self.in_place = bool(workspaces)
        self.live: dict[int, int] = {}
        self.events: list[int] = []
        self.bytes: list[int] = []
        self.kinds: list[str] = []
        self.moments: list[_Moment] = []
        self.references: dict[int, Any] = {}
        self.saved: dict[int, str] = {}
        self.loose: dict[int, tuple[Any, str]] = {}
        self.masks: set[int] = set()
        self.owned: dict[int, Owned] = {}
        aten = torch.ops.aten
        self.masking = {aten.bernoulli_.float: 0, aten.native_dropout.default: 1}  # place of the mask among the results

    def add(self, tensor: Tensor, kind: str) -> None:
        """Count the tensor's storage, if it is new or has another size than before."""
        if tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        number = self.live.get(key)
        size = storage.nbytes()
        if number is not None:
            if self.bytes[number] == size:
                return
            self.drop(key, number)
        number = self.noted(size, kind)
        self.live[key] = number
        self.references[number] = weakref.ref(storage, partial(self.drop, key, number))

    def noted(self, size: int, kind: str) -> int:
        """The number of a storage that is made now."""
        self.bytes.append(size)
        self.kinds.append(kind)
        self.moments.append(self.where.now())
        self.events.append(len(self.bytes) - 1)
        return len(self.bytes) - 1

    def add_all(self, tensors: Iterable[Tensor], kind: str) -> None:
        for tensor in tensors:
            self.add(tensor, kind)

    def drop(self, key: int, number: int, reference: object = None) -> None:
        if self.live.get(key) == number:
            del self.live[key]
            self.references.pop(number, None)
            self.events.append(~number)

    def own(self, tensor: Tensor, kind: str, unit: str) -> None:
        """The tensor's storage is a parameter or the gradient of one, in a unit of the model."""
        number = self.live.get(tensor.untyped_storage()._cdata)
        if number is not None:
            self.kinds[number] = kind
            self.owned[number] = Owned(unit, Trained(tuple(tensor.shape), tensor.element_size()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = args[0] if self.in_place and _accumulates(func, args, kwargs) else self.run(func, args, kwargs or {})
        made = (out,) if isinstance(out, Tensor) else out if isinstance(out, (tuple, list)) else ()
        self.add_all((one for one in made if isinstance(one, Tensor)), "activations")
        if func in self.masking:
            self.masks.add(self.live.get(made[self.masking[func]].untyped_storage()._cdata, -1))
        for sizes in self.workspaces[func](*args) if func in self.workspaces else ():
            self.events += [~number for number in [self.noted(size, "workspaces") for size in sizes]]
        return out

    def save(self, tensor: Tensor) -> Tensor:
        """Note that autograd keeps the tensor for backward."""
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            number = self.live.get(storage._cdata)
            if number is None:
                self.loose.setdefault(storage._cdata, (storage, self.where.stack[-1]))
            elif self.kinds[number] not in ("parameters", "buffers"):
                self.saved.setdefault(number, self.where.stack[-1])
        return tensor

    def tape(self, batch: int, trained: Iterable[Trained]) -> Tape:
        loose: Counter[str] = Counter()
        for storage, stage in self.loose.values():
            loose[stage] += storage.nbytes()
        return Tape(
            batch,
            events=tuple(self.events),
            bytes=tuple(self.bytes),
            kinds=tuple(self.kinds),
            places=tuple(map(self.where.place, self.moments)),
            saved=dict(self.saved),
            loose=dict(loose),
            trained=tuple(trained),
            masks=frozenset(self.masks & self.saved.keys()),
            owned=self.owned,
        )
