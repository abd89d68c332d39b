"""Narrows a source listing to the modules that have the wanted stages."""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec.structs import replace

from vit_trace.base.trace import Listed, Note, Stage, Trace


def narrowed(trace: Trace, pattern: str | None) -> tuple[Listed, ...]:
    """The code of the modules that have, or that run, the stages whose name or operation fits the glob."""
    if pattern is None:
        return trace.listing
    known = {module for listed in trace.listing for module in listed.modules}
    modules: set[str] = set()
    for stage in fitting(trace, pattern) or fitting(trace, f"*.{pattern}"):
        while stage.module not in known and stage.parent is not None:
            stage = trace.stages[stage.parent]
        modules.add(stage.module)
    kept = [within(listed, modules) for listed in trace.listing]
    heads = {listed.class_ for listed in kept if listed.modules}
    return tuple(listed for listed in kept if listed.modules or (not listed.function and listed.class_ in heads))


def fitting(trace: Trace, pattern: str) -> list[Stage]:
    names = ((stage, (stage.name, stage.name.split("#")[0], stage.operation)) for stage in trace.stages)
    return [stage for stage, words in names if any(fnmatchcase(word, pattern) for word in words)]


def within(listed: Listed, modules: set[str]) -> Listed:
    """The function as it ran in the given modules."""
    inside = tuple(module for module in listed.modules if module in modules)
    if inside == listed.modules:
        return listed
    lines = tuple(
        replace(line, notes=tuple(narrow(note, inside) for note in line.notes if told_in(note, inside)))
        for line in listed.lines
    )
    return replace(listed, lines=lines, modules=inside, calls=listed.calls * len(inside) // max(1, len(listed.modules)))


def told_in(note: Note, modules: tuple[str, ...]) -> bool:
    return not note.modules or any(module in modules for module in note.modules)


def narrow(note: Note, modules: tuple[str, ...]) -> Note:
    kept = tuple(module for module in note.modules if module in modules)
    return replace(note, modules=() if set(kept) == set(modules) else kept)
