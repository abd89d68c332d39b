"""Explains a data loader that raised: items of several shapes in one batch, a dataset that fails.

What a worker did is done again in this process, for the first items: the worker's own frames are gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from msgspec import structs
from torch import Tensor, nn
from torch.utils.data import _utils as machinery

from vit_trace.base.trace import Diagnostic, Source, Trace
from vit_trace.base.words import shape_text
from vit_trace.record.meta.tensors import leaves, shape_of
from vit_trace.record.raised.crash import Crash
from vit_trace.scripts.replay import Root, quietly, replayed

MOST_ITEMS = 64
"""Items of a dataset that are read again to find those that a worker had."""

FETCH = machinery.fetch._MapDatasetFetcher.fetch.__code__
WORKER = "in DataLoader worker process"
STACK = machinery.collate.collate_tensor_fn.__code__


class Stacked(nn.Module):
    """What a loader does with the tensors of its items."""

    def forward(self, **items: Tensor) -> Tensor:
        return torch.stack([*items.values()])


def again_here(crash: Crash) -> BaseException | None:
    """What a worker raised, raised once more in this process; None where no worker did, or it does not come again."""
    if WORKER not in str(crash.error):
        return None
    iterator = next((frame.f_locals.get("self") for frame, _ in crash.entries if _loads(frame)), None)
    dataset = getattr(iterator, "_dataset", None)
    collate = getattr(iterator, "_collate_fn", None)
    try:
        count = min(len(dataset), MOST_ITEMS)  # type: ignore[arg-type]  # an iterable one has none: it ends here
    except Exception:
        return None
    with quietly():
        kinds: dict[str, Any] = {}
        for place in range(count):
            try:
                item = dataset[place]  # type: ignore[index]
            except Exception as error:
                return error if type(error).__name__ in str(crash.error) else None
            kinds.setdefault(str([shape_of(tensor) for _, tensor in leaves(item)]), item)
        try:
            collate([*kinds.values()])  # type: ignore[misc]
        except Exception as error:
            return error if str(error).split("\n")[0][:40] in str(crash.error) else None
    return None


def _loads(frame: Any) -> bool:
    return frame.f_code.co_name == "_next_data" and hasattr(frame.f_locals.get("self"), "_dataset")


def of_collating(crash: Crash) -> tuple[Diagnostic, Trace] | None:
    """Tensors that torch's own collate could not stack; None where it failed otherwise."""
    stack = next((frame for frame, _ in crash.entries if frame.f_code is STACK), None)
    if stack is None or not isinstance(stack.f_locals.get("batch"), (list, tuple)):
        return None
    held = [one for one in stack.f_locals["batch"] if isinstance(one, Tensor)]
    common = Counter(shape_of(one) for one in held).most_common(1)[0][0]
    odd = next((one for one in range(len(held)) if shape_of(held[one]) != common), 0)
    usual = next((one for one in range(len(held)) if shape_of(held[one]) == common), 0)
    pair = {f"item_{place}": held[place] for place in sorted({odd, usual})}
    trace = replayed(Root(Stacked(), (), pair, anywhere=True), crash)
    if trace is None or trace.failure is None:
        return None
    message = trace.failure.message
    for at, place in enumerate(sorted({odd, usual})):
        message = message.replace(f"tensor {at}", f"item {place}")
    failure = structs.replace(
        trace.failure,
        message=message,
        span=first_line(crash),
        notes=(*_items(crash, held), crash.quoted),
        labels=(),
        help=tuple(_grey(held)),
        remedies=(),
        producers=(),
    )
    return failure, structs.replace(trace, failure=failure)


def _grey(held: Sequence[Tensor]) -> Iterator[str]:
    """Images with one channel among those with three, as a remedy that was tried."""
    bare = [torch.empty(shape_of(one), device="meta") for one in held]
    if not all(one.ndim == 3 and one.shape[0] in (1, 3) for one in bare):
        return
    try:
        stacked = torch.stack([one.expand(3, -1, -1) for one in bare])
    except RuntimeError:
        return
    shape = shape_text(shape_of(stacked))
    yield f'image.expand(3, -1, -1) (tried: runs, output {shape}), or convert("RGB") where images are read'


def _items(crash: Crash, held: Sequence[Tensor]) -> Iterator[str]:
    """The items of the batch by their shapes, with the dataset and the indices where they are known."""
    fetch = next((frame for frame, _ in crash.entries if frame.f_code is FETCH), None)
    indices = fetch.f_locals.get("possibly_batched_index") if fetch is not None else None
    dataset = getattr(fetch.f_locals.get("self"), "dataset", None) if fetch is not None else None
    name = f" of {type(dataset).__name__}" if dataset is not None else ""
    known = isinstance(indices, list) and len(indices) == len(held)
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, tensor in enumerate(held):
        groups.setdefault(shape_of(tensor), []).append(indices[place] if known else place)  # type: ignore[index]
    for shape, places in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        some = ", ".join(map(str, places[:6])) + ("…" if len(places) > 6 else "")
        yield f"item{'s' * (len(places) > 1)} {some}{name}: {shape_text(shape)}"


def first_line(crash: Crash) -> Source | None:
    """The program's line that asked for the batch; of a loop its head."""
    span = crash.span
    if span is None or span.line == span.end_line:
        return span
    text = span.text.split("\n")[0].rstrip()
    return structs.replace(span, end_line=span.line, end_column=span.column + len(text), text=text)
