"""Which figures a sweep has, that each sweep can be drawn, and what a figure that fails costs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from annpipe.sweep.figures import draw_figures
from annpipe.sweep.results.table import SweepResult
from tests.sweep.figures.swept import GRID, LAYER, LR, curves_of, loss, sweep


def names(tmp_path: Path, swept: SweepResult) -> set[str]:
    return {path.name for path in draw_figures(swept, tmp_path, curves_of(swept)) if path.stat().st_size > 1000}


@pytest.mark.slow
def test_figures_are_drawn_where_they_say_something(tmp_path: Path) -> None:
    """Two parameters have all but repetitions; one has neither parallel lines nor importance; seeds have a spread."""
    assert names(tmp_path / "grid", sweep(GRID, loss)) == {
        "values.svg",
        "curves.svg",
        "parallel.svg",
        "importance.svg",
    }
    assert names(tmp_path / "rate", sweep({LR: GRID[LR]}, loss)) == {"values.svg", "curves.svg"}
    seeds = sweep({LR: GRID[LR], "seed": range(3)}, loss)
    assert names(tmp_path / "seeds", seeds) == {"values.svg", "curves.svg", "repeats.svg"}
    assert names(tmp_path / "none", sweep({LR: GRID[LR]}, lambda values: None)) == set()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "swept",
    [
        sweep({LR: [1e-3]}, loss),
        sweep({"seed": [0]}, lambda values: 1.0),
        sweep({LR: [1e-3, 1e-2], LAYER: ["ReLU", "Tanh"]}, lambda values: 1.0),
        sweep(
            GRID, lambda values: None if values[LR] > 0.05 else math.inf if values[LAYER] == "Tanh" else loss(values)
        ),
        sweep(GRID, lambda values: -1e9 if values[LR] > 0.05 else 0.9 - loss(values) / 100, higher=True),
        sweep(
            {"model": [[{"Linear": 3}, "ReLU"], [{"Linear": 1}]], "train.average": [True, False, None]}, lambda _: 2.0
        ),
        sweep({"data.split.fold": range(5)}, lambda values: 0.9 + values["data.split.fold"] / 100, higher=True),
        sweep({f"data.formula.inputs.$x{n}_한": ["$a$", "b" * 99] for n in range(5)}, lambda v: len(str(v))),
    ],
    ids=["one", "one seed", "all equal", "lost", "outliers", "lists", "folds", "names"],
)
def test_any_sweep_can_be_drawn(tmp_path: Path, swept: SweepResult) -> None:
    """One trial, equal values, trials that failed or diverged, lists, folds, names in TeX's letters: no warning."""
    assert {"values.svg", "curves.svg"} <= names(tmp_path, swept)


def test_a_figure_that_fails_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong stands in its place."""

    def fails(swept: SweepResult) -> None:
        raise ValueError("no such colour")

    monkeypatch.setattr("annpipe.sweep.figures.draw_parallel", fails)
    swept = sweep(GRID, loss)
    found = {path.name: path for path in draw_figures(swept, tmp_path, curves_of(swept))}
    assert list(found) == ["values.svg", "curves.svg", "parallel_failed.txt", "importance.svg"]
    assert "ValueError: no such colour" in found["parallel_failed.txt"].read_text()
