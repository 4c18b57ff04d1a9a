"""The figures, drawn from real small runs: what they show, what they survive, and how large they grow."""

from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import nn

from annpipe import Dataset, RunView
from annpipe_std.plots.activations import activations
from annpipe_std.plots.columns import bin_edges
from annpipe_std.plots.data import data
from annpipe_std.plots.learning_curve import learning_curve
from annpipe_std.plots.predictions import predictions
from annpipe_std.plots.style import panels
from tests.sampling import sample

Columns = Mapping[str, torch.Tensor]
PLOTS: list[Callable[[RunView], Figure]] = [data, learning_curve, predictions, activations]
HISTORY = {"train/loss": ([1, 2, 3], [4.0, 2.0, 1.0]), "val/loss": ([1, 2, 3], [5.0, 3.0, 4.0])}
GENERATOR = torch.Generator().manual_seed(0)


def quadratic(rows: int) -> Dataset:
    """The tutorial's data."""
    x = torch.rand(rows, generator=GENERATOR, dtype=torch.float64) * 30 - 15
    noise = 5 * torch.randn(rows, generator=GENERATOR, dtype=torch.float64)
    return Dataset({"x": x}, {"y": x**2 + 3 + noise}, {"y": x**2 + 3})


def total(columns: Columns) -> torch.Tensor:
    return torch.stack(list(columns.values())).sum(0)


def numbers(inputs: int, rows: int = 40) -> Dataset:
    """Some inputs and their sum."""
    drawn = {f"x{n}": torch.randn(rows, generator=GENERATOR, dtype=torch.float64) for n in range(inputs)}
    return Dataset(drawn, {"y": total(drawn)})


def view(train: Dataset, **changes: Any) -> RunView:
    """A run whose predictions are the sum of the inputs, for every target."""

    def predict(columns: Columns) -> Columns:
        return {target: total(columns) for target in train.targets}

    usual: dict[str, Any] = {
        "name": "toy", "train": train, "val": None, "test": None, "history": HISTORY, "predict": predict,
        "model": nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)), "loss": "L1Loss",
    }  # fmt: skip
    return RunView(**(usual | changes))


def svg(figure: Figure) -> str:
    """The figure as the engine saves it; must be well-formed XML."""
    file = io.StringIO()
    figure.savefig(file, format="svg")
    ElementTree.fromstring(file.getvalue())
    return file.getvalue()


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def labels(axes: Axes) -> list[str]:
    """The words of the legend."""
    drawn = axes.get_legend()
    return [text.get_text() for text in drawn.get_texts()] if drawn else []


def labels_below(figure: Figure) -> list[str]:
    """The words of the legend that stands below all panels."""
    return [text.get_text() for drawn in figure.legends for text in drawn.get_texts()]


def line(axes: Axes, label: str) -> Line2D:
    return next(line for line in axes.get_lines() if str(line.get_label()).startswith(label))


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


