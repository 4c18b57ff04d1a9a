"""Every plot of the library on odd data: no text lies on another, and matplotlib warns of nothing."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from torch import nn

from annpipe import Dataset, OptionError, Registry, RunView
from annpipe.files.figure_fit import labels_meet, tick_labels
from annpipe.files.figures import write_figure
from tests.sampling import sample

Columns = Mapping[str, torch.Tensor]
GENERATOR = torch.Generator().manual_seed(0)
REGISTRY = Registry.installed()
PLOTS = sorted(entry.name for entry in REGISTRY.entries("plot") if entry.target.startswith("annpipe_std"))
LONG = "a_column_whose_name_its_owner_wrote_out_in_full_with_the_unit_millimetres"
EPOCHS = list(range(1, 301))
HISTORY = {"train/loss": (EPOCHS, [1e5 / epoch for epoch in EPOCHS]), "val/loss": (EPOCHS, [3e5 / e for e in EPOCHS])}


def random(rows: int) -> torch.Tensor:
    return torch.randn(rows, generator=GENERATOR, dtype=torch.float64)


def labels(rows: int, classes: int) -> torch.Tensor:
    return torch.randint(classes, (rows,), generator=GENERATOR)


def view(train: Dataset, loss: str, expects: str | None, **changes: Any) -> RunView:
    """A run that gives scores of its classes, a logit, or numbers, by what its loss expects."""
    widths = {name: int(target.max()) + 1 for name, target in train.targets.items()}
    widths |= {name: len(train.categories[name]) for name in train.targets if name in train.categories}

    def predict(columns: Columns) -> Columns:
        total = torch.stack([column.nan_to_num() for column in columns.values()]).sum(0)
        steps = {name: torch.arange(max(2, width)) for name, width in widths.items()}
        if expects == "scores":
            return {name: torch.cos(total[:, None] + steps[name]) * 3 for name in train.targets}
        return dict.fromkeys(train.targets, total)

    usual: dict[str, Any] = {
        "name": "odd", "train": train, "val": None, "test": None, "history": HISTORY, "predict": predict,
        "model": nn.Sequential(nn.Linear(len(train.inputs), 12), nn.ReLU(), nn.Linear(12, len(train.targets))),
        "loss": loss, "raw_scores": frozenset(train.targets if expects == "logits" else ()),
    }  # fmt: skip
    return RunView(**(usual | changes))


def of_classes(train: Dataset, **changes: Any) -> RunView:
    return view(train, "CrossEntropyLoss", "scores", **changes)


def of_numbers(train: Dataset, **changes: Any) -> RunView:
    return view(train, "MSELoss", None, **changes)


def table(rows: int, n_inputs: int = 3) -> dict[str, torch.Tensor]:
    return {f"x{number}": random(rows) for number in range(n_inputs)}


def many_rows(rows: int) -> RunView:
    split = [Dataset(table(rows, 2), {"y": random(rows) * 1e5}) for _ in range(3)]
    return of_numbers(split[0], val=split[1], test=split[2])


def korean(rows: int = 60) -> Dataset:
    words = ("서울특별시", "부산광역시", "대구광역시")
    inputs = {"지역 코드": labels(rows, 3).double(), "면적 (제곱미터)": random(rows) * 1e6}
    return Dataset(inputs, {"종류": labels(rows, 3)}, categories={"지역 코드": words, "종류": words})


def with_gaps(rows: int = 80) -> Dataset:
    gaps = {name: torch.where(column > 1, torch.nan, column) for name, column in table(rows, 2).items()}
    place = labels(rows, 3).double()
    gaps["island"] = torch.where(place == 2, torch.nan, place)
    return Dataset(gaps, {"kind": labels(rows, 2)}, categories={"island": ("near", "far", "none")})


def long_names(n_inputs: int, rows: int = 50) -> Dataset:
    words = tuple(f"the {number}th kind of all that there are in {LONG}" for number in range(6))
    inputs = {f"{number}_{LONG}": random(rows) for number in range(n_inputs)}
    return Dataset(inputs, {f"target_{LONG}": labels(rows, 6)}, categories={f"target_{LONG}": words})


def of_both(rows: int = 40) -> RunView:
    return view(Dataset(table(rows, 1), {"y": (random(rows) > 0).double()}), "BCEWithLogitsLoss", "logits")


FORTY = tuple(f"class {number}" for number in range(40))
CASES: dict[str, Callable[[], RunView]] = {
    "one class": lambda: of_classes(Dataset(table(30), {"kind": torch.zeros(30, dtype=torch.int64)})),
    "one class of two inputs": lambda: of_classes(Dataset(table(30, 2), {"kind": torch.zeros(30, dtype=torch.int64)})),
    "40 classes": lambda: of_classes(Dataset(table(400), {"kind": labels(400, 40)}, categories={"kind": FORTY})),
    "40 classes of two inputs": lambda: of_classes(
        Dataset(table(400, 2), {"kind": labels(400, 40)}, categories={"kind": FORTY})
    ),
    "15 classes": lambda: of_classes(Dataset(table(400), {"kind": labels(400, 15)}, categories={"kind": FORTY[:15]})),
    "constant": lambda: of_numbers(Dataset({"x": torch.ones(20).double() * 2.5}, {"y": torch.ones(20).double() * 7})),
    "ten rows": lambda: many_rows(10),
    "one row": lambda: of_numbers(Dataset(table(1, 2), {"y": random(1)})),
    "large numbers": lambda: of_numbers(Dataset({"x": 1e5 + 3e4 * random(50)}, {"y": 1e9 + random(50)})),
    "nearly equal numbers": lambda: of_numbers(Dataset({"x": 123456 + 1e-3 * random(50)}, {"y": 1e-9 * random(50)})),
    "whole numbers": lambda: of_numbers(Dataset({"n": labels(300, 90).double()}, {"y": labels(300, 25).double()})),
    "missing": lambda: of_classes(with_gaps()),
    "one input, two classes": of_both,
    "Korean": lambda: of_classes(korean(), name="지역별 분류"),
    "long names": lambda: of_classes(long_names(3), name=LONG),
    "long names of eleven inputs": lambda: of_classes(long_names(11), name=f"{LONG} {LONG}"),
    "features made of long names": lambda: of_classes(long_names(5), name=LONG, transformed=True),
    "formulas": lambda: of_numbers(Dataset({"$x$_{y": random(9)}, {"_$\\alpha": random(9), "<&>" * 30: random(9)})),
    "six targets": lambda: of_numbers(Dataset(table(30, 2), {f"y{n}_{LONG}": 1e5 * random(30) for n in range(6)})),
}  # fmt: skip


def drawn(plot: str, run: RunView) -> Figure | None:
    """The figure, or None where the plot refuses the run."""
    try:
        return REGISTRY.load(REGISTRY.entry("plot", plot))(run)
    except OptionError:
        return None


def overlaps(figure: Figure) -> list[str]:
    """Each pair of texts that lie on one another, by matplotlib's own extents."""
    figure.draw_without_rendering()
    found = [f"ticks {[label.get_text() for label in ticks]}" for ticks in _ticks(figure) if labels_meet(ticks)]
    for (one, box), (other, other_box) in itertools.combinations(_boxes(figure), 2):
        if box.padded(-1.0).overlaps(other_box.padded(-1.0)):
            found.append(f"{one!r} and {other!r}")
    return found


