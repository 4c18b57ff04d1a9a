"""The figures of what a model gets wrong: confusion matrix and residuals, and what they refuse to draw."""

from __future__ import annotations

import io
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from annpipe import Dataset, Field, Fields, OptionError, Outline, RunView
from annpipe_std.plots.calibration import calibration
from annpipe_std.plots.confusion_matrix import confusion_matrix
from annpipe_std.plots.per_class import per_class
from annpipe_std.plots.precision_recall_curve import precision_recall_curve
from annpipe_std.plots.refusals import without_classes, without_numbers, without_scores
from annpipe_std.plots.residuals import residuals
from annpipe_std.plots.roc_curve import roc_curve

Columns = Mapping[str, torch.Tensor]
X = torch.arange(8.0).double()
KINDS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
CALLED = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
BITS = (KINDS > 0).double()


def view(train: Dataset, predict: Callable[[Columns], Columns], **changes: Any) -> RunView:
    usual: dict[str, Any] = {
        "name": "toy", "train": train, "val": None, "test": None, "history": {}, "predict": predict,
        "model": nn.Linear(1, 1), "loss": "CrossEntropyLoss",
    }  # fmt: skip
    return RunView(**(usual | changes))


def scores(columns: Columns) -> Columns:
    return {"kind": torch.eye(3)[CALLED[columns["x"].long()]]}


def same(columns: Columns) -> Columns:
    return {"y": columns["x"] + 1}


LABELLED = Dataset({"x": X}, {"kind": KINDS})
NUMBERED = Dataset({"x": X}, {"y": X**2})


