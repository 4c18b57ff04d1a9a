"""The figures of scores of classes: their points and numbers held against scikit-learn's, and what they draw."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference  # type: ignore[import-untyped]  # scikit-learn has no types
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve  # type: ignore[import-untyped]
from torch import nn

from annpipe import Dataset, OptionError, RunView
from annpipe_std.metrics.ranking import levels_of
from annpipe_std.plots.calibration import calibration, reliability
from annpipe_std.plots.confusion_matrix import confusion
from annpipe_std.plots.curves import precision_recall_points, roc_points
from annpipe_std.plots.per_class import per_class, scores_of_classes
from annpipe_std.plots.precision_recall_curve import precision_recall_curve
from annpipe_std.plots.roc_curve import roc_curve
from tests.sampling import sample

Columns = Mapping[str, torch.Tensor]
PLOTS: list[Callable[[RunView], Figure]] = [roc_curve, precision_recall_curve, calibration, per_class]
SEEDS = range(6)


def two(seed: int, rows: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores with ties among them, and whether each row is of the class."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.randint(2, (rows,), generator=generator).bool()
    return ((inside + torch.randn(rows, generator=generator, dtype=torch.float64)) * 4).round() / 4, inside


def several(seed: int, classes: int, rows: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (rows,), generator=generator)
    noise = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return noise + 2 * torch.nn.functional.one_hot(labels, classes), labels


def view(targets: Columns, outputs: Columns, loss: str = "CrossEntropyLoss", **names: tuple[str, ...]) -> RunView:
    """A run of one split; the only input is the row's number."""
    rows = len(next(iter(targets.values())))
    train = Dataset({"row": torch.arange(rows).double()}, targets, categories=names)

    def predict(inputs: Columns) -> Columns:
        return {name: output[inputs["row"].long()] for name, output in outputs.items()}

    raw = frozenset(targets) if loss == "BCEWithLogitsLoss" else frozenset()
    return RunView("toy", train, None, None, {}, predict, nn.Linear(1, 1), loss, raw_scores=raw)


def labels(axes: Axes) -> list[str]:
    drawn = axes.get_legend()
    return [text.get_text() for text in drawn.get_texts()] if drawn else []


def values(axes: Axes) -> list[float]:
    """The numbers at the end of the legend's words."""
    return [float(found[1]) for label in labels(axes) if (found := re.search(r"(?:AUC|AP) ([\d.]+)$", label))]


def save(figure: Figure) -> int:
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return len(file.getvalue())


