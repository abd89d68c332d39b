"""What the command line names -> its target, a failed build explained. Imports no torch for the built-in ViT."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Trace, Value
from vit_trace.config import Settled, settle
from vit_trace.targets.aimed import aimed_at
from vit_trace.targets.found import Naming, named_by
from vit_trace.targets.model_found import ModelFound
from vit_trace.targets.spec import foreign_target, is_foreign, no_spec
from vit_trace.targets.target import Target

if TYPE_CHECKING:
    from vit_trace.targets.request import Request


def of_spec(spec: str | None, request: Request, before: Callable[[], object] = lambda: None) -> tuple[Trace, Target]:
    """The trace of what a spec names, and its target; `before` runs once the target is known. Raises Refused."""
    from vit_trace.targets.complaints import contained, returning

    with returning():
        target = targeted(spec, request)
        before()
        with contained() if target.foreign is not None else nullcontext():  # somebody else's code runs, and may print
            from vit_trace.diagnose.diagnose import diagnosed

            return diagnosed(target, request.rules, request.formulas), target


def targeted(spec: str | None, model: Request) -> Target:
    """The target of a spec: the built-in ViT, or somebody else's model. Raises Refused and ConfigError."""
    one = named_by(spec, model)
    if one.model is not None and one.spec is not None:
        return replace(found_model(one.model, one.spec, one.request), spec=str(spec))
    if spec is not None and one.model is None and is_foreign(spec):
        return foreign(spec, model)
    return of_settings(spec, settings(spec, one), one.request)


def found_model(found: ModelFound, spec: str, request: Request) -> Target:
    """The target of a model that a config file names. Raises Refused, pointed at the file."""
    try:
        return foreign(spec, request)
    except Refused as refused:
        raise Refused(*(aimed_at(one, found) for one in refused.diagnostics)) from refused


def foreign(spec: str, model: Request) -> Target:
    """The target of somebody else's model. Raises Refused, with what would build where it does not."""
    try:
        return foreign_target(spec, model)
    except Refused as refused:
        codes = {diagnostic.code for diagnostic in refused.diagnostics}
        if not codes & {"build-failed", "import-failed"}:
            raise  # what follows imports torch
        from vit_trace.diagnose.construct import first_cause, what_builds, without
        from vit_trace.diagnose.within import failed_within

        error = first_cause(refused)
        within = failed_within(spec, refused, error) if error is not None else None
        if within is not None:
            raise within from refused
        if "build-failed" not in codes:
            raise

        kept = {text.partition("=")[0]: text for text in model.assignments}

        def build(values: Mapping[str, int]) -> Target:
            changed = {name: f"{name}={value}" for name, value in values.items()}
            return foreign_target(spec, replace(model, assignments=tuple((kept | changed).values()), trial=True))

        def left_out(name: str) -> Value:
            others = tuple(text for other, text in kept.items() if other != name)
            return foreign_target(spec, replace(model, assignments=others, trial=True)).hyperparameters.get(name)

        raise without(what_builds(refused, build), kept, left_out) from refused


def settings(spec: str | None, one: Naming) -> Settled:
    """The built-in ViT's settings: the config file, flags and --set. Raises Refused and ConfigError."""
    asked = one.request
    if spec is not None:
        _require_yaml(spec, asked.config)
    if one.model is None and asked.config is not None:
        one = named_by(str(asked.config), asked)
        if one.spec is not None and one.model is not None:
            message = f"--config is for the built-in ViT, and {asked.config} names {one.spec}"
            raise refuse("flag-of-the-builtin", message, help=(f"vit-trace {asked.config}",))
        asked = one.request
    entries = one.model.entries if one.model is not None else None
    file = Path(spec) if spec is not None else asked.config
    return settle(entries if entries is not None else file, asked.flags, asked.assignments)


def of_settings(spec: str | None, settled: Settled, model: Request) -> Target:
    """The built-in ViT as a target. Raises Refused."""
    from vit_trace.targets.builtin import builtin, only_input

    file = model.config if spec is None else Path(spec)
    return builtin(settled.config, spec=str(file or ""), given=only_input(model.inputs), train=model.train)


def _require_yaml(spec: str, config: Path | None) -> None:
    """Refuse a spec that is no YAML file, or one beside another. Raises Refused."""
    if config is not None:
        message = f"two YAML files are given, {spec} and --config {config}"
        raise refuse("two-configs", message, help=(f"vit-trace {spec}, with flags for what differs",))
    if not os.path.exists(spec) and not Path(spec).suffix:
        raise no_spec(spec)
