"""Nothing that a model or a saved trace calls itself becomes part of a page; the page is accessible."""

import json
import os
from pathlib import Path

import pytest
from helpers.browser import chromium, watched_page

import vit_trace
from vit_trace.render.page.page import cell_of, page_of, svg_of

HIT = "window.hit=1"
PAYLOADS = [
    *(f"<{tag}>{HIT}</{tag}>" for tag in ("script", "SCRIPT", "svg><script", "style><script", "textarea><script")),
    *(f"</{tag}><script>{HIT}</script>" for tag in ("script", "style", "title", "code", "pre", "svg", "td", "summary")),
    *(f"{end}><img src=x onerror={HIT}>" for end in ("", '"', "'", "`", "-->", "]]>", "*/", "\\", "</div>", " ")),
    *(f"{end} onmouseover={HIT} x={end}" for end in ('"', "'", "")),
    *(f'<a href="{scheme}:{HIT}">x</a>' for scheme in ("javascript", "data:text/html,<script>", "vbscript")),
    *(f"{{{{{code}}}}}" for code in ("7*7", "self.__init__", "page.trace")),
    *(
        "{% raw %}",
        "{#",
        "\u2028\u2029",
        "\u202ereversed",
        "\x1b[31mred",
        "a\nb",
        "\x00",
        "&lt;script&gt;",
        "%3Cscript%3E",
    ),
    *("<meta http-equiv=refresh content=0>", "<base href=https://example.com>", "<iframe srcdoc=x>", "<!--"),
]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def saved():
    """A small trace as its JSON document, with a listing, a warning and a constructor's quantities."""
    trace = vit_trace.trace("timm:vit_tiny_patch16_224", depth=1)
    held = json.loads(trace.to_json())
    told = dict(code="x", severity="warning", message="m", span=None, notes=["n"], help=["h"], labels=[])
    held["diagnostics"].append(told)
    return held


def hostile(value, text, key=""):
    """The document with each text that is free replaced."""
    if isinstance(value, dict):
        return {name: hostile(one, text, name) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, text, key) for one in value]
    free = {"name", "module", "operation", "pattern", "file", "text", "class", "spec", "meaning", "message", "notes"}
    free |= {"help", "code", "torch", "python", "hyperparameter", "mixes", "device"}
    return text if isinstance(value, str) and key in free else value


def test_there_are_forty_payloads():
    assert len(set(PAYLOADS)) >= 40


def test_nothing_a_trace_says_is_run_or_becomes_an_element(browser, saved, tmp_path):
    page, said = watched_page(browser)
    for number, payload in enumerate(PAYLOADS):
        trace = vit_trace.Trace.from_json(json.dumps(hostile(saved, payload)))
        for made in (page_of, cell_of, svg_of):
            file = tmp_path / f"{number}{'.svg' if made is svg_of else '.html'}"
            file.write_text(made(trace), encoding="utf-8", errors="backslashreplace")
            page.goto(f"file://{file}")
            page.evaluate("document.querySelectorAll('*').forEach(one => one.dispatchEvent(new Event('mouseover')))")
            assert page.evaluate("window.hit") is None, payload
            odd = "img, iframe, base, textarea, meta[http-equiv=refresh], [onerror], [onmouseover], a[href^=javascript]"
            assert page.evaluate("odd => document.querySelectorAll(odd).length", odd) == 0, payload
            scripts = page.evaluate("document.querySelectorAll('script').length")
            assert scripts == (2 if made is page_of else 0), payload
    assert said == []


def test_a_page_allows_one_script_and_nothing_from_elsewhere(browser, saved, tmp_path):
    file = tmp_path / "trace.html"
    text = page_of(vit_trace.Trace.from_json(json.dumps(saved)))
    file.write_text(
        text.replace("</body>", f"<script>{HIT}</script><img src=x onerror={HIT}></body>"), encoding="utf-8"
    )
    page, said = watched_page(browser)
    page.goto(f"file://{file}")
    assert page.evaluate("window.hit") is None
    assert any("Content Security Policy" in one for one in said)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser, saved, tmp_path, scheme):
    source = os.environ.get("VIT_TRACE_NODE", "")
    axe = Path(source, "node_modules", "axe-core", "axe.min.js")
    if not source or not axe.exists():
        pytest.skip("axe-core is not installed: set VIT_TRACE_NODE to a folder with its node_modules")
    file = tmp_path / "trace.html"
    file.write_text(page_of(vit_trace.Trace.from_json(json.dumps(saved))), encoding="utf-8")
    for width in (1280, 390):
        page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme, bypass_csp=True)
        page.goto(f"file://{file}")
        page.add_script_tag(content=axe.read_text())
        found = page.evaluate(
            "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(at => at.html)]))"
        )
        assert found == []
        page.close()
