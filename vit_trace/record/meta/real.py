"""Holds a call on meta to what a real run requires: kernels and checks that only tensors with memory meet.

Where no shape rule answers, torch's meta kernel gives the result, and the same call on real CPU tensors says whether a
real run accepts it. The tensors are small: of the call's own sizes where these are few, else with its long axes cut. A
call is tried once per signature; what it raises is what torch raises.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from vit_trace.record.meta.core import META, PLAIN, product
from vit_trace.record.meta.values import count_change, known_values

MOST_ELEMENTS = 1 << 18
"""Elements of all tensors of a real call, together; the axes of a larger call are cut."""

MOST_WORK = 1 << 24
"""Multiplications of a real call, at most: the elements of its result times those of its smaller tensor."""

MOST_UNTOUCHED = 1 << 26
"""Elements of all tensors of a call that meta refuses, at most: memory for them is asked for, but never written to."""

MOST_KEPT = 4096
"""Signatures whose outcome is remembered; beyond it all are forgotten."""

CUTS = (2, 3, 4, 8)
"""Sizes that a long axis is cut to, tried in turn: what divides it, or what a kernel needs, differs."""

BY_DEVICE = (
    "meta",
    "Meta",
    "DataDependent",
    "FakeTensor",
    "fake impl",
    "unbacked",
    "data-dependent",
    "DynamicOutputShape",
)
"""Words of exceptions that speak of what meta or fake tensors cannot do."""

LINALG_ERROR = torch._C._LinAlgError  # type: ignore[attr-defined]
"""Raised where values decide."""

FILLS = (0.5, 0.0, 1.0)
"""Values of floats, in turn; whole numbers are 1 where they are not 0."""

RANDOM = float("nan")
"""A fill that gives each element a value of its own, from 0 to 1."""

UNHEARD = torch._C.DisableTorchFunction
"""Hides our own questions to tensors from modes."""

UNTRIED = {"to", "item", "tolist", "numpy", "data_ptr", "set_", "backward", "grad", "__get__", "__set__", "__bool__"}
"""Functions that ask for a device, for values or for autograd's graph."""

RECURRENT = {"gru", "lstm", "rnn_tanh", "rnn_relu"}
"""Functions that do not check their weights: cut to other sizes, they end the process."""

VIEWS = frozenset(
    "view reshape permute transpose t swapaxes swapdims movedim moveaxis unsqueeze squeeze flatten unflatten ravel"
    " expand expand_as view_as narrow select unbind chunk split size stride dim numel"
    " long int short bool float double half bfloat16".split()
)
"""Functions that torch runs in the same code on every device, or that no dtype refuses: meta refuses what a real run
does."""

INDICES = frozenset((int, slice, type(None), type(...)))
"""Kinds of indices that make views."""

_INDEXED = frozenset(
    "__getitem__ __setitem__ embedding gather index_select take take_along_dim index_put index_put_ index_add"
    " index_add_ index_copy index_copy_ index_fill index_fill_ scatter scatter_ scatter_add scatter_add_"
    " scatter_reduce".split()
)
"""Functions that whole numbers lead to places in another tensor: where they lead decides whether it is there."""

_BY_VALUES = _INDEXED | frozenset(
    "nonzero argwhere where masked_select one_hot bincount repeat_interleave unique unique_consecutive tensor_split"
    " embedding_bag cross_entropy nll_loss".split()
)
"""Functions whose result, or whether there is one, depends on the values of whole numbers or truths."""

_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_transforms: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack

_ACCEPTED: set[object] = set()
"""Signatures that a real run accepts."""


