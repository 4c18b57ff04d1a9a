"""From the words of a command line to a Plan: what `run`, `validate` and `plan` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from annpipe.errors import Problem, render

if TYPE_CHECKING:
    from annpipe.plan import Draft
    from annpipe.plan.plan import Plan

F = TypeVar("F", bound=Callable[..., Any])


def spec_options(function: F) -> F:
    """The options of commands that read one spec: --set and --device."""
    set_ = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Replace a value of the spec.")
    device = click.option("--device", metavar="WORD", help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.")
    return set_(device(function))


def read(path: Path, overrides: tuple[str, ...] = (), device: str | None = None, name: str | None = None) -> Draft:
    """The draft of a spec: everything that can be checked without torch; raises SpecError."""
    from dataclasses import replace

    from annpipe.plan import draft
    from annpipe.record.project import find_project
    from annpipe.registry import Registry
    from annpipe.spec import load_spec

    spec = load_spec(path, overrides, device=device)
    if name is not None:
        # a run of another name stays in the experiment of its spec, beside the runs it is compared with
        experiment = spec.tracking.experiment or spec.head.name
        tracking = spec.tracking.model_copy(update={"experiment": experiment})
        spec = replace(spec, head=spec.head.model_copy(update={"name": name}), tracking=tracking)
    return draft(spec, Registry.installed(), project=find_project())


def complete(drafted: Draft) -> Plan:
    """The plan of a draft; imports torch; raises SpecError. Warnings go to stderr."""
    from annpipe.plan import resolve
    from annpipe.train.data import observe_fields

    plan = resolve(drafted, observe_fields)
    show_warnings(plan.warnings)
    return plan


def show_warnings(warnings: tuple[Problem, ...]) -> None:
    """Prints warnings the way errors are printed."""
    for warning in warnings:
        click.echo(render(warning) + "\n", err=True)
