"""Events become items under keys that MLflow takes, and the true names of others are told once."""

from __future__ import annotations

import json

from annpipe.record.journal.events import DatasetUsed, ParamsSet, RunBegun, TagsSet
from annpipe.record.shipper.translation import Translation
from annpipe.record.store.items import Param, RunTag, item_text


def test_tags_note_and_params_of_events_are_items() -> None:
    """Other events have none; what is no text is written as one."""
    translation = Translation()
    begun = RunBegun(id="a", description="a *note*", tags={"t": "1"}, params={"lr": 0.1, "on": True})
    items = translation.facts(begun)
    assert [(item_text(item), item.value) for item in items] == [
        *(("tag t", "1"), ("tag mlflow.note.content", "a *note*"), ("param lr", "0.1"), ("param on", "True")),
    ]
    assert [type(item) for item in items] == [RunTag, RunTag, Param, Param]
    assert [item_text(item) for item in translation.facts(TagsSet(tags={"u": "2"}))] == ["tag u"]
    assert [item_text(item) for item in translation.facts(ParamsSet(params={"p": 3}))] == ["param p"]
    assert translation.facts(DatasetUsed(dataset={"name": "d"})) == []
    assert translation.items == {"tag t", "tag mlflow.note.content", "param lr", "param on", "tag u", "param p"}
    assert translation.new_names() == []


def test_the_true_names_are_told_when_there_are_new_ones() -> None:
    """In a tag, where they fit into one."""
    translation = Translation()
    (tag,) = translation.facts(TagsSet(tags={"price ($)": "1"}))
    assert tag.key != "price ($)"
    (names,) = translation.new_names()
    assert json.loads(names.value)["keys"] == {tag.key: "price ($)"}
    assert translation.new_names() == []
    translation.facts(TagsSet(tags={f"cost of {n} ($)": "1" for n in range(500)}))
    (names,) = translation.new_names()
    assert names.value == "see the artifact names.json"


def test_data_files_and_the_model_are_noted_as_items() -> None:
    """By the names that the store has them under."""
    translation = Translation()
    assert translation.dataset({"name": "csv", "digest": "0" * 99}) == f"dataset csv {'0' * 36}"
    assert translation.artifact("plots", "50 %.svg").startswith("plots/50 _-x")
    assert translation.artifact(None, "a.txt") == "a.txt"
    assert translation.model() == "model"
    assert {"model", "artifact a.txt"} <= translation.items
