"""Lists the model's own source, each line with what it made, from what lines bound and from the stages of a trace."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.trace import Line, Listed, Note, NoteKind, Parameter, TensorSpec, Trace
from vit_trace.base.words import message_text
from vit_trace.record.source.statements import Function, Range, class_header
from vit_trace.record.source.steps import Steps, cut_text, joined_lines, without_self

if TYPE_CHECKING:
    from vit_trace.record.source.heard import Bound, Call, Execution, Heard, Made, Value

MANY_NUMBERS = 4
"""Above this many different numbers bound by one line, only the first and the last are shown."""

LONGEST_SIDE = 48
"""Characters of one side of a conditional expression; longer ones are cut off."""

Placed = dict[int, Counter[Note]]
"""By line, the notes of one call and how often each was made."""


def listed(trace_it: Callable[[], Trace]) -> Trace:
    """trace_it(), heard line by line: the trace it returns, with its listing. Imports torch."""
    from vit_trace.record.source.lines import Lines, listening

    lines = Lines()
    with listening(lines):
        trace = trace_it()
    heard = lines.of(trace)
    if heard is None:
        return trace
    mixed = _mixed_by_line(trace)
    return replace(trace, listing=tuple(_mixing(_told(one, trace), mixed) for one in _Lister(trace, heard).listed()))


def _mixed_by_line(trace: Trace) -> Mapping[tuple[str, int], tuple[str, ...]]:
    """What the innermost stages of each line mix, in words."""
    inner, found = {stage.parent for stage in trace.stages}, defaultdict[tuple[str, int], dict[str, None]](dict)
    for stage in trace.stages:
        if stage.source is not None and stage.index not in inner:
            words = {word: None for word in stage.mixes or () if not word.isdigit()}
            found[stage.source.file, stage.source.line] |= words
    return {place: tuple(words) for place, words in found.items()}


def _mixing(listed: Listed, mixed: Mapping[tuple[str, int], tuple[str, ...]]) -> Listed:
    """The code with what the steps of each line mix."""
    lines = (replace(line, mixes=mixed.get((listed.file, line.line), ())) for line in listed.lines)
    return replace(listed, lines=tuple(lines))


def _told(listed: Listed, trace: Trace) -> Listed:
    """The code with what failed beside the line that did, and beside those that led to it where it happened."""
    failure = trace.failure
    lines = [line.line for line in listed.lines if any(note.kind == "raise" for note in line.notes)]
    if failure is None or not lines:
        return listed
    span, stage = failure.span, trace.stages[failure.stage] if failure.stage is not None else None
    here = 0
    if span is not None and span.file == listed.file and listed.lines[0].line <= span.line <= listed.lines[-1].line:
        here = max((line for line in lines if line <= span.line), default=0)
    where = f"in {stage.name}" if stage is not None and stage.name else ""
    kind, _, said = failure.exception.partition(": ")
    why = message_text(kind, said).partition("\n")[0]

    def of(line: Line, note: Note) -> Note:
        if note.kind != "raise":
            return note
        if line.line != here:
            return replace(note, value=where)
        return replace(note, name=f"{note.name}:", value=why) if why else note

    told = (replace(line, notes=tuple(of(line, note) for note in line.notes)) for line in listed.lines)
    return replace(listed, lines=tuple(told))


class _Lister:
    """Works the listing out of the calls that were heard."""

    def __init__(self, trace: Trace, heard: Heard) -> None:
        self.trace = trace
        self.parameters: dict[str, Parameter] = {parameter.name: parameter for parameter in trace.parameters}
        self.formulas = {(record.module, record.name): record for record in trace.construction}
        self.steps = Steps(trace)
        self.constructors = [call for call in heard.constructors if call.module is not None]
        self.forwards = heard.forwards

    def listed(self) -> Iterator[Listed]:
        calls: dict[str, list[Call]] = {}
        for call in (*self.constructors, *self.forwards):
            calls.setdefault(key(call), []).append(call)
        seen = ""
        for name in self.order():
            listed = self.function(calls[name])
            if not _has_content(listed, calls[name][-1].stage >= 0, calls[name][0].of_module):
                continue
            if listed.class_ and (scope := f"{listed.file}:{listed.class_}") != seen:
                number, text = class_header(listed.file, listed.class_.rpartition(".")[2], listed.lines[0].line)
                if text:
                    head = tuple(Line(line, written) for line, written in enumerate(text, number))
                    yield Listed(listed.file, listed.class_, "", head)
                seen = scope
            elif not listed.class_:
                seen = ""
            yield listed

    def order(self) -> list[str]:
        """Keys of functions: classes as the data meets them, constructors first; helpers after their first caller."""
        scopes: dict[str, list[str]] = {}
        for call in self.forwards:
            scopes.setdefault(_scope_of(call.function), []).append(key(call))
        behind = next(iter(scopes), "")
        after: dict[str, list[str]] = {}
        for call in self.constructors:
            scope = _scope_of(call.function)
            if scope not in scopes:
                after.setdefault(behind, []).append(key(call))
            elif call.function.is_constructor:
                scopes[scope].insert(0, key(call))
                behind = scope
            else:
                scopes[scope].append(key(call))
        names = [name for scope in scopes for name in (*scopes[scope], *after.pop(scope, ()))]
        return list(dict.fromkeys([*names, *(name for rest in after.values() for name in rest)]))

    def function(self, calls: list[Call]) -> Listed:
        """All calls of one function as one listing."""
        function = calls[0].function
        notes = _merged([(call.module or "", self.call_notes(call)) for call in calls])
        ran = _lines_that_ran(function, calls)
        texts = dict(enumerate(function.lines, function.first)) or dict.fromkeys(sorted({function.first, *notes}), "")
        lines = tuple(Line(number, text, number in ran, tuple(notes.get(number, ()))) for number, text in texts.items())
        modules = tuple(dict.fromkeys(call.module or "" for call in calls))
        owner = _owner_of(function)
        name = function.name.removeprefix(f"{owner}.")
        return Listed(function.file, owner, name, lines, modules, len(calls), function.problem)

    def call_notes(self, call: Call) -> Placed:
        """What the statements of one call made, by line."""
        notes: Placed = defaultdict(Counter)
        for line, note in (*_branches(call), *(pair for run in call.runs for pair in self.run_notes(call, run))):
            notes[line][note] += 1
        return {line: _shorten_numbers(made) for line, made in notes.items()}

    def run_notes(self, call: Call, run: Execution) -> Iterator[tuple[int, Note]]:
        """The steps of one run of a statement, then what it bound; neighbours that are alike share a note."""
        steps = self.steps.notes(call, run, [spec for bound in run.bound for spec in self.tensors(call, bound)])
        yield from ((run.unit.last, note) for note in steps)
        follows = bool(steps) and steps[-1].kind == "step"
        for _, alike in groupby((bound for bound in run.bound if bound.name != "_"), _likeness):
            group = list({(without_self(each.name), each.value): each for each in alike}.values())
            bound = group[0]
            name = ", ".join(without_self(each.name) for each in group)
            kind: NoteKind = bound.kind  # type: ignore[assignment]  # the kinds of Bound are kinds of Note
            if bound.value is None:
                yield bound.line, Note(kind, name)
            elif _tensors_bound(bound.value):
                yield bound.line, Note(kind, name, self.tensors(call, bound), follows=follows)
            else:
                formulas = [self.formula(call, each) for each in group]
                texts = (f"{each.value:.6g}" if isinstance(each.value, float) else str(each.value) for each in group)
                value = ", ".join(texts)
                yield bound.line, Note(kind, name, (), value, ", ".join(formulas) if all(formulas) else "")

    def tensors(self, call: Call, bound: Bound) -> tuple[TensorSpec, ...]:
        """The tensors a line bound, with the formulas of the stage or parameter that they are."""
        attribute = bound.name.partition(".")[2]
        own = ".".join(filter(None, (call.module, attribute))) if attribute and call.stage < 0 else ""
        return tuple(self.tensor(made, own) for made in _tensors_bound(bound.value))

    def tensor(self, made: Made, own: str) -> TensorSpec:
        spec, maker = made.spec, made.maker
        path = spec.path if spec.path[:1] == "." or spec.path[:2] == "['" else ""  # a name says something, a place not
        found: TensorSpec | Parameter | None = self.parameters.get(own)
        if maker is not None and maker.output is not None:
            if isinstance(maker.by, str):
                found = self.parameters.get(maker.by)
            else:
                stages = self.trace.stages[maker.by : maker.by + 1]
                found = next((output for stage in stages for output in stage.outputs[maker.output :]), None)
        if found is None or found.shape != spec.shape:
            return replace(spec, path=path)
        return TensorSpec(path, spec.shape, found.dims, spec.dtype, found.constant)

    def formula(self, call: Call, bound: Bound) -> str:
        """The formula of a number that a constructor worked out."""
        record = self.formulas.get((call.module or "", bound.name.rpartition(".")[2])) if call.stage < 0 else None
        return record.formula or "" if record is not None and record.value == bound.value else ""


def key(call: Call) -> str:
    return f"{call.function.file}:{call.function.first}:{call.function.name}"


def _owner_of(function: Function) -> str:
    """The class of a method; "" for a function."""
    owner = function.name.rpartition(".")[0]
    return "" if owner.endswith("<locals>") else owner


def _scope_of(function: Function) -> str:
    """The class of a method, or the function itself."""
    owner = _owner_of(function)
    return f"{function.file}:{f'{owner}.' if owner else function.name}"


def _has_content(listed: Listed, in_forward: bool, of_module: bool) -> bool:
    """Whether a function has anything to say: what modules do, and helpers that make tensors, or sizes at construction.

    Functions that only query (is this a tensor, is there a mask) are omitted.
    """
    notes = [note for line in listed.lines for note in line.notes]
    if of_module and listed.function in ("__init__", "forward"):
        return bool(notes) or listed.function == "forward"
    made = [note for note in notes if note.kind not in ("argument", "branch", "raise")]
    if of_module or (not in_forward and not listed.class_):
        return bool(made)
    return any(note.tensors and note.kind in ("return", "yield") for note in made)


def _tensors_bound(value: Value | None) -> tuple[Made, ...]:
    """The tensors that a value holds; () for numbers."""
    return value if isinstance(value, tuple) and value and not isinstance(value[0], int) else ()


def _likeness(bound: Bound) -> object:
    """What neighbours that share a note have in common; what stands alone has a thing of its own."""
    made = _tensors_bound(bound.value)
    if bound.value is None or bound.kind == "parameter" or len(made) > 1:
        return object()
    return bound.kind, bound.line, [one.spec.shape for one in made]


def _shorten_numbers(made: Counter[Note]) -> Counter[Note]:
    ends = _ends_of(made)
    return Counter(ends.get(note, note) for note in made.elements())


def _ends_of(notes: Iterable[Note]) -> dict[Note, Note]:
    """For each note of one of many different numbers of one name, the note of the first and the last of them."""
    slots: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        if note.value:
            slots.setdefault((note.kind, note.name), []).append(note)
    many = [same for same in slots.values() if len(same) > MANY_NUMBERS]
    ends = [replace(same[0], value=f"{same[0].value} … {same[-1].value}", formula="") for same in many]
    return {note: end for same, end in zip(many, ends, strict=True) for note in same}


def _merged(calls: list[tuple[str, Placed]]) -> dict[int, list[Note]]:
    """By line, what all calls made; where calls differ, each note names the modules that made it."""
    found: dict[int, dict[tuple[Note, int], list[str]]] = {}
    for module, placed in calls:
        for line, made in placed.items():
            for note, times in made.items():
                found.setdefault(line, {}).setdefault((note, times), []).append(module)
    everywhere = {module for module, _ in calls}
    return {line: list(_variants(_joined(notes), everywhere)) for line, notes in found.items()}


def _joined(notes: dict[tuple[Note, int], list[str]]) -> dict[tuple[Note, int], list[str]]:
    """Notes that differ only in whether a step came before them, as one, behind the steps."""
    together: dict[tuple[Note, int], list[str]] = {}
    for (note, times), modules in notes.items():
        bare = replace(note, follows=False), times
        other = replace(note, follows=not note.follows), times
        if other not in notes:
            together[note, times] = modules
        else:
            together[bare] = [*together.pop(bare, ()), *modules]
    return together


def _variants(notes: dict[tuple[Note, int], list[str]], everywhere: set[str]) -> Iterator[Note]:
    ends = _ends_of(note for note, _ in notes)
    yielded: set[Note] = set()
    for (note, times), modules in notes.items():
        if (end := ends.get(note)) is None:
            where = () if set(modules) == everywhere else tuple(dict.fromkeys(modules))
            yield replace(note, times=times, modules=where)
        elif end not in yielded:
            yielded.add(end)
            yield end


def _lines_that_ran(function: Function, calls: list[Call]) -> set[int]:
    """Numbers of the lines that are part of what ran; a line between statements goes with what follows it."""
    heard = {line for call in calls for line in call.ran}
    sides = {side for call in calls for side in call.sides}
    ran = {
        line
        for line, unit in function.units.items()
        if unit.kind == "head" or heard & lines_between(unit.first, unit.last)
    }
    for place, choice in enumerate(function.choices):
        if ((place, True) in sides) != ((place, False) in sides):
            side, other = (choice.yes, choice.no) if (place, False) in sides else (choice.no, choice.yes)
            shared = lines_between(other[0], other[2]) | lines_between(choice.test[0], choice.test[2]) | {choice.first}
            ran -= lines_between(side[0], side[2]) - shared  # lines that hold nothing but the side that was not taken
    if not function.lines:
        return heard | {function.first}
    following = True
    for number in range(function.last, function.first - 1, -1):
        if number in function.units:
            following = number in ran
        elif following:
            ran.add(number)
    return ran | lines_between(function.first, function.head)


def lines_between(first: int, last: int) -> set[int]:
    return set(range(first, last + 1))


def _branches(call: Call) -> Iterator[tuple[int, Note]]:
    """Which side of each conditional expression on one line was taken."""
    for place, choice in enumerate(call.function.choices):
        taken = [side for side in (True, False) if (place, side) in call.sides]
        if len(taken) == 1:
            text = without_self(joined_lines(_source_of(call.function, choice.yes if taken[0] else choice.no)))
            yield choice.no[2], Note("branch", cut_text(text, LONGEST_SIDE))


def _source_of(function: Function, part: Range) -> str:
    """The text of a part of the function."""
    first, start, last, end = part
    lines = [line.encode() for line in function.lines[first - function.first : last - function.first + 1]]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return b"\n".join(lines).decode()
