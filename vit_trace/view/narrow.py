"""Narrows a source listing to the modules of the wanted stages."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from msgspec.structs import replace

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Listed, Note, Stage, Trace
from vit_trace.base.words import unnumbered


def require_stage(trace: Trace, pattern: str | None) -> None:
    """Refuse a glob that matches no stage. Raises Refused."""
    if pattern is None:
        return
    names = [stage.name for stage in trace.stages]
    words = [*names, *(stage.operation for stage in trace.stages)]
    if pattern and any(fnmatchcase(word, glob) for glob in (pattern, f"*.{pattern}") for word in words):
        return
    near = near_names(pattern or "*", [*names, *(name.rpartition(".")[2] for name in names)], 0.5)
    help = (f"did you mean {', '.join(near)}?",) if near else ("--stage '*norm*' matches names",)
    raise refuse("no-such-stage", f"--stage {pattern}: no stage has such a name", help=help)


def near_names(name: str, names: Sequence[str], likeness: float = 0.4) -> list[str]:
    """Names of stages that are like one that there is not, the likest first."""
    return [*dict.fromkeys(get_close_matches(name, names, 3, likeness))]


def narrowed_listing(trace: Trace, pattern: str | None) -> tuple[Listed, ...]:
    """The code of the modules that have or run the stages whose name or operation matches the glob."""
    if pattern is None:
        return trace.listing
    listed_modules = {module for listed in trace.listing for module in listed.modules}
    modules: set[str] = set()
    for stage in _matching_stages(trace, pattern) or _matching_stages(trace, f"*.{pattern}"):
        while stage.module not in listed_modules and stage.parent is not None:
            stage = trace.stages[stage.parent]
        modules.add(stage.module)
    kept = [_restricted(listed, modules) for listed in trace.listing]
    heads = {listed.class_ for listed in kept if listed.modules}
    return tuple(listed for listed in kept if listed.modules or (not listed.function and listed.class_ in heads))


def _matching_stages(trace: Trace, pattern: str) -> list[Stage]:
    names = ((stage, (stage.name, unnumbered(stage.name), stage.operation)) for stage in trace.stages)
    return [stage for stage, words in names if any(fnmatchcase(word, pattern) for word in words)]


def _restricted(listed: Listed, modules: set[str]) -> Listed:
    """The function as it ran in the given modules."""
    inside = tuple(module for module in listed.modules if module in modules)
    if inside == listed.modules:
        return listed
    lines = tuple(replace(line, notes=tuple(_restricted_notes(line.notes, inside))) for line in listed.lines)
    return replace(listed, lines=lines, modules=inside, calls=listed.calls * len(inside) // max(1, len(listed.modules)))


def _restricted_notes(notes: Sequence[Note], modules: tuple[str, ...]) -> Iterator[Note]:
    """The notes that hold in some of the modules; those that hold in all of them name none."""
    for note in notes:
        kept = tuple(module for module in note.modules if module in modules)
        if kept or not note.modules:
            yield replace(note, modules=() if set(kept) == set(modules) else kept)
