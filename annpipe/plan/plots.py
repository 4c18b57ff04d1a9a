"""What do plots refuse before the run? Each one's `check` is asked about the run's outline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from annpipe.contract import Outline
from annpipe.errors import OptionError, Problem
from annpipe.plan.component import Component
from annpipe.plan.draft import Draft
from annpipe.plan.shapes import first_line
from annpipe.registry import Entry, Registry
from annpipe.registry.discovery import PluginFault
from annpipe.registry.marks import mark_of
from annpipe.registry.registry import imported


def refused_plots(drafted: Draft, outline: Outline) -> Iterator[Problem]:
    """A problem at the line of each plot that could not be drawn of such a run."""
    for plot in drafted.plots:
        entry = drafted.registry.find("plot", plot.name)
        assert entry
        try:
            check = _check(entry, drafted.registry)
            if check is not None:
                check(replace(outline, options=plot.options))
        except PluginFault as fault:
            yield fault.problem
        except OptionError as error:
            node = plot.given.get(error.option)
            of = f"{plot.name}.{error.option}" if error.option else plot.name
            place = node.place if node else plot.place
            yield Problem("wrong-value", f"`{of}`: {error.message}", place, error.help)
        except Exception as error:  # a plugin's check may raise anything: reported at the plot's line
            yield _raised(plot, error)


def _check(entry: Entry, registry: Registry) -> Callable[[Outline], None] | None:
    """The plot's check: by its own name where it stands apart from the drawing, else from the plot's mark."""
    told = entry.traits.get("check")
    if isinstance(told, str):
        found: Callable[[Outline], None] = imported(told)
        return found
    mark = mark_of(registry.load(entry)) if told else None
    return mark.traits["check"] if mark else None


def _raised(plot: Component, error: Exception) -> Problem:
    message = f"the check of the plot '{plot.name}' raised {type(error).__name__}: {first_line(error)}"
    return Problem("wrong-value", message, plot.place)