ROW = torch.ones(1, dtype=torch.float64)
STRANGE: dict[str, RunView] = {
    "one row": view(Dataset({"x": ROW}, {"y": ROW}, {"y": ROW})),
    "constant": view(Dataset({"x": ROW.repeat(50)}, {"y": ROW.repeat(50)})),
    "two inputs, one row": view(Dataset({"a": ROW, "b": ROW}, {"y": ROW * 0.5})),
    "two inputs": view(numbers(2)),
    "nine inputs": view(numbers(9)),
    "no rows": view(Dataset({"x": ROW[:0]}, {"y": ROW[:0]})),
    "names of all kinds": view(
        Dataset({"$x$_{y": ROW.repeat(3)}, {"_$\\alpha": ROW.repeat(3), "<&>" * 40: ROW.repeat(3)}), name="$a^$ <b>"
    ),
    "many targets": view(Dataset({"x": ROW.repeat(9)}, {f"y{n}": torch.arange(9.0).double() for n in range(9)})),
    "predicts nan": view(quadratic(20), predict=lambda columns: {"y": total(columns) * float("nan")}),
    "predicts a column": view(quadratic(20), predict=lambda columns: {"y": total(columns)[:, None].float()}),
    "images": view(
        Dataset({"image": torch.zeros(3, 1, 4, 4)}, {"y": torch.tensor([0, 1, 1])}),
        predict=lambda columns: {"y": torch.eye(3)[: len(columns["image"]), :2]},
    ),
    "images to images": view(Dataset({"image": torch.zeros(3, 4, 4)}, {"mask": torch.zeros(3, 4, 4)})),
    "no history": view(quadratic(20), history={}),
    "one epoch": view(quadratic(20), history={"train/loss": ([1], [0.5])}),
    "zero losses": view(quadratic(20), history={"train/loss": ([1, 2, 3], [0.5, 0.0, 0.0])}),
    "all zero": view(quadratic(20), history={"train/loss": ([1, 2], [0.0, 0.0])}),
    "negative losses": view(quadratic(20), history={"train/loss": ([1, 2, 3], [0.5, 0.0, -4.0])}),
    "only nan": view(quadratic(20), history={"train/loss": ([1, 2], [float("nan"), float("inf")])}),
    "no model to speak of": view(quadratic(20), model=nn.Linear(1, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "plot"), sample(itertools.product(STRANGE, PLOTS), 7))
def test_every_figure_survives_strange_runs(name: str, plot: Callable[[RunView], Figure]) -> None:
    """Drawn and saved without an error or a warning."""
    svg(plot(STRANGE[name]))


@pytest.mark.slow
@pytest.mark.parametrize("plot", sample(PLOTS, 2))
def test_large_runs_make_small_files(plot: Callable[[RunView], Figure]) -> None:
    """A million rows and epochs stay under 500 kB, and the label says how many rows are drawn."""
    epochs = list(range(1_000_000))
    losses = (3 + np.random.default_rng(0).random(1_000_000)).tolist()
    for train in (quadratic(1_000_000), numbers(2, 100_000), numbers(6, 100_000)):
        figure = plot(view(train, history={"train/loss": (epochs, losses), "val/loss": (epochs, losses)}))
        assert len(svg(figure)) < 500_000


@pytest.mark.slow
def test_a_sample_of_the_rows_is_named_and_always_the_same() -> None:
    """So that two runs can be held side by side."""
    run = view(quadratic(50_000))
    assert labels(data(run).axes[0]) == ["train, 2,000 of 50,000 rows", "truth, without noise"]
    assert png(data(run)) == png(data(run))


@pytest.mark.slow
@pytest.mark.parametrize("plot", PLOTS)
def test_figures_look_the_same_whatever_the_settings(plot: Callable[[RunView], Figure]) -> None:
    """A matplotlibrc of the user's neither changes them nor is changed by them."""
    run = view(numbers(2))
    plain = png(plot(run))
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "figure.figsize": (1, 1)}):
        figure = plot(run)
        assert matplotlib.rcParams["font.size"] == 30
    assert png(figure) == plain


def test_data_shows_rows_and_the_true_curve() -> None:
    """Each split in its own colour, the axes named after the columns."""
    axes = data(view(quadratic(70), val=quadratic(20), test=quadratic(10))).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert labels(axes) == ["train, 70 rows", "val, 20 rows", "test, 10 rows", "truth, without noise"]
    x, y = (np.asarray(values) for values in line(axes, "truth").get_data())
    assert (np.diff(x) >= 0).all()
    np.testing.assert_allclose(y, x**2 + 3)
    colours = {str(line(axes, name).get_color()) for name in ("train", "val", "test", "truth")}
    assert len(colours) == 4


