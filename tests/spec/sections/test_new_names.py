"""Earlier names of sections and options: read as today's, with a problem at the line of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.registry import renames
from annpipe.registry.renames import Rename
from annpipe.spec import load_spec
from annpipe.spec.sections.new_names import with_new_names
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_text

TABLE = (
    Rename("0.1", "", "", "figures", "plots"),
    Rename("0.1", "", "train", "n_epochs", "epochs"),
    Rename("0.1", "", "data.split", "holdout", "val"),
)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of every form."""
    monkeypatch.setattr(renames, "RENAMES", TABLE)
    monkeypatch.setattr(renames, "installed_version", lambda _: "0.1.0")


def test_sections_and_options_get_their_names() -> None:
    """Wherever they stand below; the place stays that of the earlier name."""
    text = "figures: [data]\ntrain: {n_epochs: 3}\ndata: {split: {holdout: 0.2}, n_epochs: 1}\n"
    root, problems = with_new_names(read_text(text, "s.yaml"))
    assert plain(root) == {
        "plots": ["data"],
        "train": {"epochs": 3},
        "data": {"split": {"val": 0.2}, "n_epochs": 1},
    }
    assert [(str(problem.place), problem.severity, problem.fix) for problem in problems] == [
        ("s.yaml:1:1", "warning", ("figures", "plots")),
        ("s.yaml:2:9", "warning", ("n_epochs", "epochs")),
        ("s.yaml:3:16", "warning", ("holdout", "val")),
    ]


def test_both_names_in_one_file_are_an_error() -> None:
    """Nobody knows which is meant."""
    _, problems = with_new_names(read_text("train: {epochs: 2, n_epochs: 3}", "s.yaml"))
    assert [problem.severity for problem in problems] == ["warning", "error"]
    assert "called 'epochs' now, which is said here, too" in problems[1].message


@pytest.mark.parametrize(("base", "over"), [("n_epochs", "epochs"), ("epochs", "n_epochs")])
def test_a_spec_lies_over_its_base_by_either_name(tmp_path: Path, base: str, over: str) -> None:
    """And what the command line says over both."""
    (tmp_path / "base.yaml").write_text(f"train: {{{base}: 1, batch_size: 4}}\n", encoding="utf-8")
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"extends: base.yaml\ntrain: {{{over}: 2}}\n", encoding="utf-8")
    assert load_spec(spec).train.epochs == 2
    assert load_spec(spec).train.batch_size == 4
    assert load_spec(spec, ["train.epochs=3"]).train.epochs == 3
    assert load_spec(spec, ["train.n_epochs=3"]).train.epochs == 3


def test_a_name_that_works_no_more_is_the_only_error_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option is not unknown, and not missing, besides."""
    monkeypatch.setattr(renames, "installed_version", lambda _: "0.2.0")
    spec = tmp_path / "spec.yaml"
    spec.write_text("train: {n_epochs: 2}\n", encoding="utf-8")
    of_train = [problem for problem in load_spec(spec).problems if problem.code != "missing-section"]
    assert [(problem.code, problem.place and problem.place.line) for problem in of_train] == [("renamed", 1)]
