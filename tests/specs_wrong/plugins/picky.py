"""Plots that cannot be drawn of every run, and say so before it begins."""

from typing import Any

from annpipe import OptionError, Outline, RunView, plot


def has_column(outline: Outline) -> None:
    known = outline.fields.inputs
    if outline.options["column"] not in known:
        raise OptionError("column", "there is no such input", help=f"the inputs are {', '.join(known)}")


@plot(check=has_column)
def over(view: RunView, column: str) -> Any:
    """The targets over one input."""
    raise NotImplementedError


def breaks(outline: Outline) -> None:
    raise ZeroDivisionError("division by zero")


@plot(check=breaks)
def fragile(view: RunView) -> Any:
    """Its check has a fault."""
    raise NotImplementedError
