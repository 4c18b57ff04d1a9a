"""The files that a journal names: shipped where they are the run's own, refused where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from annpipe.record.shipper.files import RunFiles
from annpipe.record.shipper.translation import Translation
from annpipe.record.store.content import Content
from annpipe.record.store.items import ModelFacts
from tests.record.shipper.shipping import Taking, sender

FACTS = ModelFacts("a run")


@pytest.fixture
def store() -> Taking:
    return Taking()


def test_files_are_of_the_run_or_refused(store: Taking, tmp_path: Path) -> None:
    """Those that were shipped before are only noted; the names of others are told in a file."""
    translation = Translation()
    sending = sender(store, tmp_path)
    files = RunFiles(tmp_path, sending, translation)
    assert not files.names()
    (tmp_path / "a.txt").write_text("a")
    files.artifact("a.txt", "tables", is_new=True)
    files.artifact("b.txt", "", is_new=False)
    files.artifact("../c.txt", "", is_new=True)
    files.artifact("a.txt", "../up", is_new=True)
    files.model("../../model", FACTS, lambda: None, is_new=True)
    files.model("model", FACTS, lambda: None, is_new=False)
    assert store.calls == [["artifact tables/a.txt"]]
    assert translation.items == {"artifact tables/a.txt", "artifact b.txt", "model"}
    assert [text.partition(":")[0] for text in sending.state.refused] == [
        "artifact ../c.txt",
        "artifact a.txt",
        "model",
    ]
    translation.names.key("price ($)")
    assert files.names()
    assert store.calls[-1] == ["artifact names.json"]


def test_the_names_that_are_other_ones_in_the_record_are_told_in_a_file(store: Taking, tmp_path: Path) -> None:
    """By key the true name, as JSON."""
    translation = Translation()
    key = translation.names.key("price ($)")
    assert RunFiles(tmp_path, sender(store, tmp_path), translation).names()
    told = json.loads((tmp_path / "artifacts" / "names.json").read_text(encoding="utf-8"))
    assert key != "price ($)"
    assert "price ($)" in json.dumps(told)


class Modelling(Taking):
    """A store that notes the folder of the model, and gives it an id."""

    def __init__(self) -> None:
        super().__init__()
        self.models: list[tuple[str, str, str | None, Path]] = []

    def model(self, run: str, experiment: str, known: str | None, folder: Path, facts: ModelFacts) -> str:
        assert facts is FACTS
        self.models.append((run, experiment, known, folder))
        return "m-1"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("model", "one/model"), ("../two/model", "two/model"), ("../two/inner/model", "two/inner/model")],
)
def test_a_model_is_the_run_s_own_or_that_of_a_trial(name: str, folder: str, tmp_path: Path) -> None:
    """Its id is kept; what is to be done before is done before."""
    store = Modelling()
    (tmp_path / "one").mkdir()
    for path in ("one/model", "two/inner/model", "two/model"):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
    for run in ("one", "two"):
        (tmp_path / run / "journal.jsonl").touch()
    sending = sender(cast(Taking, store), tmp_path / "one")
    order: list[Any] = []
    files = RunFiles(tmp_path / "one", sending, Translation())
    files.model(name, FACTS, lambda: order.append(len(store.models)), is_new=True)
    assert order == [0]
    assert store.models == [("1", "", None, tmp_path / folder)]
    assert sending.state.model_id == "m-1"
    assert sending.state.refused == ()


@pytest.mark.parametrize("name", ["../../model", "../two", "../nobody/model", "/tmp", "../two/../../model", ".."])
def test_a_model_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing is done for it, and nothing is read."""
    store = Modelling()
    for path in ("runs/one", "runs/two/model", "model"):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
    sending = sender(cast(Taking, store), tmp_path / "runs" / "one")
    order: list[Any] = []
    files = RunFiles(tmp_path / "runs" / "one", sending, Translation())
    files.model(name, FACTS, lambda: order.append(1), is_new=True)
    assert (store.models, order, sending.state.model_id) == ([], [], None)
    assert [text.partition(":")[0] for text in sending.state.refused] == ["model"]


def test_a_sender_that_mends_ships_the_files_that_lack(store: Taking, tmp_path: Path) -> None:
    """The others are noted all the same: the record is to hold them."""
    translation = Translation()
    sending = sender(store, tmp_path, wanted=Content(None, frozenset({"artifact b.txt"}), {}))
    files = RunFiles(tmp_path, sending, translation)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
        files.artifact(name, "", is_new=True)
    assert store.calls == [["artifact b.txt"]]
    assert translation.items == {"artifact a.txt", "artifact b.txt"}