def _axes(figure: Figure) -> list[Axis]:
    return [axis for axes in figure.axes if axes.axison for axis in (axes.xaxis, axes.yaxis)]


def _ticks(figure: Figure) -> list[list[Text]]:
    return [ticks for axis in _axes(figure) if (ticks := tick_labels(axis))]


def _boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Titles, labels of axes, the ticks of each axis as one box, legends, and texts inside panels."""
    texts = [*figure.texts]
    boxes = [("legend below", legend.get_window_extent()) for legend in figure.legends]
    for axes in figure.axes:
        titles = [child for child in axes.get_children() if isinstance(child, Text) and child not in axes.texts]
        texts += [*titles, *axes.texts]
        texts += [axes.xaxis.label, axes.yaxis.label, axes.xaxis.offsetText] if axes.axison else []
        if legend := axes.get_legend():
            boxes.append(("legend", legend.get_window_extent()))
    boxes += [
        (f"ticks {t[0].get_text()}", Bbox.union([label.get_window_extent() for label in t])) for t in _ticks(figure)
    ]
    return boxes + [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]


def beyond(figure: Figure) -> list[str]:
    """Texts that leave the figure."""
    return [
        words
        for words, box in _boxes(figure)
        if box.x0 < -2 or box.y0 < -2 or box.x1 > figure.bbox.width + 2 or box.y1 > figure.bbox.height + 2
    ]


def check(plot: str, run: RunView) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = drawn(plot, run)
        if figure is None:
            return
        file = io.BytesIO()
        write_figure(figure, file, format="svg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters without a font; what is written above has none
        assert overlaps(figure) == []
        assert beyond(figure) == []


def test_every_plot_is_looked_at() -> None:
    assert {"data", "columns", "network", "confusion_matrix", "per_class"} <= {*PLOTS}
    assert len(PLOTS) >= 12


@pytest.mark.slow
@pytest.mark.parametrize(("case", "plot"), sample(itertools.product(CASES, PLOTS), 17))
def test_no_text_lies_on_another(case: str, plot: str) -> None:
    check(plot, CASES[case]())


@pytest.mark.slow
@pytest.mark.parametrize("plot", PLOTS)
def test_a_million_rows_are_drawn_alike(plot: str) -> None:
    check(plot, many_rows(1_000_000))