def test_data_of_two_inputs_is_coloured_by_the_target() -> None:
    """Classes have marks of their own, numbers a colour bar."""
    bits = torch.tensor([0.0, 0, 1, 1]).double()
    xor = Dataset({"a": bits, "b": bits[[0, 2, 1, 3]]}, {"y": torch.tensor([0.0, 1, 1, 0]).double()})
    assert labels_below(data(view(xor))) == ["y = 0", "y = 1"]
    assert data(view(numbers(2))).axes[1].get_ylabel() == "y"


def test_classes_have_their_names_on_the_axes_and_room_beside_one_another() -> None:
    """Rows of one class are set apart by chance, always in the same way and never as far as the next class."""
    words = ("near", "far")
    rows = torch.arange(40)
    train = Dataset(
        {"place": (rows % 2).double()}, {"kind": rows % 3}, categories={"place": words, "kind": ("a", "b", "c")}
    )
    axes = data(view(train)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["near", "far"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    x, y = (np.asarray(values) for values in line(axes, "train").get_data())
    assert (x.round() == train.inputs["place"].numpy()).all()
    assert (y.round() == train.targets["kind"].numpy()).all()
    assert len(np.unique(x)) == len(np.unique(y)) == 40
    assert abs(np.corrcoef(x - x.round(), y - y.round())[0, 1]) < 0.5
    again = line(data(view(train)).axes[0], "train").get_data()
    assert (np.asarray(again[0]) == x).all()


def test_large_numbers_are_written_short() -> None:
    """Thousands and millions by a letter, so that they do not meet."""
    train = Dataset({"x": torch.linspace(0, 2e5, 20).double()}, {"y": torch.linspace(-3e6, 3e6, 20).double()})
    axes = data(view(train)).axes[0]
    assert {"100K", "0"} <= {label.get_text() for label in axes.get_xticklabels()}
    assert {"\N{MINUS SIGN}2M", "2M"} <= {label.get_text() for label in axes.get_yticklabels()}


@pytest.mark.parametrize("step", [1.0, 0.25, 7.0])
@pytest.mark.parametrize("n_different", [3, 12, 29, 30, 90, 1000])
def test_bins_of_whole_numbers_hold_as_many_of_them_each(step: float, n_different: int) -> None:
    """So that no bar is missing, or twice as high, by chance of its edges; the last may lack some."""
    values = np.repeat(np.arange(n_different) * step - 5, 3)
    edges = bin_edges(values)
    counts = np.histogram(values, edges)[0]
    assert counts.sum() == len(values)
    assert len(counts) <= 30
    assert len(set(counts[:-1])) <= 1
    assert 0 < counts[-1] <= counts[0]


def test_data_of_many_inputs_has_a_panel_for_each() -> None:
    """Up to six."""
    assert [axes.get_xlabel() for axes in data(view(numbers(3))).axes] == ["x0", "x1", "x2"]
    assert len(data(view(numbers(9))).axes) == 6


@pytest.mark.slow
def test_the_learning_curve_marks_the_best_epoch() -> None:
    """Of the validation loss where there is one."""
    axes = learning_curve(view(quadratic(20))).axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "loss (L1Loss)"
    assert labels(axes) == ["train/loss", "val/loss", "best val/loss: 3 at epoch 2"]
    alone = learning_curve(view(quadratic(20), history={"train/loss": ([5, 10], [3.0, 2.5])})).axes[0]
    assert labels(alone) == ["train/loss", "best train/loss: 2.5 at epoch 10"]


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([9.0, 3, 1], "log"), ([9.0, 3, 0], "symlog"), ([1.0, 0, -1], "linear"), ([2.0, 2, 2], "linear")],
)
def test_the_axis_suits_the_losses(losses: list[float], scale: str) -> None:
    """A log axis cannot show zero, nor a negative loss."""
    axes = learning_curve(view(quadratic(20), history={"train/loss": ([1, 2, 3], losses)})).axes[0]
    assert axes.get_yscale() == scale


