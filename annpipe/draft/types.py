"""The Draft: every name looked up and every option checked without torch; only data."""

from __future__ import annotations

from dataclasses import dataclass

from annpipe.contract import Fields
from annpipe.draft.component import Component
from annpipe.draft.sections import Sections
from annpipe.errors import Problem
from annpipe.files.limits import Stance
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import Spec


@dataclass(frozen=True)
class Draft(Sections):
    """A spec with every name and option resolved; shapes not run yet.

    `fields` are there when they could be told without torch. `unchecked` holds warnings about what depends on plugins
    that an untrusted spec lists; where it names components, there can be no plan. `stance` is how an untrusted one is
    read.
    """

    spec: Spec
    registry: Registry
    model: tuple[Component, ...]
    fields: Fields | None = None
    unchecked: tuple[Problem, ...] = ()
    stance: Stance | None = None

    @property
    def model_components(self) -> tuple[Component, ...]:
        return self.model

    @property
    def is_whole(self) -> bool:
        """Whether every component is known, so that the spec can become a plan."""
        return not any(problem.code == UNCHECKED and problem.related for problem in self.unchecked)


UNCHECKED = "unchecked"
