"""Translates the events of a journal into items of its record, under keys that MLflow takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annpipe.record.journal.events import Event, ParamsSet, RunBegun, TagsSet
from annpipe.record.journal.source import NOTE
from annpipe.record.store import keys
from annpipe.record.store.client import MAX_DIGEST, MAX_NAME
from annpipe.record.store.content import MODEL
from annpipe.record.store.items import Param, RunTag
from annpipe.record.store.keys import MAX_PARAM_VALUE, MAX_TAG_VALUE, Names, cut_name


class Translation:
    """Translates the events of one journal, from its first on; `items` are all that its record is to hold so far.

    `params` and `data`, a name and a digest, are those of the run so far.
    """

    def __init__(self) -> None:
        self.names = Names()
        self.items: set[str] = set()
        self.params: dict[str, str] = {}
        self.data: tuple[str, str] | None = None
        self._known_names: dict[str, str] = {}

    def facts(self, event: Event) -> list[Param | RunTag]:
        """The tags, the note and the params of an event."""
        tags = dict(event.tags) if isinstance(event, RunBegun | TagsSet) else {}
        if isinstance(event, RunBegun) and event.description:
            tags[NOTE] = event.description
        params = event.params if isinstance(event, RunBegun | ParamsSet) else {}
        return [
            *(self._tag(name, value) for name, value in tags.items()),
            *(self._param(name, str(value)) for name, value in params.items()),
        ]

    def dataset(self, data: Mapping[str, Any]) -> str:
        """The item for the data of a run."""
        name, digest = cut_name(data["name"], MAX_NAME), data["digest"][:MAX_DIGEST]
        self.data = self.data or (name, digest)
        return self._item(f"dataset {name} {digest}")

    def artifact(self, to: str | None, name: str) -> str:
        """The path of an artifact in the store: the file `name` in the folder `to`."""
        path = self.names.path(f"{to}/{name}" if to else name)
        self._item(f"artifact {path}")
        return path

    def model(self) -> str:
        """The item for the run's model."""
        return self._item(MODEL)

    def new_names(self) -> list[RunTag]:
        """The tag that tells the true names, where there are some that it did not tell yet."""
        if not self.names or self._known_names == self.names.keys:
            return []
        self._known_names = dict(self.names.keys)
        text = self.names.to_json()
        value = text if len(text) <= MAX_TAG_VALUE else f"see the artifact {keys.FILE}"
        self._item(f"tag {keys.TAG}")
        return [RunTag(keys.TAG, value)]

    def _tag(self, name: str, value: str) -> RunTag:
        key = self.names.key(name)
        self._item(f"tag {key}")
        return RunTag(key, self.names.value(key, value, MAX_TAG_VALUE))

    def _param(self, name: str, value: str) -> Param:
        key = self.names.key(name)
        self._item(f"param {key}")
        self.params[key] = self.names.value(key, value, MAX_PARAM_VALUE)
        return Param(key, self.params[key])

    def _item(self, item: str) -> str:
        self.items.add(item)
        return item


def experiment_name(begun: RunBegun) -> str:
    """The experiment of a run: experiment 0 is everybody's drawer, instead of which it gets one of its own name."""
    names = (begun.experiment, begun.name, "annpipe")
    return next(name for name in names if name and name != "Default")