def test_losses_that_are_not_finite_are_counted() -> None:
    """They cannot be drawn; the legend says how many there are."""
    history = {"train/loss": ([1, 2, 3], [2.0, float("nan"), 1.0])}
    assert labels(learning_curve(view(quadratic(20), history=history)).axes[0])[-1] == "not finite: 1 value, left out"


def test_a_spike_in_a_long_history_is_still_drawn() -> None:
    """Thinning keeps the lowest and the highest of each stretch."""
    losses = np.ones(100_000)
    losses[54_321] = 77.0
    axes = learning_curve(view(quadratic(20), history={"train/loss": (list(range(100_000)), losses.tolist())})).axes[0]
    assert max(np.max(np.asarray(drawn.get_ydata())) for drawn in axes.get_lines()) == 77.0


def test_predictions_of_one_input_are_a_curve_over_the_data() -> None:
    """Over the whole range of all splits, as the model gives it."""
    run = view(quadratic(100), val=quadratic(20), predict=lambda columns: {"y": columns["x"] ** 2})
    axes = predictions(run).axes[0]
    x, y = (np.asarray(values) for values in line(axes, "prediction").get_data())
    np.testing.assert_allclose(y, x**2)
    seen = torch.cat([run.train.inputs["x"], run.val.inputs["x"] if run.val else ROW])
    assert (x[0], x[-1]) == (float(seen.min()), float(seen.max()))
    assert labels(axes)[-2:] == ["truth, without noise", "prediction"]


def test_predictions_of_two_inputs_are_a_surface() -> None:
    """With the rows on it, on the same scale of colours."""
    figure = predictions(view(numbers(2)))
    (mesh,) = (
        drawn for drawn in figure.axes[0].collections if drawn.get_array() is not None and drawn.get_rasterized()
    )
    values = torch.cat([numbers(2).targets["y"]])
    assert mesh.get_clim()[0] < float(values.mean()) < mesh.get_clim()[1]
    assert figure.axes[1].get_ylabel() == "predicted y"