class _Plan(NamedTuple):
    """A tensor to be made for real. `place` counts the different tensors of a call; `values` are known ones.

    `trains`: autograd follows it.
    """

    place: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    trains: bool = False
    values: Any = None

    def cut(self, sizes: dict[int, int]) -> "_Plan":
        """The same tensor with other sizes, dense in memory."""
        shape = tuple(sizes.get(size, size) for size in self.shape)
        return _Plan(self.place, shape, _dense(shape), self.dtype, self.trains)

    def thin(self) -> "_Plan":
        """The same tensor, with one element in memory in place of all, if its values are not known."""
        return self if self.values is not None else self._replace(strides=(0,) * len(self.shape))

    def outline(self) -> tuple[Any, ...]:
        """The plan, with the lowest and highest of its values in place of them: an index is judged by these."""
        if self.values is None or not self.values.numel():
            return (*self[:-1], None)
        whole = self.values if self.values.dtype is not torch.bool else self.values.sum()
        return (*self[:-1], *(one.item() for one in whole.aminmax()))

    def make(self, fill: float | None) -> Tensor:
        """The tensor with one value everywhere; without a fill, in memory that nobody has written to."""
        if self.values is not None:
            return self.values.clone()  # type: ignore[no-any-return]
        made = torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="cpu")
        if fill is not None:
            self._fill(made, fill)
        return made.requires_grad_(self.trains)  # decides how torch folds a product

    def _fill(self, made: Tensor, fill: float) -> None:
        base = made.as_strided((made.untyped_storage().nbytes() // made.element_size(),), (1,))
        whole = not self.dtype.is_floating_point and not self.dtype.is_complex
        if fill is RANDOM:
            base.copy_(torch.randint(2, base.shape) if whole else torch.rand(base.shape))
        else:
            base.fill_(int(fill > 0) if whole else fill)


@dataclass(frozen=True)
class _Outcome:
    """What came of a call for real: an exception, or a result and the tensors it was given; else all as on meta."""

    error: Exception | None = None
    out: Any = None
    given: dict[int, Any] | None = None


_AS_ON_META = _Outcome()


@dataclass(frozen=True)
class _Signature:
    """A call with plans in place of its tensors, as pytree leaves."""

    func: Callable[..., Any]
    leaves: tuple[Any, ...]
    spec: Any

    @property
    def plans(self) -> Iterator[_Plan]:
        return (leaf for leaf in self.leaves if isinstance(leaf, _Plan))

    def key(self) -> object:
        """What calls that are accepted alike have in common; None where values matter or have no hash."""
        if any(plan.values is not None for plan in self.plans) and self.func.__name__ not in _INDEXED:
            return None
        leaves = [leaf.outline() if isinstance(leaf, _Plan) else leaf for leaf in self.leaves]
        leaves = [(leaf.start, leaf.stop, leaf.step) if type(leaf) is slice else leaf for leaf in leaves]
        key = (self.func, torch.is_autocast_enabled("cpu"), *leaves, *map(type, self.leaves), self.spec)
        try:
            hash(key)
        except TypeError:
            return None
        return key

    def sizes(self) -> dict[int, int]:
        """The elements of each tensor that take memory."""
        return {plan.place: product(plan.shape) if any(plan.strides) else 1 for plan in self.plans}

    def cut(self, longest: int) -> "_Signature":
        """The call with every axis longer than so many cut to it, and the same sizes among its arguments.

        The numbers of an index are places: an axis is not made shorter than they reach.
        """
        index = self.func.__name__ == "__getitem__"
        if index:
            longest = max([longest, *(abs(leaf) + 1 for leaf in self.leaves if type(leaf) is int)])
        long = {size: longest for plan in self.plans for size in plan.shape if size > longest}
        changed = tuple(
            (leaf.cut(long).thin() if index else leaf.cut(long))
            if isinstance(leaf, _Plan)
            else long.get(leaf, leaf)
            if type(leaf) is int and not index
            else leaf
            for leaf in self.leaves
        )
        return _Signature(self.func, changed, self.spec)

    def call(self, make: Callable[[_Plan], Any]) -> tuple[Any, dict[int, Any]]:
        """(the result, the tensors that it was called with). Raises what the function raises.

        Modes hear the function itself: what they make of it on meta they make of it here.
        """
        made: dict[int, Any] = {}
        with UNHEARD():
            for plan in self.plans:
                if plan.place not in made:
                    made[plan.place] = make(plan)
            given = [made[leaf.place] if isinstance(leaf, _Plan) else leaf for leaf in self.leaves]
            args, kwargs = tree_unflatten(given, self.spec)
        return self.func(*args, **kwargs), made


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(product(max(size, 1) for size in shape[axis + 1 :]) for axis in range(len(shape)))


def as_for_real(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `func(*args, **kwargs)` returns on meta. Raises what a real run on CPU raises, where that refuses it."""
    name = getattr(func, "__name__", "__get__")
    views = name in VIEWS or (name == "__getitem__" and _makes_view(args))
    if views or name in UNTRIED or _dispatch_modes() or _transforms() is not None:
        return func(*args, **kwargs)
    with UNHEARD():
        signature = _signature(func, args, kwargs)
    if signature is None:
        return func(*args, **kwargs)
    refused: Exception | None = None
    try:
        out = func(*args, **kwargs)
    except RecursionError:
        raise
    except Exception as error:
        out, refused = None, error
    lacking = refused is not None and any(word in str(refused) for word in BY_DEVICE)
    real = _whatever_the_values(signature, refused) if lacking else _outcome(signature, out, refused)
    if real.error is not None:
        raise real.error from None
    if real.given is None:
        return out
    with UNHEARD():
        return _without_values(real, [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)])


def _makes_view(args: tuple[Any, ...]) -> bool:
    """Whether `args[0][args[1]]` takes whole numbers and slices only."""
    index = args[1] if type(args[1]) is tuple else args[1:]
    return all(type(one) in INDICES for one in index)


def is_lookup(func: Callable[..., Any]) -> bool:
    return getattr(func, "__name__", "") in _INDEXED


def require_for_real(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """Raises what a real run raises, where the values of an index are known. `out` is the result on meta."""
    with UNHEARD():
        leaves = tree_leaves((args, kwargs))
        if not any(isinstance(leaf, Tensor) and leaf.is_meta and known_values(leaf) is not None for leaf in leaves):
            return
        signature = _signature(func, args, kwargs)
    real = _outcome(signature, out, None) if signature is not None else _AS_ON_META
    if real.error is not None:
        raise real.error from None


def _signature(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Signature | None:
    """The call with plans for its tensors; None where it cannot be made for real."""
    by_values = getattr(func, "__name__", "") in _BY_VALUES
    leaves, spec = tree_flatten((args, kwargs))
    places: dict[int, int] = {}
    found: list[Any] = []
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            if type(leaf) not in PLAIN or leaf.layout is not torch.strided or leaf.is_quantized or leaf.is_nested:
                return None
            if leaf.requires_grad and torch.is_grad_enabled():
                return None
            place = places.setdefault(id(leaf), len(places))
            values = leaf if not leaf.is_meta else known_values(leaf) if by_values else None
            found.append(_Plan(place, tuple(leaf.shape), leaf.stride(), leaf.dtype, leaf.requires_grad, values))
        elif isinstance(leaf, torch.device) or (isinstance(leaf, str) and leaf == "meta"):
            if str(leaf) != "meta":
                return None
            found.append(torch.device("cpu"))
        elif isinstance(leaf, torch.Generator):
            return None
        else:
            found.append(leaf)
    if (
        by_values
        and func.__name__[-1] != "_"
        and any(isinstance(one, _Plan) and one.values is not None for one in found)
    ):
        # one element stands for all of a tensor that is looked up in, however large
        found = [one.thin() if isinstance(one, _Plan) else one for one in found]
    on_meta = any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in leaves)
    return _Signature(func, tuple(found), spec) if on_meta else None


def _outcome(signature: _Signature, out: Any, refused: Exception | None) -> _Outcome:
    """What a real run comes to; a result only where it has another than meta, `out`, which `refused` to give any."""
    key = signature.key()
    if refused is None and key in _ACCEPTED:
        return _AS_ON_META
    if _fits(signature, _elements(out)):
        real = _tried(signature)
        if real.error is None and (refused is not None or _facts(real.out) != _facts(out)):
            return real
    elif refused is not None:
        return _Outcome(_refused_for_real(signature, refused))
    else:
        uncut = getattr(signature.func, "__name__", "") in RECURRENT
        smaller = (signature.cut(longest) for longest in (() if uncut else CUTS))
        small = next((one for one in smaller if _fits(one, 0) and _accepted_on_meta(one)), None)
        real = _tried(small) if small is not None else _AS_ON_META
        if real.error is not None:
            return _Outcome(_refused_for_real(signature, real.error))  # torch's words may differ with the sizes
        if torch.is_autocast_enabled("cpu") and real.out is not None:
            return _Outcome(None, _retyped(out, real.out), {})
    if real.error is not None:
        return real
    if key is not None:
        if len(_ACCEPTED) > MOST_KEPT:
            _ACCEPTED.clear()
        _ACCEPTED.add(key)
    return _AS_ON_META


def _refused_for_real(signature: _Signature, refused: Exception) -> Exception:
    """What a real run raises where meta, or a smaller run, has refused a large call; that where it would work first.

    torch compares sizes before it reads a tensor or makes one.
    """
    sizes = [product(plan.shape) for plan in signature.plans]
    name = signature.func.__name__
    if sum(sizes) + _scores(signature) > MOST_UNTOUCHED or name in _BY_VALUES:
        return refused
    try:
        _run(signature, None)
    except RecursionError:
        raise
    except Exception as error:
        return refused if "alloc" in str(error) else error.with_traceback(None)
    return refused


def _scores(signature: _Signature) -> int:
    """The products of queries and keys, which attention makes before it looks at the mask."""
    shapes = [plan.shape for plan in signature.plans][:2]
    if signature.func.__name__ != "scaled_dot_product_attention" or min(map(len, shapes)) < 2:
        return 0
    return product(shapes[0][:-1]) * shapes[1][-2]


def _whatever_the_values(signature: _Signature, lacking: Exception | None) -> _Outcome:
    """What a call that meta lacks comes to for real; `lacking`, the exception of meta, where its values decide that."""
    if not _fits(signature, 0):
        return _Outcome(lacking)
    runs: list[_Outcome] = []
    for fill in (*FILLS, RANDOM):
        try:
            runs.append(_Outcome(None, *_run(signature, fill)))
        except RecursionError:
            raise
        except Exception as error:
            runs.append(_Outcome(error.with_traceback(None)))
    alike = all(type(run.error) is type(runs[0].error) and _facts(run.out) == _facts(runs[0].out) for run in runs)
    whole = runs[0].error is not None or all(isinstance(leaf, Tensor) for leaf in tree_leaves(runs[0].out))
    return runs[0] if alike and whole else _Outcome(lacking)


def _elements(value: Any) -> int:
    with UNHEARD():
        return sum(leaf.numel() for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def _facts(value: Any) -> list[Any]:
    with UNHEARD():
        return [(leaf.shape, leaf.dtype) for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _retyped(out: Any, smaller: Any) -> Any:
    """A result on meta in the dtypes of a smaller one."""
    leaves, spec = tree_flatten(out)
    dtypes = [getattr(leaf, "dtype", None) for leaf in tree_leaves(smaller)]
    pairs = zip(leaves, dtypes, strict=False)
    return tree_unflatten([leaf.to(dtype) if isinstance(leaf, Tensor) else leaf for leaf, dtype in pairs], spec)


def _fits(signature: _Signature, made: int) -> bool:
    """Whether a call is small enough to be made for real."""
    sizes = sorted(signature.sizes().values())
    return sum(sizes) + made <= MOST_ELEMENTS and made * sizes[0] <= MOST_WORK


def _accepted_on_meta(signature: _Signature) -> bool:
    def make(plan: _Plan) -> Tensor:
        return torch.empty_strided(plan.shape, plan.strides, dtype=plan.dtype, device=META)

    try:
        out, _ = signature.call(make)
    except Exception:
        return False
    return _fits(signature, _elements(out))


def _tried(signature: _Signature) -> _Outcome:
    """What comes of the call for real; an exception only where it does not depend on the values."""
    first: Exception | None = None
    for fill in FILLS:
        try:
            out, given = _run(signature, fill)
        except RecursionError:
            raise
        except Exception as error:
            if isinstance(error, LINALG_ERROR) or (first is not None and type(error) is not type(first)):
                return _AS_ON_META
            first = first or error
        else:
            return _Outcome(None, out, given)
    return _Outcome(first.with_traceback(None) if first is not None else None)


def _run(signature: _Signature, fill: float | None) -> tuple[Any, dict[int, Any]]:
    """The call for real, without a trace in torch's random numbers or on the terminal."""
    state = torch.default_generator.get_state()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return signature.call(lambda plan: plan.make(fill))
    finally:
        torch.default_generator.set_state(state)


def _without_values(real: _Outcome, tensors: list[Tensor]) -> Any:
    """A real result on meta: a tensor that was given, or a new one."""
    different = list({id(tensor): tensor for tensor in tensors}.values())
    originals = {id(made): different[place] for place, made in (real.given or {}).items()}

    def moved(leaf: Any) -> Any:
        if id(leaf) in originals:
            count_change(originals[id(leaf)])
        if not isinstance(leaf, Tensor) or id(leaf) in originals:
            return originals.get(id(leaf), leaf)
        return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device=META)

    leaves, spec = tree_flatten(real.out)
    return tree_unflatten([moved(leaf) for leaf in leaves], spec)


RUNNING = {as_for_real.__code__, require_for_real.__code__}
"""Code that calls of the model run through: an exception there is the model's."""
