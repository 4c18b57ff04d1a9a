"""Runs the `check` of each plot and callback, which refuses runs that it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from annpipe.contract import RunPreview
from annpipe.draft.component import Component
from annpipe.draft.types import Draft
from annpipe.errors import OptionError, Problem
from annpipe.errors.wording import first_line
from annpipe.registry.discovery import PluginFault
from annpipe.registry.loading import function_of


def misfits(drafted: Draft, preview: RunPreview) -> Iterator[Problem]:
    """A problem at the line of each plot and callback that such a run has no use for."""
    for component in (*drafted.plots, *drafted.callbacks):
        try:
            check = function_of(component.entry, "check")
            if check is not None:
                check(replace(preview, options=component.options))
        except PluginFault as fault:
            yield fault.problem
        except OptionError as error:
            node = component.nodes.get(error.option)
            of = f"{component.name}.{error.option}" if error.option else component.name
            place = node.place if node else component.place
            yield Problem("wrong-value", f"`{of}`: {error.message}", place, error.help)
        except Exception as error:  # a plugin's check may raise anything: reported at its line
            yield _raised(component, error)


def _raised(component: Component, error: Exception) -> Problem:
    message = f"the check of '{component.name}' raised {type(error).__name__}: {first_line(error)}"
    return Problem("wrong-value", message, component.place)