def saved(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    ElementTree.fromstring(file.getvalue())
    return file.getvalue()


def fields(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_confusion_matrix_has_counts_and_shares_of_each_true_class() -> None:
    """True classes are rows, predicted ones columns."""
    figure = confusion_matrix(view(LABELLED, scores))
    assert fields(figure) == ["3\n75%", "1\n25%", "0\n0%", "0\n0%", "1\n50%", "1\n50%", "0\n0%", "0\n0%", "2\n100%"]
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted kind", "true kind")
    assert axes.get_title("left") == "train, 8 rows: 75.0% right"
    saved(figure)


@pytest.mark.parametrize("plot", [confusion_matrix, per_class, roc_curve, precision_recall_curve, calibration])
def test_scores_are_of_rows_that_were_held_out(plot: Callable[[RunView], Figure]) -> None:
    """Those of test, else of val, else of train; the title says which."""
    few, fewer = (Dataset({"x": X[-rows:]}, {"kind": KINDS[-rows:]}) for rows in (6, 5))

    def title(**others: Dataset) -> str:
        return plot(view(LABELLED, scores, **others)).axes[0].get_title("left").split(":")[0]

    assert title(val=few, test=fewer) == "test, 5 rows"
    assert title(val=few) == "val, 6 rows"
    assert title() == f"train, {LABELLED.rows} rows"


def test_labels_that_were_floats_are_classes_too() -> None:
    """A formula's targets are floats; that the model scores classes tells what they are."""
    figure = confusion_matrix(view(Dataset({"x": X}, {"kind": KINDS.double()}), scores))
    assert fields(figure)[0] == "3\n75%"


@pytest.mark.parametrize(("loss", "above"), [("BCELoss", 0.5), ("MSELoss", 0.5), ("BCEWithLogitsLoss", 0.0)])
def test_zeros_and_ones_are_two_classes(loss: str, above: float) -> None:
    """Cut at a half, or at 0 where the loss takes logits."""
    output = torch.where(CALLED > 0, above + 0.1, above - 0.1)
    figure = confusion_matrix(
        view(
            Dataset({"x": X}, {"bit": BITS}),
            lambda columns: {"bit": output[columns["x"].long()]},
            loss=loss,
            raw_scores=frozenset({"bit"} if above == 0 else ()),
        )
    )
    assert fields(figure) == ["3\n75%", "1\n25%", "0\n0%", "4\n100%"]


@pytest.mark.parametrize(("classes", "written"), [(10, 100), (15, 225), (16, 0), (100, 0)])
def test_many_classes_are_told_by_colour_alone(classes: int, written: int) -> None:
    """Numbers stand only in fields that have room for them; absent classes have no shares and no warning."""
    figure = confusion_matrix(view(LABELLED, lambda columns: {"kind": torch.eye(classes)[: len(columns["x"])]}))
    assert len(fields(figure)) == written
    assert len(saved(figure)) < 500_000


def test_a_negative_label_is_of_no_class() -> None:
    """As for CrossEntropyLoss."""
    gaps = torch.where(KINDS == 2, -100, KINDS)
    assert fields(confusion_matrix(view(Dataset({"x": X}, {"kind": gaps}), scores)))[6:] == ["0", "0", "0"]


def test_classes_have_their_names() -> None:
    """As far as the data tell them; the rest have their numbers."""
    named = Dataset({"x": X}, {"kind": KINDS}, categories={"kind": ("cat", "dog")})
    axes = confusion_matrix(view(named, scores)).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog", "2"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "dog", "2"]


def test_several_columns_of_zeros_and_ones_are_a_matrix_each() -> None:
    """In one tensor (rows, labels) as in columns of their own."""
    bits = torch.stack([BITS, 1 - BITS], 1)
    run = view(Dataset({"x": X}, {"tags": bits}), lambda columns: {"tags": bits}, loss="BCELoss")
    figure = confusion_matrix(run)
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["predicted tags_0", "predicted tags_1"]
    assert fields(figure) == ["4\n100%", "0\n0%", "0\n0%", "4\n100%"]


def test_labels_at_places_are_counted_place_by_place() -> None:
    """Scores (rows, classes, places) against labels (rows, places)."""
    train = Dataset({"x": X[:4]}, {"kind": KINDS.reshape(4, 2)})
    figure = confusion_matrix(
        view(train, lambda columns: {"kind": torch.eye(3)[CALLED].reshape(4, 2, 3).movedim(2, 1)})
    )
    assert fields(figure)[0] == "3\n75%"


OUTLINES = [
    # the target, the loss, whether it compares labels, the data; and which checks refuse that
    (Field(), "MSELoss", False, X, "without_classes"),
    (Field(), "MSELoss", False, BITS, ""),
    (Field(), "BCEWithLogitsLoss", False, None, ""),
    (Field(dtype="int", classes=3), "MSELoss", False, None, "without_scores"),
    (Field(dtype="int"), "MSELoss", False, KINDS, "without_scores"),
    (Field(dtype="int"), "MSELoss", False, BITS.long(), ""),
    (Field(), "CrossEntropyLoss", True, None, "without_numbers"),
    (Field((4, 4)), "BCELoss", False, None, "without_classes without_numbers"),
    (Field((3,)), "BCELoss", False, None, "without_numbers"),
]


@pytest.mark.parametrize(("field", "loss", "takes_classes", "values", "refused"), OUTLINES)
def test_what_cannot_be_drawn_is_known_before_the_run(
    field: Field, loss: str, takes_classes: bool, values: torch.Tensor | None, refused: str
) -> None:
    """From fields and loss; the data are made only where these do not tell, which None as values would not survive."""
    outline = Outline(
        Fields({"x": Field()}, {"y": field}),
        loss,
        takes_classes,
        dataset=lambda: Dataset({"x": X}, {"y": _there(values)}),
    )
    for check in (without_classes, without_scores, without_numbers):
        if check.__name__ in refused or (check is without_scores and "without_classes" in refused):
            with pytest.raises(OptionError):
                check(outline)
        else:
            check(outline)


def _there(values: torch.Tensor | None) -> torch.Tensor:
    assert values is not None
    return values


def test_a_confusion_matrix_of_numbers_is_refused() -> None:
    """With the loss, and what would serve."""
    with pytest.raises(OptionError, match="L1Loss is not trained on classes") as caught:
        confusion_matrix(view(NUMBERED, same, loss="L1Loss"))
    assert caught.value.help
    assert "residuals" in caught.value.help


def test_residuals_stand_against_the_predictions() -> None:
    """Prediction minus truth, every split in its colour, with the line of zero."""
    figure = residuals(view(NUMBERED, same, val=Dataset({"x": X[:3]}, {"y": X[:3] ** 2}), loss="L1Loss"))
    zero, train, val = figure.axes[0].get_lines()
    assert set(np.asarray(zero.get_ydata())) == {0}
    predicted, residual = (np.asarray(values) for values in train.get_data())
    np.testing.assert_allclose(predicted, X + 1)
    np.testing.assert_allclose(residual, X + 1 - X**2)
    assert len(np.asarray(val.get_xdata())) == 3
    assert [str(line.get_label()) for line in (zero, train, val)] == [
        "prediction = truth",
        "train, 8 rows",
        "val, 3 rows",
    ]
    assert train.get_color() != val.get_color()


@pytest.mark.slow
def test_residuals_have_a_panel_for_each_target() -> None:
    """Up to six."""
    many = Dataset({"x": X}, {f"y{n}": X for n in range(9)})
    figure = residuals(view(many, lambda columns: {f"y{n}": columns["x"][:, None] for n in range(9)}))
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["predicted y0", "predicted y1"]
    assert len([axes for axes in figure.axes if axes.get_xlabel()]) == 6


def test_residuals_count_what_cannot_be_drawn() -> None:
    """A prediction of nan or infinity has no place."""
    figure = residuals(view(NUMBERED, lambda columns: {"y": torch.where(columns["x"] > 4, torch.nan, columns["x"])}))
    assert figure.axes[0].get_lines()[1].get_label() == "train, 8 rows, 3 not finite"
    saved(figure)


@pytest.mark.parametrize(
    "run",
    [
        view(LABELLED, scores),
        view(Dataset({"x": X}, {"mask": torch.zeros(8, 4, 4)}), lambda columns: {"mask": torch.zeros(8, 4, 4)}),
    ],
)
def test_residuals_of_classes_and_images_are_refused(run: RunView) -> None:
    """They are no differences of single numbers."""
    with pytest.raises(OptionError, match="is not trained on single numbers"):
        residuals(run)


@pytest.mark.parametrize("plot", [confusion_matrix, residuals])
def test_figures_of_errors_without_rows_say_so(plot: Callable[[RunView], Figure]) -> None:
    """Rather than fail."""
    none = Dataset({"x": X[:0]}, {"y": X[:0]})
    assert fields(plot(view(none, same))) == ["There are no rows."]


def test_large_runs_make_small_residuals() -> None:
    """A million rows stay under 500 kB, and the label says how many are drawn."""
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    figure = residuals(view(Dataset({"x": x}, {"y": x**2}), same))
    assert figure.axes[0].get_lines()[1].get_label() == "train, 2,000 of 1,000,000 rows"
    assert len(saved(figure)) < 500_000


SPEC = """
version: 1
name: sides
device: {type: cpu, threads: 1}
data:
  formula: {rows: 60, inputs: {x: {Uniform: [-1, 1]}}, targets: {side: x > 0}}
  split: {val: 0.5}
model: [Linear: 8, ReLU, Linear: 1]
loss: BCEWithLogitsLoss
optimizer: Adam
train: {epochs: 2, batch_size: all}
metrics: [Precision: 0, Recall: 0, F1Score: {threshold: 0, average: micro}, CohenKappa: 0, MatthewsCorrCoef: 0,
  AUROC, AveragePrecision, MeanSquaredError: false, ExplainedVariance, PearsonCorrCoef, MeanAbsolutePercentageError]
plots: [confusion_matrix, residuals]
"""


@pytest.mark.slow
def test_a_run_measures_and_draws_by_these_names(
    annpipe: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """From the spec to the files."""
    (tmp_path / "sides.yaml").write_text(SPEC, encoding="utf-8")
    done = annpipe("run", "sides.yaml")
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in tmp_path.glob("runs/*/artifacts/plots/*")}
    assert drawn == {"confusion_matrix.svg", "residuals.svg"}
    for key in ("precision", "f1_score", "matthews_corr_coef", "auroc", "mean_squared_error", "pearson_corr_coef"):
        assert f"val/{key}" in done.stdout
