"""Answers what a size, a shape, a stage, a parameter or a symbol of a trace is."""

import re
from collections.abc import Iterator

from rich.console import Console

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import shape_text, whole_number
from vit_trace.dims.explain import sizes_in, stages_named
from vit_trace.render.explain import print_parameter, print_shape, print_size, print_stages, print_symbol
from vit_trace.view.narrow import near_names

SHAPE = re.compile(r"\d+([x×]\d+)+")


def print_answer(trace: Trace, subject: str, console: Console) -> None:
    """The size, shape, stage, parameter or symbol that was asked for. Raises Refused."""
    if subject.isdecimal():
        size = whole_number(subject)
        _require_size(trace, size)
        print_size(trace, size, console)
    elif SHAPE.fullmatch(subject):
        shape = tuple(map(whole_number, re.split("[x×]", subject)))
        _require_shape(trace, shape)
        print_shape(trace, shape, console)
    elif held := [one for one in trace.parameters if one.name == subject]:
        print_parameter(held[0], console)
    elif subject in trace.symbols and subject not in {stage.name for stage in trace.stages}:
        print_symbol(trace, subject, console)
    else:
        print_stages(trace, _require_stages(trace, subject), console)


def _require_shape(trace: Trace, shape: tuple[int, ...]) -> None:
    """Refuse a shape that no stage has. Raises Refused."""
    found = {spec.shape for stage in trace.stages for spec in stage.outputs}
    if shape not in found:
        near = [shape_text(one) for one in found if len(one) == len(shape) and set(one) & set(shape)]
        help = (f"shapes near it: {', '.join(sorted(near)[:3])}",) if near else ()
        message = f"no stage has an output of {shape_text(shape)}"
        raise refuse("no-such-size", message, help=(*help, *_of_another(trace, "x".join(map(str, shape)))))


def _require_size(trace: Trace, size: int) -> None:
    """Refuse a size that does not stand in the trace. Raises Refused."""
    found = sizes_in(trace)
    if size not in found:
        near = sorted(found, key=lambda other: abs(other - size))[:3]
        help = (f"sizes near it: {', '.join(map(str, near))}", *_of_another(trace, str(size)))
        raise refuse("no-such-size", f"no size is {size}", help=help)


def _of_another(trace: Trace, subject: str) -> Iterator[str]:
    """How to ask about a model, where none was named."""
    if not trace.target.spec:
        yield f"that is the built-in ViT; name your model: vit-trace explain timm:vit_base_patch16_224 {subject}"


def _require_stages(trace: Trace, name: str) -> list[Stage]:
    """The stages of a name. Raises Refused."""
    stages = stages_named(trace, name)
    if not stages:
        near = near_names(name, [stage.name for stage in trace.stages])
        help = (f"did you mean {', '.join(near)}?",) if near else ()
        raise refuse("no-such-stage", f"no stage is named {name}", help=help)
    return stages