@pytest.mark.parametrize("seed", SEEDS)
def test_roc_points_are_those_of_scikit_learn(seed: int) -> None:
    """With every corner, ties as one."""
    score, inside = two(seed)
    false, true = roc_points(levels_of(score, inside))
    wanted_false, wanted_true, _ = reference.roc_curve(inside, score, drop_intermediate=False)
    np.testing.assert_allclose(false, wanted_false, atol=1e-12)
    np.testing.assert_allclose(true, wanted_true, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_precision_recall_points_are_those_of_scikit_learn(seed: int) -> None:
    """It begins with the lowest score, we with the highest."""
    score, inside = two(seed)
    recall, precision = precision_recall_points(levels_of(score, inside))
    wanted_precision, wanted_recall, _ = reference.precision_recall_curve(inside, score)
    np.testing.assert_allclose(recall, wanted_recall[::-1], atol=1e-12)
    np.testing.assert_allclose(precision, wanted_precision[::-1], atol=1e-12)


@pytest.mark.parametrize(("seed", "bins"), [(0, 10), (1, 5), (2, 17), (3, 2)])
def test_the_reliability_diagram_is_scikit_learns(seed: int, bins: int) -> None:
    """The same points, and the error of its definition, summed up part by part."""
    score, inside = two(seed, rows=500)
    probability = score.sigmoid()
    told = reliability(probability, inside, bins)
    true, predicted = calibration_curve(inside, probability, n_bins=bins, strategy="uniform")
    there = told.rows > 0
    np.testing.assert_allclose(told.true[there], true)
    np.testing.assert_allclose(told.predicted[there], predicted)
    error = 0.0
    for part in range(bins):
        mine = (probability > part / bins) & (probability <= (part + 1) / bins)
        if mine.any():
            gap = float((probability[mine].mean() - inside[mine].double().mean()).abs())
            error += gap * int(mine.sum()) / len(inside)
    assert told.error == pytest.approx(error)
    assert told.rows.sum() == len(inside)


def test_probabilities_at_the_ends_have_a_part() -> None:
    """0 belongs to the first, 1 to the last; nan to none."""
    told = reliability(torch.tensor([0.0, 1.0, 0.5, torch.nan]), torch.tensor([0, 1, 1, 1]), 2)
    assert told.rows.tolist() == [2, 1]


@pytest.mark.parametrize(("seed", "classes"), [(0, 2), (1, 3), (2, 6)])
def test_scores_of_classes_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    """Precision, recall and F1 of each class; one that is never there included."""
    scores, true = several(seed, classes)
    called = scores.argmax(1)
    found = scores_of_classes(confusion(true, called, classes + 1))
    wanted = reference.precision_recall_fscore_support(true, called, labels=range(classes + 1), zero_division=0)
    np.testing.assert_allclose(found, np.stack(wanted[:3], 1))


@pytest.mark.parametrize(("plot", "score"), [
    (roc_curve, reference.roc_auc_score), (precision_recall_curve, reference.average_precision_score)
])  # fmt: skip
def test_each_class_is_held_against_the_rest(plot: Callable[[RunView], Figure], score: Any) -> None:
    """By its softmax; the values of the legend are scikit-learn's, the names those of the data."""
    logits, kind = several(3, 3)
    axes = plot(view({"kind": kind}, {"kind": logits}, kind=("ant", "bee", "cat"))).axes[0]
    wanted = [score(kind == place, logits.softmax(1)[:, place]) for place in range(3)]
    assert values(axes)[-3:] == pytest.approx(wanted, abs=6e-4)
    assert [label.partition(",")[0] for label in labels(axes)[-3:]] == ["ant", "bee", "cat"]
    assert axes.get_title("left") == "train, 300 rows"


def test_of_two_classes_one_curve_is_drawn() -> None:
    """The second's: the other is its mirror image; without names the legend needs none."""
    logits, kind = several(4, 2)
    wanted = reference.roc_auc_score(kind, logits.softmax(1)[:, 1])
    axes = roc_curve(view({"kind": kind}, {"kind": logits})).axes[0]
    assert labels(axes) == ["chance, AUC 0.5", f"AUC {wanted:.3f}"]
    named = precision_recall_curve(view({"kind": kind}, {"kind": logits}, kind=("bad", "good"))).axes[0]
    assert labels(named)[0] == f"chance, AP {float(kind.double().mean()):.3f}"
    assert labels(named)[1].startswith("good, AP ")


@pytest.mark.parametrize("as_one_tensor", [True, False])
def test_several_targets_of_zeros_and_ones_have_a_curve_each(as_one_tensor: bool) -> None:
    """Multi-label: columns of their own, or one tensor (rows, labels)."""
    pairs = [two(seed) for seed in SEEDS[:3]]
    targets = {f"tag_{n}": inside.double() for n, (_, inside) in enumerate(pairs)}
    outputs = {f"tag_{n}": score for n, (score, _) in enumerate(pairs)}
    if as_one_tensor:
        targets, outputs = ({"tag": torch.stack(list(columns.values()), 1)} for columns in (targets, outputs))
    run = view(targets, outputs, "BCEWithLogitsLoss")
    axes = roc_curve(run).axes[0]
    assert labels(axes)[1:] == [f"tag_{n}, AUC {reference.roc_auc_score(i, s):.3f}" for n, (s, i) in enumerate(pairs)]
    bars = per_class(run).axes[0]
    assert [text.get_text().split("\n")[0] for text in bars.get_xticklabels()] == ["tag_0", "tag_1", "tag_2"]
    f1 = [bar.get_height() for bar in bars.patches[6:]]
    assert f1 == pytest.approx([reference.f1_score(inside, score > 0) for score, inside in pairs])
    assert len([axes for axes in calibration(run).axes if axes.get_ylabel() == "rows"]) == 3


def test_a_logit_is_calibrated_as_its_sigmoid_and_a_probability_as_it_is() -> None:
    """Both losses of the same model draw the same diagram."""
    score, inside = two(0)
    drawn = []
    for loss, output in (("BCEWithLogitsLoss", score), ("BCELoss", score.sigmoid())):
        axes = calibration(view({"bit": inside.double()}, {"bit": output}, loss)).axes[0]
        drawn.append(np.asarray(axes.get_lines()[-1].get_data()))
    np.testing.assert_allclose(drawn[0], drawn[1])


def test_confidence_of_several_classes_is_that_of_the_predicted_one() -> None:
    """Its ECE stands in the title."""
    logits, kind = several(5, 4)
    figure = calibration(view({"kind": kind}, {"kind": logits}), bins=8)
    told = reliability(logits.softmax(1).max(1).values, logits.argmax(1) == kind, 8)
    assert figure.axes[0].get_title("left") == f"train, 300 rows: ECE {told.error:.3f}"
    assert figure.axes[1].get_xlabel() == "predicted probability of the predicted class"
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 300


def test_bars_of_a_class_are_its_figures() -> None:
    """With its rows under its name."""
    logits, kind = several(6, 3)
    axes = per_class(view({"kind": kind}, {"kind": logits}, kind=("ant", "bee", "cat"))).axes[0]
    wanted = reference.precision_recall_fscore_support(kind, logits.argmax(1))
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(3, 3)
    np.testing.assert_allclose(heights, np.stack(wanted[:3]))
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        f"{name}\n({count})" for name, count in zip(("ant", "bee", "cat"), wanted[3], strict=True)
    ]


