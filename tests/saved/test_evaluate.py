"""`annpipe evaluate RUN DATA`: on rows that the run knew, what it gives is what the run told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from mlflow.tracking.client import MlflowClient
from sklearn.metrics import accuracy_score, f1_score

from annpipe.backend.streams import generator
from annpipe.record.journal import journal
from annpipe.record.journal.state import read_state
from tests.conftest import wait_until_recorded
from tests.saved.conftest import Project, Typed, lines, shops, squares

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")


def evaluated(typed: Typed, *words: str | Path, stdin: bytes = b"") -> dict[str, Any]:
    code, printed, said = typed("evaluate", *words, "--json", stdin=stdin)
    assert code == 0, said
    found: dict[str, Any] = json.loads(printed)
    return found


def final(project: Project, name: str, split: str) -> dict[str, float]:
    """What the run told of a split at its end."""
    values = project.runs[name].values
    return {key.removeprefix(f"{split}/"): value for key, value in values.items() if key.startswith(f"{split}/")}


@pytest.mark.slow
@pytest.mark.parametrize("split", ["val", "test"])
def test_the_rows_of_a_split_give_the_values_of_that_split(project: Project, typed: Typed, split: str) -> None:
    """The loss with the weights that the train split gave it, and every metric; shuffled, from another file."""
    frame = shops()
    own = frame[frame.part == split].drop(columns="part").sample(frac=1, random_state=1)
    own.to_parquet(project.folder / f"{split}_rows.parquet")
    found = evaluated(typed, "shops", f"{split}_rows.parquet")
    assert found["rows"] == len(own)
    assert found["values"] == pytest.approx(final(project, "shops", split), rel=1e-5)
    answers = typed.table("shops", f"{split}_rows.parquet")
    assert found["values"]["accuracy"] == pytest.approx(accuracy_score(own.kind, answers.kind))
    assert found["values"]["f1_score"] == pytest.approx(f1_score(own.kind, answers.kind, average="macro"))


@pytest.mark.slow
def test_scaled_targets_are_measured_as_in_training(project: Project, typed: Typed) -> None:
    """Train and validation rows are the file: its loss is their mean by rows, its metrics are in its units."""
    found = evaluated(typed, "lines", "lines.csv")["values"]
    val = final(project, "lines", "val")
    answers, frame = typed.table("lines", "lines.csv"), lines()
    error = np.abs(answers[["up", "down"]].to_numpy() - frame[["up", "down"]].to_numpy()).mean()
    assert found["mean_absolute_error"] == pytest.approx(error, rel=1e-6)
    assert set(found) == set(val)
    assert found["loss"] == pytest.approx(0.25 * val["loss"] + 0.75 * _loss_of_train(project), rel=1e-4)


def _loss_of_train(project: Project) -> float:
    """The mean absolute error of scaled targets on the train rows, with the statistics that the model holds."""
    frame = lines()
    order = torch.randperm(len(frame), generator=generator(0, "split"))
    rows = frame.iloc[order[20:].tolist()]
    model: Any = project.network("lines")
    raw = torch.tensor(rows[["x1", "x2"]].to_numpy())
    with torch.no_grad():
        scaled = model.network(model.columns(raw).float()).double()
        y = model.targets(torch.tensor(rows[["up", "down"]].to_numpy()))
    return float((scaled - y).abs().mean())


def test_rows_without_an_answer_are_left_out(project: Project, typed: Typed) -> None:
    """They lack a value that nothing fills in, as those that `drop_missing` drops: told, and no nan in the record."""
    frame = lines()
    frame.loc[[2, 5], "x1"] = np.nan
    for name, rows in (("gaps", frame), ("whole", frame.drop(index=[2, 5]))):
        rows.to_csv(project.folder / f"{name}.csv", sep=";", decimal=",", index=False)
    code, printed, said = typed("evaluate", "lines", "gaps.csv", "--json")
    assert code == 0
    assert "2 of 80 rows are left out: they lack a value that nothing fills in; the first is row 3" in said
    found, whole = json.loads(printed), evaluated(typed, "lines", "whole.csv")
    assert (found["rows"], found["values"]) == (78, whole["values"])
    frame.assign(x2=np.nan).to_csv(project.folder / "all_gaps.csv", sep=";", decimal=",", index=False)
    code, _, said = typed("evaluate", "lines", "all_gaps.csv")
    assert code == 3
    assert "each row lacks a value that nothing fills in" in said


def test_each_head_is_measured_for_itself(project: Project, typed: Typed) -> None:
    """The rows of val, found by the split's own stream: every loss and metric of the run's end."""
    frame = shops().dropna()
    order = torch.randperm(len(frame), generator=generator(0, "split"))
    frame.iloc[order[: round(len(frame) * 0.25)].tolist()].to_csv(project.folder / "ends_val.csv", index=False)
    found = evaluated(typed, "ends", "ends_val.csv")
    expected = final(project, "ends", "val")
    assert {"loss", "kind/loss", "rooms/loss", "kind/accuracy", "rooms/mean_absolute_error"} == set(expected)
    assert found["values"] == pytest.approx(expected, rel=1e-5)
    assert [Path(figure).name for figure in found["figures"]] == ["confusion_matrix.svg"]


@pytest.mark.slow
def test_arrays_and_standard_input(project: Project, typed: Typed) -> None:
    """An archive with its targets; a table from another program."""
    assert evaluated(typed, "squares", "squares.npz")["rows"] == len(squares()["bright"])
    text = (project.folder / "shops.csv").read_bytes()
    whole = evaluated(typed, "shops", "-", stdin=text)
    assert whole["name"] == "stdin"
    assert whole["values"] == evaluated(typed, "shops", "shops.csv")["values"]


@pytest.mark.slow
def test_the_record_has_values_figures_and_data(project: Project, typed: Typed) -> None:
    """In the run itself, under the name given; measured a second time each value has a second point.

    The run's logged model is found by them and by the rows that they were measured on.
    """
    shops()[:50].to_csv(project.folder / "some.csv", index=False)
    typed.is_recorded = True
    first = evaluated(typed, "shops", "some.csv", "--name", "March 2026")
    second = evaluated(typed, "shops", "some.csv", "--name", "March 2026")
    assert first["name"] == "March_2026"
    assert first["values"] == second["values"]
    folder = project.runs["shops"].folder
    wait_until_recorded(folder)
    assert journal.status(folder) == "FINISHED"
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    run = client.get_run(read_state(folder).run_id)
    assert run.info.status == "FINISHED"
    for key, value in first["values"].items():
        assert run.data.metrics[f"evaluated.March_2026.{key}"] == pytest.approx(value)
        points = client.get_metric_history(run.info.run_id, f"evaluated.March_2026.{key}")
        assert [point.step for point in points] == [0, 1]
    kept = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "evaluated/March_2026")}
    assert kept == {"confusion_matrix.svg", "columns.svg"}  # the learning curve is no figure of rows
    text = (folder / "artifacts" / "evaluated" / "March_2026" / "confusion_matrix.svg").read_text("utf-8")
    assert "March_2026, 50 rows" in text
    assert "March_2026" in {data.dataset.name for data in run.inputs.dataset_inputs}
    ((name, digest),) = {
        (data.dataset.name, data.dataset.digest)
        for data in run.inputs.dataset_inputs
        if data.dataset.name == "March_2026"
    }
    accuracy = first["values"]["accuracy"]
    for bound, expected in ((accuracy - 0.01, [read_state(folder).model_id]), (accuracy + 0.01, [])):
        models = client.search_logged_models(
            [run.info.experiment_id],
            f"metrics.`evaluated.March_2026.accuracy` > {bound}",
            datasets=[{"dataset_name": name, "dataset_digest": digest}],
        )
        assert [model.model_id for model in models] == expected


@pytest.mark.slow
def test_the_data_of_the_run_need_not_be_there(project: Project, typed: Typed) -> None:
    """Neither its table nor the spec's own file."""
    (project.folder / "shops.csv").rename(project.folder / "away.csv")
    (project.folder / "shops.yaml").rename(project.folder / "away.yaml")
    try:
        assert evaluated(typed, "shops", "away.csv")["rows"] == len(shops())
    finally:
        (project.folder / "away.csv").rename(project.folder / "shops.csv")
        (project.folder / "away.yaml").rename(project.folder / "shops.yaml")


