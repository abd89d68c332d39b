"""Chooses which warnings and notes of `check` count: --select and --ignore, pyproject.toml, comments in a YAML file.

Errors always count. `# vit-trace: ignore[CODE]` behind a value is for its line, alone on a line for the file; without
codes it is for all. A code may be the beginning of codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from vit_trace.base.refused import refuse
from vit_trace.check.verdict import Verdict
from vit_trace.config.files import MAX_BYTES, FileProblem, read_regular
from vit_trace.targets.found import config_of_spec

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic

COMMENT = re.compile(r"#\s*vit-trace:\s*ignore(?:\[([^\]]*)\])?")
PROJECT = "pyproject.toml"
MAX_PROJECT = 2**20
"""Bytes of the largest pyproject.toml that is read."""


class Codes(NamedTuple):
    """Codes, or their beginnings: with `select` only these count, and never those of `ignore`."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def counts(self, code: str) -> bool:
        return (not self.select or code.startswith(self.select)) and not (self.ignore and code.startswith(self.ignore))


def codes_of(select: Iterable[str], ignore: Iterable[str]) -> Codes:
    """What the command line chooses; what it leaves open, the nearest pyproject.toml does. Raises Refused."""
    held = _project_table()
    given = {"select": _split(select), "ignore": _split(ignore)}
    found = {name: codes or _listed(name, held.get(name, [])) for name, codes in given.items()}
    for name, codes in found.items():
        _require_codes(name, codes)
    return Codes(**found)


def _split(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(code.strip() for text in texts for code in text.split(",") if code.strip())


def _listed(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        message = f"{name} in [tool.vit-trace] of {PROJECT} is not a list of codes"
        raise refuse("bad-value", message, help=(f'{name} = ["sequence"]',))
    return _split(value)


def _require_codes(name: str, codes: Sequence[str]) -> None:
    """Refuse what no code begins with. Raises Refused."""
    if not codes:
        return
    import vit_trace.codes.meanings  # noqa: F401  # as those below, it registers codes
    from vit_trace.base.modules import import_all
    from vit_trace.codes.registry import MEANINGS

    for package in ("check.rules", "diagnose.silent", "weights.causes"):
        import_all(f"vit_trace.{package}")
    for code in codes:
        if not any(known.startswith(code) for known in MEANINGS):
            near = get_close_matches(code, MEANINGS, 1)
            help = f"did you mean {near[0]}?" if near else "vit-trace explain codes lists them"
            raise refuse("unknown-value", f"{name} {code}: no code begins so", help=(help,))


def _project_table() -> dict[str, object]:
    """[tool.vit-trace] of the nearest pyproject.toml; {} where there is none. Raises Refused."""
    here = Path.cwd()
    file = next((folder / PROJECT for folder in (here, *here.parents) if (folder / PROJECT).is_file()), None)
    if file is None:
        return {}
    try:
        raw = read_regular(file, "a project's settings", MAX_PROJECT)
    except FileProblem:
        return {}
    if b"vit-trace" not in raw:
        return {}
    import tomllib

    try:
        table = tomllib.loads(raw.decode()).get("tool", {}).get("vit-trace", {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise refuse("bad-value", f"{file} is not TOML: {error}") from None
    return table if isinstance(table, dict) else {}


def counted(verdict: Verdict, choice: Codes) -> Verdict:
    """The verdict without what does not count."""
    if all(one.severity == "error" for one in verdict.diagnostics):
        return verdict
    named = config_of_spec(verdict.spec)
    file = str(named[0]) if named is not None else verdict.spec
    whole, by_line = _comments(file)

    def counts(one: Diagnostic) -> bool:
        line = one.span.line if one.span is not None and one.span.file == file else 0
        ignored = (*whole, *by_line.get(line, ()))
        return one.severity == "error" or (choice.counts(one.code) and not one.code.startswith(ignored or (" ",)))

    return replace(verdict, diagnostics=tuple(filter(counts, verdict.diagnostics)))


def _comments(spec: str) -> tuple[tuple[str, ...], dict[int, tuple[str, ...]]]:
    """The codes that comments of a YAML file ignore: in the whole file, and by line."""
    if not spec.endswith((".yaml", ".yml")):
        return (), {}
    try:
        text = read_regular(Path(spec), "a config", MAX_BYTES).decode(errors="replace")
    except (FileProblem, OSError, ValueError):
        return (), {}
    whole: tuple[str, ...] = ()
    by_line: dict[int, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (found := COMMENT.search(line)) is not None:
            codes = _split([found[1]]) if found[1] else ("",)
            if line.lstrip().startswith("#"):
                whole += codes
            else:
                by_line[number] = codes
    return whole, by_line
