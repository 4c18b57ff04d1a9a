"""Words why a layer cannot take the shape that arrives, and what would help."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

import torch

from annpipe.draft.component import Component, components_in
from annpipe.errors import Place, Problem
from annpipe.registry.entry import Entry
from annpipe.registry.traits import LayerTraits


def rank_problem(component: Component, tensor: torch.Tensor, shown: str) -> Problem | None:
    """A tensor whose number of dimensions the layer does not take; `shown` is its shape in words.

    Said before the layer runs: with one dimension less, many of torch's take the rows for one sample's steps or
    channels, and would mix them.
    """
    needs = component.traits(LayerTraits).needs
    if needs is None or _takes_rank(needs, tensor.ndim):
        return None
    message = f"{component.name} cannot take the shape {shown} that arrives; it needs {needs}"
    return Problem("shape", message, component.place, _rank_help(needs, tensor.ndim))


def steps_first(component: Component) -> Problem | None:
    """A layer that takes the first dimension for steps, as torch's do with `batch_first: false`."""
    for inner in (component, *_layers_in(component)):
        if inner.options.get("batch_first") is False:
            node = inner.nodes.get("batch_first")
            message = f"{inner.name} with `batch_first: false` takes the rows for the steps of one sequence"
            help_ = "leave `batch_first` out: it is true in annpipe, where the rows always come first"
            return Problem("shape", message, node.place if node else component.place, help_)
    return None


def forward_problem(component: Component, tensor: torch.Tensor, shown: str, error: Exception, reason: str) -> Problem:
    """What a layer raised on a shape that has the right number of dimensions."""
    needs = component.traits(LayerTraits).needs
    if needs is not None and needs.startswith("whole numbers") and tensor.is_floating_point():
        message = f"{component.name} takes {needs}; what arrives has fractions"
        help_ = "take numbers with `Linear` instead, or data whose inputs are whole numbers"
        return Problem("shape", message, component.place, help_)
    message = f"{component.name} cannot take the shape {shown} that arrives: {reason}"
    related = raised_in(component.entry, error)
    help_ = (
        "correct the plugin's line, or change the layers before it" if related else "change it, or the layers before it"
    )
    return Problem("shape", message, component.place, help_, related)


def _layers_in(component: Component) -> Iterator[Component]:
    for inner in components_in(list(component.options.values())):
        yield inner
        yield from _layers_in(inner)


def _shapes(needs: str) -> list[list[str]]:
    """The dimensions of each shape in `(rows, features) or (rows, features, length)`."""
    return [shape.split(", ") for shape in re.findall(r"\((rows[^)]*)\)", needs)]


def _takes_rank(needs: str, rank: int) -> bool:
    shapes = _shapes(needs)
    fits = (rank >= len(names) - 1 if names[-1] == "…" else rank == len(names) for names in shapes)
    return not shapes or any(fits)


def _rank_help(needs: str, rank: int) -> str:
    names = _shapes(needs)[0]
    if rank == 2 < len(names):
        return f"add `- Unflatten: [1, [{', '.join(names[1:])}]]` before it, with your own sizes"
    if rank > len(names) == 2:
        return "add `- Flatten` before it"
    return "add a layer before it that gives that shape (Flatten, Unflatten, …)"


def raised_in(entry: Entry, error: Exception) -> tuple[tuple[Place, str], ...]:
    """The last line of the plugin's own file that led to the error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == entry.origin.file]
    if not frames:
        return ()
    last = frames[-1]
    column = (last.colno or 0) + 1
    length = (last.end_colno or column) - column + 1 if last.end_lineno == last.lineno else 1
    return ((Place(last.filename, last.lineno or 1, column, max(1, length)), f"raised here: {type(error).__name__}"),)