def test_predictions_of_many_inputs_stand_against_the_truth() -> None:
    """With the line on which they would be right."""
    axes = predictions(view(numbers(3))).axes[0]
    true, predicted = (np.asarray(values) for values in line(axes, "train").get_data())
    np.testing.assert_allclose(true, predicted)
    assert labels(axes) == ["train, 40 rows", "predicted = true"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true y", "predicted y")


def test_predictions_of_classes_are_counted() -> None:
    """Scores or labels, true class by predicted class."""
    truth = torch.tensor([0, 1, 2, 2])
    train = Dataset({"x": torch.arange(4.0).double()}, {"kind": truth})
    scores = torch.eye(3)[torch.tensor([0, 1, 2, 1])]
    for output in (scores, scores.argmax(1)):
        figure = predictions(view(train, predict=lambda columns, output=output: {"kind": output}))
        assert words(figure).split()[::2] == ["1", "0", "0", "0", "1", "0", "0", "1", "1"]  # after each its share
        assert figure.axes[0].get_title("left") == "train, 4 rows: 75.0% right"


def halves(columns: Columns) -> Columns:
    """Class 2 above the line a + b = 0, class 0 below; class 1 nowhere."""
    above = total(columns) > 0
    return {"kind": torch.stack([~above, above & False, above], 1).double() * 9}


def test_classes_of_two_inputs_are_regions_of_the_plane() -> None:
    """Each place in the colour of the class that the model calls, the boundary where two are called alike."""
    train = numbers(2)
    kind = torch.where(train.targets["y"] > 0, 2, 0)
    classes = Dataset(train.inputs, {"kind": kind}, categories={"kind": ("low", "mid", "high")})
    figure = predictions(view(classes, predict=halves))
    assert labels_below(figure) == ["decision boundary", "kind = low", "kind = high"]
    axes = figure.axes[0]
    low, high = (np.array(to_rgb(line(axes, f"kind = {name}").get_color())) for name in ("low", "high"))
    (mesh,) = (drawn for drawn in axes.collections if drawn.get_rasterized())
    painted = np.asarray(mesh.get_array()).reshape(-1, 3)
    for colour, corner in ((low, painted[0]), (high, painted[-1])):
        np.testing.assert_allclose(corner, 1 - 0.5 * (1 - colour), atol=0.01)
    (boundary, *_) = (drawn.get_paths()[0].vertices for drawn in axes.collections if drawn is not mesh)
    assert np.abs(np.asarray(boundary).sum(1)).max() < 0.1


def test_two_classes_of_one_output_are_regions_too() -> None:
    """A 0 or 1 against a single logit, whatever its type; for a loss that compares numbers it stays a surface."""
    train = numbers(2)
    bit = (train.targets["y"] > 0).long()
    for values in (bit, bit.double()):
        run = view(
            Dataset(train.inputs, {"bit": values}), predict=lambda c: {"bit": total(c)}, raw_scores=frozenset({"bit"})
        )
        assert labels_below(predictions(run)) == ["decision boundary", "bit = 0", "bit = 1"]
    surface = predictions(view(Dataset(train.inputs, {"bit": bit.double()}), predict=lambda c: {"bit": total(c)}))
    assert surface.axes[1].get_ylabel() == "predicted bit"


def test_activations_are_those_of_the_model() -> None:
    """Each kind once, with its derivative; layers that are no function of one number are left out."""
    model = nn.Sequential(
        nn.Linear(1, 8), nn.ReLU(inplace=True), nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.ReLU(inplace=True)),
        nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Softmax(1), nn.Flatten(), nn.Sigmoid(), nn.LeakyReLU(0.2), nn.LSTM(8, 8),
        nn.Embedding(3, 2), nn.Identity(),
    )  # fmt: skip
    figure = activations(view(quadratic(20), model=model))
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert titles == ["ReLU", "Tanh", "Sigmoid", "LeakyReLU(negative_slope=0.2)"]
    x, slope = (np.asarray(values) for values in line(figure.axes[1], "f'(x)").get_data())
    np.testing.assert_allclose(slope, 1 - np.tanh(x) ** 2, atol=1e-12)


def test_activations_leave_the_model_as_it_was() -> None:
    """Neither its mode, nor its precision, nor its gradients change."""
    model = nn.Sequential(nn.Linear(1, 3), nn.PReLU()).train()
    activations(view(quadratic(20), model=model))
    assert model[1].training
    assert all(p.dtype == torch.float32 and p.grad is None for p in model.parameters())


@pytest.mark.parametrize(("count", "size"), [(1, (6.4, 4.0)), (2, (9.0, 4.0)), (3, (11.0, 4.0)), (6, (11.0, 6.4))])
def test_figures_grow_with_their_panels(count: int, size: tuple[float, float]) -> None:
    """One panel is 6.4 by 4 inches."""
    figure, axes = panels(view(quadratic(3)), "title", count)
    assert len(axes) == count
    assert tuple(figure.get_size_inches()) == size


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_words_and_missing_numbers_span_no_plane(n_inputs: int) -> None:
    """Predictions stand against the truth then: between words there is nothing, and of nan no margin."""
    random = torch.linspace(0, 1, 20, dtype=torch.float64)
    inputs = {name: random * place for place, name in enumerate(("a", "b")[:n_inputs], start=1)}
    gap = inputs | {"a": torch.where(random == 0, torch.nan, random)}
    for columns, categories in ((gap, {}), (inputs | {"a": random.round()}, {"a": ("no", "yes")})):
        drawn = predictions(view(Dataset(columns, {"y": random}, categories=categories)))
        assert drawn.axes[0].get_xlabel() == "true y"
        svg(drawn)
    assert predictions(view(Dataset(inputs, {"y": random}))).axes[0].get_xlabel() == "a"
