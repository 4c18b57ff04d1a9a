"""The plan of a draft, and that of a run folder; both with torch's settings as a spec means them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.errors import RunError
from annpipe.observer import Observer

IN_MEMORY = "in_memory"  # the data component of an estimator's run: rows that no file has

if TYPE_CHECKING:
    from annpipe.datasets.request import PassCache
    from annpipe.draft.sections import Draft
    from annpipe.plan.plan import Plan
    from annpipe.plan.resolve.shape_cache import ShapeCache


def complete(
    drafted: Draft, observer: Observer, shape_cache: ShapeCache | None = None, passes: PassCache | None = None
) -> Plan:
    """The plan of a draft, its warnings shown; imports torch; raises SpecError. The rest is as in `plan.resolve`."""
    from annpipe.plan.resolve.resolve import resolve

    with defaults():
        plan = resolve(drafted, shape_cache, passes)
    for warning in plan.warnings:
        observer.warn(warning)
    return plan


def plan_of(
    folder: Path,
    observer: Observer,
    overrides: Sequence[str] = (),
    change: Callable[[Draft], Draft] = lambda drafted: drafted,
) -> Plan:
    """The plan of the run in `folder`; with `overrides` as `--set` has them and a `change` of its draft another."""
    from annpipe.draft.draft import draft
    from annpipe.record.journal.project import find_project, spec_file
    from annpipe.registry.registry import Registry
    from annpipe.registry.renames import Earlier, earlier_names
    from annpipe.spec import load_spec

    if not (folder / "plan.yaml").is_file():
        raise RunError(f"the run {folder.name} has no plan.yaml: it was killed as it began; run its spec again")
    file = spec_file(folder)
    with earlier_names(Earlier.READ):
        spec = load_spec(folder / "plan.yaml", overrides, base=file.resolve().parent)
        if spec.data.name == IN_MEMORY:
            raise RunError(
                f"the data of {folder.name} were in the memory of a Python program, where an estimator was fitted: "
                "fit it again, or run the spec on a file of the rows"
            )
        plan = complete(change(draft(spec, Registry.installed(), project=find_project())), observer)
    return replace(plan, file=str(file))


def defaults() -> AbstractContextManager[None]:
    """Inside, no setting of torch's that the caller changed changes what a spec means; imports torch."""
    from annpipe.backend.torch_globals import torch_defaults

    return torch_defaults()
