"""For pytest: a test that fails with a shape error gets a section with the diagnosis; one that passes costs nothing."""

import sys
from collections.abc import Generator
from typing import Any

import pytest


def pytest_addoption(parser: Any) -> None:
    help = "Explain shape errors of failed tests: short (default), full (with the stages up to the failure) or off."
    group = parser.getgroup("vit-trace")
    group.addoption("--vit-trace", choices=("off", "short", "full"), default="short", help=help)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, Any]:
    report = yield
    wanted = item.config.getoption("--vit-trace", "off")
    if call.excinfo is not None and report.failed and wanted != "off" and "torch" in sys.modules:
        from vit_trace.scripts.hooks import explained_error

        if (found := explained_error(call.excinfo.value)) is not None:
            report.sections.append(("vit-trace", found.text(stages=wanted == "full")))
    return report
