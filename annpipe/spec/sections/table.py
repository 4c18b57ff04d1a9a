"""The sections of a spec in their order, the kind of the components in each, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping

from annpipe.registry.kinds import KINDS

_OF_COMPONENTS = {kind.section: kind for kind in KINDS.values() if kind.section}
ONE_COMPONENT: Mapping[str, str] = {name: kind.name for name, kind in _OF_COMPONENTS.items() if not kind.many}
"""The kinds of sections that are one component, by the names of the sections."""

MANY_COMPONENTS: Mapping[str, str] = {name: kind.name for name, kind in _OF_COMPONENTS.items() if kind.many}
"""The kinds of sections that are a list of components."""

SECTIONS = (
    *("version", "name", "description", "tags", "plugins", "seed", "device", "data", "blocks", "model"),
    *(name for name in ONE_COMPONENT if name != "data"),
    *("train", "metrics", "plots", "callbacks", "sweep", "tracking"),
)
LIST_SECTIONS = frozenset({"plugins", "model", *MANY_COMPONENTS})

DESCRIPTIONS: Mapping[str, str] = {
    "device": "where and how the run computes",
    "blocks": "stacks of layers by name, to be used as layers in the model",
    "model": "the layers, in order; sizes are filled in; `inputs`, `outputs`, `init` and `freeze` where more is said",
    "train": "how long, in what batches, and when the run looks",
    "sweep": "what `annpipe sweep` tries; a single run does not look at it",
    "tracking": "where the record goes",
    **{name: kind.purpose for name, kind in _OF_COMPONENTS.items()},
}
"""What a section is for, where its own fields do not say it."""