def test_of_many_classes_the_worst_are_drawn() -> None:
    """The lowest in colours, the rest in grey or not at all, and the figure says so."""
    logits, kind = several(7, 100, rows=4000)
    run = view({"kind": kind}, {"kind": logits})
    areas = sorted(reference.roc_auc_score(kind == place, logits.softmax(1)[:, place]) for place in range(100))
    axes = roc_curve(run).axes[0]
    assert values(axes)[1:9] == pytest.approx(areas[:8], abs=6e-4)
    assert labels(axes)[-1] == f"92 others, AUC {areas[8]:.3f} to {areas[-1]:.3f}"
    bars = per_class(run).axes[0]
    f1 = reference.f1_score(kind, logits.argmax(1), average=None)
    drawn = [int(text.get_text().split()[0]) for text in bars.get_xticklabels()]
    assert drawn == sorted(np.argsort(f1)[:20])
    assert bars.get_title("left") == "train, 4,000 rows: the 20 of 100 classes with the lowest F1"


@pytest.mark.slow
@pytest.mark.parametrize("plot", sample(PLOTS, 2))
def test_figures_of_scores_survive_strange_runs(plot: Callable[[RunView], Figure]) -> None:
    """No rows, one row, one class, no label, nan, a hundred thousand rows: drawn or said, without a warning."""
    logits, kind = several(8, 3)
    many_logits, many = several(9, 3, rows=100_000)
    runs = [
        view({"kind": kind[:0]}, {"kind": logits[:0]}),
        view({"kind": kind[:1]}, {"kind": logits[:1]}),
        view({"kind": kind * 0}, {"kind": logits}),
        view({"kind": kind * 0 - 100}, {"kind": logits}),
        view({"kind": kind}, {"kind": logits * torch.nan}),
        view({"bit": (kind > 0).double()}, {"bit": logits[:, 0] * 1e9}, "BCEWithLogitsLoss"),
        view({"bit": (kind > 0).double()}, {"bit": logits[:, 0] * torch.nan}, "MSELoss"),
        view({"$a$": kind}, {"$a$": logits}, **{"$a$": ("$x_{", "y" * 60, "한")[:2]}),
        view({"kind": many}, {"kind": many_logits}),
    ]
    for run in runs:
        assert save(plot(run)) < 500_000


@pytest.mark.parametrize("plot", PLOTS)
def test_figures_of_scores_refuse_numbers(plot: Callable[[RunView], Figure]) -> None:
    """With a word for what they need."""
    with pytest.raises(OptionError, match="class"):
        plot(view({"y": torch.randn(20)}, {"y": torch.randn(20)}, "L1Loss"))


def test_labels_taken_for_numbers_have_no_scores() -> None:
    """They are counted class by class, and not ranked."""
    run = view({"kind": torch.tensor([0, 1, 2, 2])}, {"kind": torch.tensor([0.2, 1.1, 1.4, 2.0])}, "MSELoss")
    assert len(per_class(run).axes[0].patches) == 9
    with pytest.raises(OptionError, match="a score for each class"):
        roc_curve(run)
