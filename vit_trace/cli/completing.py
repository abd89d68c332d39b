"""Completes a command line for bash, zsh and fish: verbs, flags, their values, models, codes, stages of a saved trace.

The shell's script gives the line up to the cursor in an environment variable; neither torch nor a library is imported.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.cli.verbs import DEFAULT, load_verb, verb_names

if TYPE_CHECKING:
    from vit_trace.cli.options import Option

SHELL, LINE, BREAKS = "_VIT_TRACE_COMPLETE", "_VIT_TRACE_LINE", "_VIT_TRACE_BREAKS"
"""Variables that the scripts set: the shell, the line up to the cursor, the signs at which bash breaks words."""

SCRIPTS = {
    "bash": f"""\
_vit_trace() {{
    local IFS=$'\\n'
    COMPREPLY=( $({SHELL}=bash {LINE}="${{COMP_LINE:0:COMP_POINT}}" {BREAKS}="$COMP_WORDBREAKS" "$1" 2>/dev/null) )
    [[ ${{#COMPREPLY[@]}} == 1 && $COMPREPLY == *[:=/,] ]] && compopt -o nospace
}}
complete -o default -F _vit_trace vit-trace""",
    "zsh": f"""\
#compdef vit-trace
_vit_trace() {{
    local -a found
    local one
    found=("${{(@f)$({SHELL}=zsh {LINE}="${{(j: :)words[1,CURRENT]}}" $words[1] 2>/dev/null)}}")
    [[ -z "$found" ]] && {{ _files; return }}
    for one in $found; do
        [[ $one == *[:=/,] ]] && compadd -S '' -- $one || compadd -- $one
    done
}}
compdef _vit_trace vit-trace""",
    "fish": f"""\
function __vit_trace
    {SHELL}=fish {LINE}=(commandline -cp) vit-trace 2>/dev/null
end
complete -c vit-trace -f -a '(__vit_trace)'""",
}
"""What a shell runs once to complete vit-trace."""

STARTUP = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/completions/vit-trace.fish"}
"""Files where the scripts go; in the first two, a line that reads them."""

SPECS = ("spec", "specs", "spec_or_what")
ENDINGS = {"specs": (".yaml", ".yml", ".py", ".json"), "file": (".json",), "words": (".py",), "script": (".py",)}
"""Endings of the files that an argument takes."""


class _Offer(NamedTuple):
    """Something that fits, with a word on it."""

    text: str
    about: str = ""


def completions(line: str) -> list[_Offer]:
    """What may stand in place of the last word of a line."""
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        words = line.split()
    last = words.pop() if len(words) > 1 and not line[-1:].isspace() else ""
    _, *before = words or ["vit-trace"]
    offers = [one for one in _offers(before, last) if one.text.startswith(last)]
    return sorted(dict.fromkeys(offers)) if len(offers) < 2 or last.startswith("-") else list(dict.fromkeys(offers))


def _offers(before: Sequence[str], last: str) -> Iterator[_Offer]:
    """All that may follow some words."""
    named = bool(before) and before[0] in verb_names()
    options: Sequence[Option] = load_verb(before[0] if named else DEFAULT).options  # type: ignore[attr-defined]
    flags = {flag: one for one in options if not one.positional for flag in one.names}
    rest = before[1:] if named else before
    previous = flags.get(rest[-1]) if rest else None
    if previous is not None and previous.takes_value:
        yield from _values(previous, last, rest)
    elif last.startswith("--") and "=" in last:
        flag, _, typed = last.partition("=")
        if flag in flags:
            yield from (_Offer(f"{flag}={one.text}", one.about) for one in _values(flags[flag], typed, rest))
    elif last.startswith("-"):
        yield from (_Offer(name, one.help) for name, one in flags.items())
        yield from (_Offer(name) for name in ("--help", *(() if named else ("--version",))))
    else:
        if not before:
            yield from (_Offer(name, (load_verb(name).__doc__ or "").split("\n")[0]) for name in verb_names())
        yield from _arguments(options, flags, rest, last)


def _arguments(options: Iterable[Option], flags: dict[str, Option], rest: Sequence[str], last: str) -> Iterator[_Offer]:
    """What may be the next argument that is no option."""
    taken = [
        word
        for place, word in enumerate(rest)
        if not word.startswith("-") and not (place and (one := flags.get(rest[place - 1])) and one.takes_value)
    ]
    places = [one for one in options if one.positional]
    if not places or (len(taken) >= len(places) and places[-1].default != ()):
        return
    one = places[min(len(taken), len(places) - 1)]
    if one.name in SPECS or one.name == "pattern":
        yield from _specs(last)
    if one.name in ("what", "spec_or_what"):
        yield from _codes()
    if one.name in (*SPECS, "file", "words"):
        yield from _files(last, ENDINGS.get(one.name, ENDINGS["specs"]))


def _values(option: Option, last: str, rest: Sequence[str]) -> Iterator[_Offer]:
    """What may be the value of an option."""
    from vit_trace.view.screen import COLUMNS

    listed: dict[str, Callable[[], Iterable[_Offer]]] = {
        "columns": lambda: map(_Offer, COLUMNS),
        "select": _codes,
        "ignore": _codes,
    }
    if option.choices or option.offers:
        yield from map(_Offer, option.choices or option.offers)
    elif option.name in listed:  # with commas
        kept = last[: last.rfind(",") + 1]
        yield from (_Offer(f"{kept}{one.text}", one.about) for one in listed[option.name]())
    elif option.name == "stage":
        yield from _stages(rest)
    elif "|" in str(option.metavar) and str(option.metavar).islower():
        yield from map(_Offer, str(option.metavar).split("|"))
    elif option.metavar == "SPEC":
        yield from _specs(last)
        yield from _files(last, ENDINGS["specs"])
    elif option.metavar == "FILE":
        yield from _files(last, ("",))


def _specs(last: str) -> Iterator[_Offer]:
    """Specs of installed libraries: their prefixes, then the names of one."""
    from vit_trace.targets.defined import FINDERS, scanned_names

    prefix, colon, _ = last.partition(":")
    if colon:
        yield from (_Offer(f"{prefix}:{name}") for name in (scanned_names(prefix) if prefix in FINDERS else ()))
        if prefix.endswith(".py") and os.path.isfile(prefix):
            from vit_trace.targets.contents import names_defined

            yield from (_Offer(f"{prefix}:{name}") for name in names_defined(prefix))
    else:
        yield from (_Offer(f"{one}:") for one in FINDERS)


def _codes() -> Iterator[_Offer]:
    import vit_trace.render.codes  # noqa: F401  # registers all
    from vit_trace.codes.registry import MEANINGS

    yield from (_Offer(code, text.split("\n")[0]) for code, text in sorted(MEANINGS.items()))


def _stages(rest: Sequence[str]) -> Iterator[_Offer]:
    """The names of the stages of the saved trace that the line names."""
    from vit_trace.base.refused import Refused
    from vit_trace.cli.tracing import read_trace

    for word in rest:
        if word.endswith(".json") and os.path.isfile(word):
            try:
                yield from (
                    _Offer(name) for name in dict.fromkeys(stage.name for stage in read_trace(Path(word)).stages)
                )
            except Refused:
                return


def _files(last: str, endings: tuple[str, ...]) -> Iterator[_Offer]:
    """Directories, and files of some endings, that a path begins."""
    folder, _, begun = last.rpartition("/")
    start = f"{folder}/" if "/" in last else ""
    try:
        entries = sorted(os.scandir(start or "."), key=lambda one: one.name)
    except OSError:
        return
    for one in entries:
        if one.name.startswith(begun or ".") == bool(begun):
            if one.is_dir():
                yield _Offer(f"{start}{one.name}/")
            elif one.name.endswith(endings):
                yield _Offer(f"{start}{one.name}")


def answer(shell: str) -> str:
    """The lines that a shell's script reads."""
    line = os.environ.get(LINE, "")
    found = completions(line)
    if shell == "fish":
        return "\n".join(f"{one.text}\t{one.about}" if one.about else one.text for one in found)
    kept = 0
    if shell == "bash" and not line[-1:].isspace():  # bash completes only what follows the last sign that breaks words
        last = line.split()[-1] if line.split() else ""
        kept = max((last.rfind(sign) + 1 for sign in ":=" if sign in os.environ.get(BREAKS, ":=")), default=0)
    return "\n".join(
        shlex.quote(one.text)[kept:] if shlex.quote(one.text) == one.text else one.text[kept:] for one in found
    )


def script_of(shell: str) -> str:
    """What a shell runs to complete vit-trace. Raises Refused for another shell."""
    from vit_trace.base.refused import require_known

    require_known("--show-completion", shell, tuple(SCRIPTS))
    return SCRIPTS[shell]


def install_script(shell: str) -> Path:
    """Write the script where the shell reads it at its start; the file. Raises Refused."""
    from vit_trace.base.refused import refuse

    file, script = Path(STARTUP[shell]).expanduser() if shell in STARTUP else Path(), script_of(shell)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if shell == "fish":
            file.write_text(f"{script}\n")
        elif script not in (before := file.read_text() if file.exists() else ""):
            begun = "autoload -Uz compinit && compinit\n" if shell == "zsh" and "compinit" not in before else ""
            file.write_text(f"{before}\n{begun}{script}\n")
    except OSError as error:
        raise refuse(
            "cannot-write", f"{file}: {error.strerror}", help=("vit-trace --show-completion prints it",)
        ) from None
    return file
