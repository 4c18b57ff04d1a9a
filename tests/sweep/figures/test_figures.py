"""What a sweep's figures show: where values stand, what stands out, and what is left out."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from annpipe.spec.sections.axes import Axis
from annpipe.sweep.figures import draw_figures
from annpipe.sweep.figures.curves import draw_curves
from annpipe.sweep.figures.importance import Point, draw_importance, points_of, share
from annpipe.sweep.figures.parallel import draw_parallel
from annpipe.sweep.figures.repeats import draw_repeats
from annpipe.sweep.figures.scales import Heights, Scale
from annpipe.sweep.figures.values import draw_values
from annpipe.sweep.results.table import Goal, Result, SweepResult, best_values, values_in_words

LR, LAYER = "optimizer.Adam.lr", "model.1"


def sweep(
    space: Mapping[str, Sequence[Any]], value: Callable[[Mapping[str, Any]], float | None], *, higher: bool = False
) -> SweepResult:
    """A sweep over every combination whose trials ended with these values; those with None failed."""
    results = []
    for number, values in enumerate(itertools.product(*space.values())):
        named = dict(zip(space, values, strict=True))
        found = value(named)
        status = "FINISHED" if found is not None else "FAILED"
        results.append(Result(number, named, None, status, {} if found is None else {"val/loss": found}))
    return SweepResult("small", tuple(Axis(path, ()) for path in space), Goal("val/loss", higher), tuple(results))


def curves(swept: SweepResult) -> dict[int, tuple[list[int], list[float]]]:
    finals = {one.number: one.finals.get("val/loss", math.nan) for one in swept.results}
    return {number: ([1, 2, 3], [value + 2, value + 1, value]) for number, value in finals.items()}


def words(figure: Any) -> list[str]:
    """Every text of a figure, once."""
    from matplotlib.text import Text

    return list(dict.fromkeys(text.get_text() for text in figure.findobj(Text) if text.get_text()))


def loss(values: Mapping[str, Any]) -> float:
    worse = {"ReLU": 0.0, "Tanh": 0.2, "Sigmoid": 0.4}[values.get(LAYER, "ReLU")]
    return 0.01 + (math.log10(values[LR]) + 2) ** 2 + worse + 0.01 * values.get("seed", 0)


GRID = {LR: [1e-4, 1e-3, 1e-2, 1e-1], LAYER: ["ReLU", "Tanh", "Sigmoid"]}


def names(tmp_path: Path, swept: SweepResult) -> set[str]:
    return {path.name for path in draw_figures(swept, tmp_path, curves(swept)) if path.stat().st_size > 1000}


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
    found = {path.name: path for path in draw_figures(swept, tmp_path, curves(swept))}
    assert list(found) == ["values.svg", "curves.svg", "parallel_failed.txt", "importance.svg"]
    assert "ValueError: no such colour" in found["parallel_failed.txt"].read_text()


def test_scales_are_read_off_the_values() -> None:
    """Logarithmic where logarithms are spread evenly; numbers in their order; everything else by name."""
    random_rates = random.Random(0)
    found = {
        "lr": [10 ** random_rates.uniform(-4, -1) for _ in range(50)],
        "p": [random_rates.uniform(0.001, 0.7) for _ in range(50)],
        "width": [256, 16, 64, 32, 128],
        "depth": [1, 2, 4, 6, 8, 10, 12],
        "size": ["all", 64, 16],
        "flag": [True, 1, None],
    }
    scales = {path: Scale.of(sweep({path: values}, lambda _: 1.0), path) for path, values in found.items()}
    assert [path for path, scale in scales.items() if scale.is_log] == ["lr", "width"]
    assert scales["width"].values == (16, 32, 64, 128, 256)
    assert scales["width"].position(64) == pytest.approx(math.log10(64))
    assert scales["size"].values == (16, 64, "all")
    assert [scales["flag"].position(value) for value in (1, True, None)] == [0.0, 1.0, 2.0]


def test_a_value_far_from_all_others_does_not_flatten_them() -> None:
    """It is drawn at the edge, and said to be worse than that."""
    far = sweep(
        {LR: [1, 2, 3, 4, 5, 6, 7, 8]}, lambda values: -1e6 if values[LR] == 8 else values[LR] / 10, higher=True
    )
    heights = Heights.of(far)
    assert heights.is_cut
    assert heights.shown(-1e6) == heights.worst
    assert heights.worst > -5
    assert any("worse than" in text for text in words(draw_values(far)))
    assert not Heights.of(sweep(GRID, loss)).is_cut


def test_the_best_trial_stands_out() -> None:
    """By its value in the panels and on the last axis of the parallel ones; lost trials are counted."""
    swept = sweep(GRID, lambda values: None if values[LR] > 0.05 else loss(values))
    assert "best: 0.01" in words(draw_values(swept))
    shown = words(draw_parallel(swept))
    assert {"0.01", "ReLU", "Sigmoid", "optimizer.Adam\nlr", "val/loss", "3 failed or\nnot finite"} <= set(shown)


def test_repeats_show_mean_and_interval() -> None:
    """In numbers too, the best row first; what is not finite is counted."""
    swept = sweep(
        {LR: [1e-3, 1e-2, 1e-1], "seed": range(4)},
        lambda values: math.nan if values[LR] == 1e-1 and values["seed"] == 3 else loss(values),
    )
    group = swept.groups[0].spread
    shown = words(draw_repeats(swept))
    assert f"{group.mean:.4g} ± {group.half_width:.2g}" in shown
    assert [text for text in shown if text.startswith("lr ")] == ["lr 0.01", "lr 0.001", "lr 0.1"]
    assert "1 of 4 not finite" in shown
    values = best_values(swept)
    assert values["best_trial/val/loss_mean"] == group.mean
    assert values["best_trial/val/loss_high"] - values["best_trial/val/loss_low"] == pytest.approx(2 * group.half_width)


def test_curves_name_the_best_and_count_the_others() -> None:
    """Seven in colour."""
    shown = words(draw_curves(swept := sweep(GRID, loss), curves(swept)))
    assert "lr 0.01, model.1 ReLU" in shown
    assert "the 5 others" in shown


def test_importance_is_what_a_parameter_explains_alone() -> None:
    """ε² by SciPy's F test; on a full grid without noise the main effects, and the rest their interplay."""
    rng = random.Random(1)
    noisy = sweep(GRID | {"seed": [0], "train.batch_size": [16, 32]}, lambda values: loss(values) + rng.gauss(0, 0.3))
    points = points_of(noisy)
    for path in (LR, LAYER, "train.batch_size"):
        levels: dict[Any, list[float]] = {}
        for point in points:
            levels.setdefault(point.values[path], []).append(point.height)
        n, k, f = len(points), len(levels), stats.f_oneway(*levels.values()).statistic
        expected = max(0.0, (k - 1) * (f - 1) / ((k - 1) * f + n - k))
        assert share(points, Scale.of(noisy, path)) == pytest.approx(expected)
    added = sweep({"a": [0, 1, 2, 3], "b": [0, 4]}, lambda values: values["a"] + values["b"] + 10.0)
    both = [Point(one.values, one.finals["val/loss"]) for one in added.results]
    assert share(both, Scale.of(added, "b")) > share(both, Scale.of(added, "a"))
    assert draw_importance(sweep({LR: GRID[LR][:3], LAYER: GRID[LAYER]}, loss)) is None  # nine points say little


