"""Traces what is no module and no spec: a training step, a loss, any code in a `with` block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from msgspec.structs import replace

from vit_trace.api.traced import Traced
from vit_trace.base.trace import Failure, Trace

Explain = Callable[[BaseException], Trace | None]
"""The trace of the call that raised an exception, with its cause found."""


def traced_call(
    called: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], explain: Explain
) -> Trace:
    """The trace of one call, which runs once and as it is; where it raises an exception, up to there."""
    from vit_trace.record.around import Around

    around = Around(_name(called))
    around.begin(called, args, kwargs)
    try:
        output = called(*args, **kwargs)
    except Exception as error:
        return _explained(around.end(error), error, explain)
    except BaseException:
        around.end()
        raise
    return around.returned(output)


@contextmanager
def recorded_block(explain: Explain) -> Iterator[Traced]:
    """A trace that holds, once the block is over, what ran in it; also where an exception ended it."""
    from vit_trace.record.around import Around

    around = Around("recording")
    found = Traced.of(around.begin(_nothing, (), {}))
    try:
        yield found
    except BaseException as error:
        found.fill(_explained(around.end(error), error, explain))
        raise
    else:
        found.fill(around.end())


def _nothing() -> None:
    """What a block is given."""


def _name(called: Callable[..., Any]) -> str:
    inner = called.func if isinstance(called, partial) else called
    return getattr(inner, "__name__", type(inner).__name__).replace("<lambda>", "lambda")


def _explained(trace: Trace, error: BaseException, explain: Explain) -> Trace:
    """The trace with the cause of its failure, where that is found; it names the stage that failed here."""
    found = explain(error)
    if trace.failure is None or found is None or found.failure is None:
        return trace
    operands = tuple(replace(one, stage=None) for one in found.failure.operands)
    producers = tuple(replace(one, stage=None) for one in found.failure.producers)
    told: Failure = replace(found.failure, stage=trace.failure.stage, operands=operands, producers=producers)
    return replace(trace, failure=told)