WRONG = [
    ("shops", "lacks.csv", shops().drop(columns="kind"), "lacks the column 'kind'"),
    (
        "shops",
        "class.csv",
        shops().assign(kind=["bar"] * 100 + ["pub"] + ["bar"] * 139),
        "'pub' in row 101 of the target 'kind' is no class of the run; the model tells bar, café, hotel",
    ),
    ("shops", "gap.csv", shops().assign(kind=["bar", None] * 120), "row 2 of the column 'kind' is missing"),
    ("lines", "gap.csv", lines().assign(up=np.nan), "row 1 of the column 'up' is missing"),
]


@pytest.mark.parametrize(("run", "file", "frame", "message"), WRONG)
def test_labels_that_do_not_fit(
    project: Project, typed: Typed, run: str, file: str, frame: pd.DataFrame, message: str
) -> None:
    """The row and the remedy; the record of the run stays as it was."""
    options = {"sep": ";", "decimal": ","} if run == "lines" else {}
    frame.to_csv(project.folder / file, index=False, **options)
    before = (project.runs[run].folder / "journal.jsonl").read_bytes()
    code, printed, said = typed("evaluate", run, file)
    assert (code, printed) == (3, "")
    assert message in said
    assert (project.runs[run].folder / "journal.jsonl").read_bytes() == before