def test_importance_of_numbers_drawn_at_random() -> None:
    """Ranges serve as levels: what matters is found, what does not has next to nothing."""
    rng = random.Random(2)
    results = []
    for number in range(100):
        values = {"lr": 10 ** rng.uniform(-4, 0), "decay": 10 ** rng.uniform(-6, -2)}
        final = 1 + (math.log10(values["lr"]) + 2) ** 2 + rng.gauss(0, 0.1)
        results.append(Result(number, values, None, "FINISHED", {"val/loss": final}))
    swept = SweepResult("small", (Axis("lr", ()), Axis("decay", ())), Goal("val/loss", False), tuple(results))
    shares = {path: share(points_of(swept), Scale.of(swept, path)) for path in ("lr", "decay")}
    assert shares["lr"] > 0.8
    assert shares["decay"] < 0.15


def test_a_trial_is_called_by_its_values() -> None:
    """Short names where they differ, paths where they do not; mappings without signs."""
    assert (
        values_in_words({LR: 0.001, LAYER: {"LeakyReLU": 0.2}, "seed": 3}) == "lr 0.001, model.1 LeakyReLU 0.2, seed 3"
    )
    assert values_in_words({"optimizer.Adam.lr": 0.1, "optimizer.groups.0.lr": 1e-5}) == (
        "optimizer.Adam.lr 0.1, optimizer.groups.0.lr 1e-05"
    )
