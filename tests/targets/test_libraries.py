"""Every library of models is one file that says all about itself, and nothing is imported before it is needed."""

import subprocess
import sys
import tomllib

import pytest
from helpers.places import PACKAGE
from helpers.targets import library_target

from vit_trace.base.refused import Refused
from vit_trace.targets.libraries import prefixes
from vit_trace.targets.library import Library, libraries, library, listed_models, spec_forms

LIBRARIES = dict(libraries())
HEAVY = ("torch", "timm", "transformers", "torchvision")


def test_a_library_is_found_by_the_name_of_its_file():
    files = {path.stem for path in (PACKAGE / "targets" / "libraries").glob("*.py")} - {"__init__"}
    assert set(prefixes()) == set(LIBRARIES) == files and len(files) >= 3
    assert library("nosuchlibrary") is None
    assert all(f"{prefix}:NAME" in spec_forms() for prefix in files)


def test_registrations_import_nothing_heavy():
    program = "import sys; from vit_trace.targets.library import libraries; list(libraries()); {}"
    told = f"print(*(set({HEAVY}) & set(sys.modules)))"
    for before, found in ("pass", ""), ("import torchvision", "torch torchvision"):
        run = [sys.executable, "-c", program.format(f"{before}; {told}")]
        out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=PACKAGE.parent).stdout
        assert sorted(out.split()) == found.split()


@pytest.mark.parametrize("prefix", LIBRARIES)
def test_what_a_library_declares_holds(prefix):
    one = LIBRARIES[prefix]
    pytest.importorskip(one.package)
    extras = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert one.package in extras[one.package][0]
    assert one.example.startswith(f"{prefix}:") and library_target(one.example).class_name
    specs, complaints = listed_models(f"{prefix}:*")
    assert specs and not complaints


def test_a_library_that_is_not_installed_says_how_to_install_it():
    missing = Library("nosuchpackage", "nosuch:x", model=None, names=list)
    with pytest.raises(Refused) as refused:
        missing.load()
    (found,) = refused.value.diagnostics
    assert found.code == "library-missing" and "pip install 'vit-trace[nosuchpackage]'" in found.help[0]
