"""vit_trace.render.diagnostics: what a diagnostic looks like, and that hostile text cannot break it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from vit_trace.base.trace import Diagnostic, Label, Source
from vit_trace.config import ConfigError, load
from vit_trace.render.diagnostics import concise, diagnostic_lines, print_diagnostic


def span(text: str, column: int, end: int, line: int = 2, file: str = "configs/mine.yaml") -> Source:
    return Source(file, line, line + text.count("\n"), column, end, text)


def found(source: Source | None, message: str = "it is wrong", **more: tuple[str, ...]) -> Diagnostic:
    return Diagnostic("some-code", "error", message, source, more.get("notes", ()), more.get("help", ()))


def page(diagnostic: Diagnostic, width: int | None = None) -> str:
    return "\n".join(line.plain for line in diagnostic_lines(diagnostic, width))


def caret(diagnostic: Diagnostic, width: int | None = None) -> tuple[str, str]:
    """The text above the carets of the last source line, and its carets, cut out by terminal cells."""
    *_, source, carets = [line.split("| ", 1)[1] for line in page(diagnostic, width).split("\n") if "| " in line]
    start, end = carets.index("^"), len(carets.rstrip())
    cells = [(character, cell_len(source[:index])) for index, character in enumerate(source)]
    return "".join(character for character, cell in cells if start <= cell < end), carets[start:end]


PATCH = Diagnostic(
    code="patch-divides-image",
    severity="error",
    message="image height 250 is not a multiple of patch height 32",
    span=span("image_size: 250", 12, 15),
    notes=("250 = 7 · 32 + 26",),
    help=("224 and 256 are the nearest multiples of 32; or patch 25 or 50 divides 250",),
)

PAGES = [
    (
        PATCH,
        """\
error[patch-divides-image]: image height 250 is not a multiple of patch height 32
 --> configs/mine.yaml:2:13
  |
2 | image_size: 250
  |             ^^^ 250 = 7 · 32 + 26
help: 224 and 256 are the nearest multiples of 32; or patch 25 or 50 divides 250""",
    ),
    (
        found(span("--dim abc", 6, 9, 1, "command line"), notes=("one", "two")),
        """\
error[some-code]: it is wrong
 --> command line
  |
  | --dim abc
  |       ^^^ one
note: two""",
    ),
    (
        found(span("x = f(\n    a,\n)", 4, 1, 9)),
        """\
error[some-code]: it is wrong
  --> configs/mine.yaml:9:5
   |
 9 | x = f(
   |     ^^
10 |     a,
   |     ^^
11 | )
   | ^""",
    ),
    (
        found(span("\n".join(f"line {i}" for i in range(100)), 5, 7, 1)),
        """\
error[some-code]: it is wrong
   --> configs/mine.yaml:1:6
    |
  1 | line 0
    |      ^
  2 | line 1
    | ^^^^^^
  3 | line 2
    | ^^^^^^
  4 | line 3
    | ^^^^^^
...
100 | line 99
    | ^^^^^^^""",
    ),
    (found(None, notes=("n",), help=("h",)), "error[some-code]: it is wrong\nnote: n\nhelp: h"),
    (found(span("", 0, 0)), "error[some-code]: it is wrong\n --> configs/mine.yaml:2:1"),
    # A span that holds its own text only, as recorded calls do, is moved to its column.
    (
        found(span("torch.cat(x)", 8, 20, 7, "vit.py")),
        """\
error[some-code]: it is wrong
 --> vit.py:7:9
  |
7 |         torch.cat(x)
  |         ^^^^^^^^^^^^""",
    ),
    # What a terminal would obey or move by is written out.
    (
        found(span("\ta: \x1b[31m\u202eb", 10, 11)),
        """\
error[some-code]: it is wrong
 --> configs/mine.yaml:2:11
  |
