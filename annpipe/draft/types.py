"""The Draft: every name looked up and every option checked without torch; only data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annpipe.contract import Fields
from annpipe.draft.blocks import Blocks
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import (
    Output,
)
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.draft.transforms import Transforming
from annpipe.errors import Problem
from annpipe.files.limits import Stance
from annpipe.registry import Registry
from annpipe.spec.sections.spec import Spec


@dataclass(frozen=True)
class Draft:
    """A spec with every name and option resolved; shapes not run yet.

    `fields` are there when they could be told without torch. `unchecked` holds warnings about what depends on plugins
    that an untrusted spec lists; where it names components, there can be no plan. `stance` is how an untrusted one is
    read.
    """

    spec: Spec
    registry: Registry
    data: Component
    transforms: tuple[Transforming, ...]
    blocks: Blocks
    model: tuple[Component, ...]
    outputs: tuple[Output, ...]
    init: Mapping[str, Component]
    loss: Component
    optimizer: Component
    groups: tuple[ParameterGroup, ...]
    scheduler: Component | None
    average: Component | None
    metrics: tuple[Component, ...]
    plots: tuple[Component, ...]
    callbacks: tuple[Component, ...]
    fields: Fields | None = None
    unchecked: tuple[Problem, ...] = ()
    stance: Stance | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every component is known, so that the spec can become a plan."""
        return not any(problem.code == UNCHECKED and problem.related for problem in self.unchecked)


UNCHECKED = "unchecked"
