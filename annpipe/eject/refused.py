"""What cannot be ejected, said at its line."""

from __future__ import annotations

from annpipe.draft.component import Component
from annpipe.errors import AnnpipeError, Place


class NotEjected(AnnpipeError):
    """A part of a plan has no form in plain PyTorch here; exit code 3, as for a wrong spec.

    `path` leads to the value in the spec, where its place is not known yet.
    """

    exit_code = 3

    def __init__(self, what: str, why: str = "", place: Place | None = None, path: tuple[str, ...] = ()) -> None:
        at = f"{place}: " if place else ""
        super().__init__(f"{at}{what} cannot be ejected{f': {why}' if why else ''}")
        self._what, self._why, self.path = what, why, path

    def at(self, place: Place) -> NotEjected:
        """The same error with its place."""
        return NotEjected(self._what, self._why, place)


def refused(component: Component, why: str) -> NotEjected:
    """The error for a component, at its line."""
    return NotEjected(f"the {component.kind} '{component.name}'", why, component.place)
