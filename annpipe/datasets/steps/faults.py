"""Reports what a transform refuses, and what it gives that no model can take, at the line of the spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from annpipe.draft.component import Component
from annpipe.errors import OptionError, Problem, SpecError
from annpipe.errors.wording import article
from annpipe.registry.discovery import PluginFault


@contextmanager
def faults_at(component: Component, names: Sequence[str]) -> Iterator[None]:
    """Turns whatever a transform raises when it is built, fitted or tried into a SpecError at its line."""
    try:
        yield
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except OptionError as error:
        node = component.nodes.get(error.option)
        message = f"`{component.name}.{error.option}`: {error.message}"
        raise SpecError(
            [Problem("wrong-value", message, node.place if node else component.place, error.help)]
        ) from error
    except Exception as error:  # a transform may refuse columns with anything
        what = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        message = f"{component.name} cannot be fitted on {what}: {error}"
        raise SpecError([Problem("wrong-value", message, component.place)]) from error


def checked_output(component: Component, x: torch.Tensor, out: object, names: Sequence[str]) -> torch.Tensor:
    """What a transform made of rows; raises SpecError where that is no tensor, or has other rows."""
    if isinstance(out, torch.Tensor) and out.ndim > 1 and len(out) == len(x):
        return out
    gives = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else article(type(out).__name__)
    message = f"{component.name} makes {gives} of {len(x)} rows of {', '.join(names)}"
    help_ = "its `forward` gives a tensor with the same rows, (rows, columns)"
    raise SpecError([Problem("wrong-value", message, component.place, help_)])
