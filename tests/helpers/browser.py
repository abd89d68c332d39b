"""A page in headless Chromium: what it says at other settings. Skips where there is no browser, and says why."""

import shutil
from contextlib import contextmanager
from urllib.parse import quote

import pytest

QUIET = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync").split()  # fmt: skip


@contextmanager
def chromium():
    """A browser. Skips the test where there is none."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    with api.sync_playwright() as playing:
        browser = playing.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


READ = """() => Object.fromEntries([...document.querySelectorAll('#stages tbody tr[data-s]')].map(row => [row.dataset.s,
  [...row.querySelectorAll('td:nth-child(3) div')].map(one => one.textContent)]))"""


def shapes_at(page, file, settings):
    """stage -> the shapes of its outputs as texts, as the page has them at settings."""
    page.goto("about:blank")  # a change of the hash alone loads nothing anew
    page.goto(f"file://{file}#" + "&".join(f"{quote(name)}={value}" for name, value in settings.items()))
    found = {}
    for stage, texts in page.evaluate(READ).items():
        groups = [text.rpartition(" of ") for text in texts]
        found[int(stage)] = [shape for count, _, shape in groups for _ in range(int(count or 1))]
    return found


def totals_of(page):
    return page.eval_on_selector_all(".totals > div:nth-child(-n+3) dd", "all => all.map(one => one.textContent)")


def watched_page(browser, **how):
    """A page, and what it says that it should not: errors of scripts, messages, dialogs, requests to a network."""
    page, said = browser.new_page(**how), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.extend([request.url] if not request.url.startswith("file:") else []))
    return page, said