2 |     a: \\x1b[31m\\u202eb
  |                      ^""",
    ),
    # An empty value has one caret where it should stand.
    (
        found(span("dim:", 4, 4, 1)),
        """\
error[some-code]: it is wrong
 --> configs/mine.yaml:1:5
  |
1 | dim:
  |     ^""",
    ),
]


@pytest.mark.parametrize(("diagnostic", "expected"), PAGES)
def test_page(diagnostic: Diagnostic, expected: str) -> None:
    assert page(diagnostic) == expected


def test_concise_counts_from_one() -> None:
    message = "image height 250 is not a multiple of patch height 32"
    assert concise(PATCH) == f"configs/mine.yaml:2:13: error[patch-divides-image]: {message}"
    assert concise(found(None, "a\nb")) == "error[some-code]: a\\nb"


# text with the span between « and »
ALIGNED = [
    "dim: «abc»",
    "\tdim:\t«abc» # tab",
    "模型: «宽度» 1",
    "é: «x»",
    "e\u0301: «x»",
    "👩: «xyz»!",
    "a\x1b[31m: «b»",
    "x" * 50 + "«mid»" + "y" * 100_000,
    "x" * 100_000 + "«mid»" + "y" * 100_000,
    "x" * 100_000 + "«end»",
    "宽" * 5000 + "«mid»" + "宽" * 5000,
    "\t" * 5000 + "«mid»" + "\t" * 5000,
]


@pytest.mark.parametrize("width", [None, 40, 80, 120])
@pytest.mark.parametrize("marked", ALIGNED, ids=lambda text: repr(text[:12]))
def test_carets_are_under_the_span(marked: str, width: int | None) -> None:
    before, inside, after = re.split("[«»]", marked)
    source = span(before + inside + after, len(before), len(before) + len(inside))
    text, carets = caret(found(source), width)
    assert text == inside and carets == "^" * cell_len(inside)
    assert all(cell_len(line) <= (width or 180) for line in page(found(source), width).split("\n"))


def test_span_longer_than_the_screen_starts_in_sight() -> None:
    source = span("a: " + "[" * 100_000, 3, 100_003)
    lines = page(found(source), 80).split("\n")
    assert lines[3].startswith("2 | a: [[[") and lines[3].endswith("[…")
    assert lines[4].startswith("  |    ^^^^") and len(lines[4]) <= 80


LONG = " ".join(f"word{i}" for i in range(60))


def test_wraps_on_words_with_a_hanging_indent() -> None:
    diagnostic = found(None, LONG, notes=(LONG,), help=(LONG + "\nsecond line",))
    lines = page(diagnostic, 80).split("\n")
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("error[some-code]: word0") and lines[1].startswith("  word")
    note = next(index for index, line in enumerate(lines) if line.startswith("note: word0 "))
    assert lines[note + 1].startswith("      word")
    assert lines[-1] == "      second line"
    assert " ".join(" ".join(lines).split()).count(LONG) == 3


def test_long_words_stay_whole() -> None:
    path = "/" + "x" * 200
    assert any(path in line for line in page(found(None, f"there is no file {path} here"), 40).split("\n"))


def printed(diagnostic: Diagnostic, **options: object) -> str:
    stream = io.StringIO()
    console = Console(file=stream, **{"width": 60, **options})  # type: ignore[arg-type]
    print_diagnostic(console, diagnostic)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


def test_piped_output_is_plain_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    diagnostic = found(span("dim: abc", 5, 8), LONG, help=(LONG,))
    assert printed(diagnostic, force_terminal=False) == page(diagnostic) + "\n"
    monkeypatch.setenv("COLUMNS", "60")
    assert printed(diagnostic, force_terminal=False) == page(diagnostic, 60) + "\n"


def test_terminal_output_is_coloured_and_wrapped() -> None:
    diagnostic = found(span("dim: abc", 5, 8), LONG, help=(LONG,))
    text = printed(diagnostic, force_terminal=True, color_system="standard")
    assert "\x1b[1;31merror[some-code]: \x1b[0m" in text and "\x1b[36mhelp: \x1b[0m" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == page(diagnostic, 60) + "\n"


@pytest.mark.parametrize("severity", ["error", "warning", "note"])
def test_every_severity_has_a_style_and_a_word(severity: str) -> None:
    diagnostic = Diagnostic("c", severity, "m")  # type: ignore[arg-type]
    assert page(diagnostic) == f"{severity}[c]: m"


MARKUP = "[b, n, d] [red]x[/red] [/] :smile: [link=https://x]"


def test_markup_is_printed_verbatim() -> None:
    diagnostic = found(span(MARKUP, 0, 3, file="[b].yaml"), MARKUP, notes=("n", MARKUP), help=(MARKUP,))
    text = printed(diagnostic, width=200)
    assert text.count(MARKUP) == 4 and "[b].yaml:2:1" in text


hostile = st.text(st.characters(), max_size=60) | st.sampled_from(["\x1b[2J", "\u202e", "\udcff", "a\r", "\x9b31m"])


@given(text=hostile, message=hostile, extra=hostile, width=st.none() | st.integers(1, 200), data=st.data())
@settings(deadline=None)
def test_nothing_hostile_reaches_the_terminal(
    text: str, message: str, extra: str, width: int | None, data: st.DataObject
) -> None:
    column, end = sorted((data.draw(st.integers(0, 80)), data.draw(st.integers(0, 80))))
    diagnostic = found(span(text, column, end, file=extra), message, notes=(extra, message), help=(extra,))
    text = page(diagnostic, width)
    assert all(character.isprintable() for character in text.replace("\n", ""))
    text.encode()
    assert concise(diagnostic).isprintable()


@pytest.mark.parametrize("name", ["\ud800", "a\ud800b.py", "a\0b.py"])
def test_a_file_name_that_no_file_system_takes_is_shown_without_its_lines(name: str) -> None:
    assert "it is wrong" in page(found(span("x = 1", 0, 1, file=name)))


def test_a_real_flag_and_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# mine\nimage_size: 250\n", encoding="utf-8")
    with pytest.raises(ConfigError) as of_file:
        load(path)
    with pytest.raises(ConfigError) as of_flag:
        load(None, {"image_size": "250"})
    tail = (
        "note: patch_size 32 is the default: it was not given\n"
        "help: 224 and 256 are the nearest multiples of 32; or patch 25 or 50 divides 250"
    )
    head = "error[patch-divides-image]: image height 250 is not a multiple of patch height 32\n"
    label = "^^^ 250 = 7 · 32 + 26\n"
    expected = f"{head} --> {path}:2:13\n  |\n2 | image_size: 250\n  |             {label}{tail}"
    assert page(of_file.value.diagnostics[0]) == expected
    expected = f"{head} --> command line\n  |\n  | --image-size 250\n  |              {label}{tail}"
    assert page(of_flag.value.diagnostics[0]) == expected


@pytest.mark.parametrize("width", range(60, 130, 3))
def test_marks_stand_under_what_they_mark_on_a_line_that_is_cut(width, tmp_path):
    text = "        first = alpha(beta); return torch.cat([self.cls.expand(len(first), -1), first], dim=1)  # and more"
    file = tmp_path / "line.py"
    file.write_text(f"def forward(self):\n{text}\n")

    def place(part: str) -> Source:
        column = text.index(part)
        return Source(str(file), 2, 2, column, column + len(part), part)

    whole = place("torch.cat([self.cls.expand(len(first), -1), first], dim=1)")
    last = text.index("-1), first") + len("-1), ")
    marks = [
        Label(place("self.cls.expand(len(first), -1)"), "2×8"),
        Label(Source(str(file), 2, 2, last, last + len("first"), "first"), "2×9×8"),
    ]
    wrong = Diagnostic("cat", "error", "they do not fit", whole, labels=tuple(marks))
    lines = [line.split("| ", 1)[1] for line in page(wrong, width).split("\n") if "| " in line]
    source, carets = lines[0], lines[1]
    runs = [(found.start(), found.end()) for found in re.finditer(r"\^+", carets)]
    under = [source[start:end].rstrip("…") for start, end in runs]
    assert under
    assert all(part and any(one.span.text.startswith(part) for one in (*marks, Label(whole, ""))) for part in under)
