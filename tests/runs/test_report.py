"""The report that a run makes at its end: for every kind of task, whatever fails, and made again later."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import unquote

import pytest

from annpipe.observer import SILENT
from annpipe.record.journal import journal
from annpipe.record.journal.events import ArtifactKept
from annpipe.report.figures import MOST_BYTES, embedded
from annpipe.runs import report as reports
from annpipe.runs.report import make_report
from tests.training import Go

SHORT = "train: {epochs: 3, batch_size: 16}\noptimizer: {Adam: {lr: 0.01}}\n"
REGRESSION = f"""
version: 1
name: square
description: What it is for.
data:
  formula: {{rows: 60, inputs: {{x: {{Uniform: [-3, 3]}}, z: {{Uniform: [0, 1]}}}}, targets: {{y: x**2 + z}}}}
  split: {{test: 0.3}}
model: [Linear: 8, ReLU, Linear: 1]
loss: MSELoss
metrics: [R2Score]
{SHORT}"""
BINARY = f"""
version: 1
name: sign
data: {{formula: {{rows: 60, inputs: {{x: {{Uniform: [-3, 3]}}}}, targets: {{positive: x > 0}}}}, split: {{val: 0.3}}}}
model: [Linear: 1]
loss: BCEWithLogitsLoss
{SHORT}"""
CLASSES = f"""
version: 1
name: thirds
data:
  formula: {{rows: 60, inputs: {{x: {{Uniform: [0, 3]}}}}, targets: {{third: floor(x)}}}}
  split: {{test: 0.3, stratify: third}}
model: [Linear: 3]
loss: CrossEntropyLoss
{SHORT}"""
HEADS = f"""
version: 1
name: two
data: {{formula: {{rows: 60, inputs: {{x: {{Uniform: [-3, 3]}}}}, targets: {{y: x**2, k: "where(x > 0, 1, 0)"}}}}}}
model:
  layers: [Linear: 8, ReLU]
  outputs:
    y: {{layers: [Linear: 1], loss: MSELoss}}
    k: {{layers: [Linear: 2], loss: CrossEntropyLoss}}
{SHORT}"""
ARRAYS = """
import torch
from annpipe import Dataset, data


@data
def arrays(rows: int = 40) -> Dataset:
    x = torch.rand(rows, 1, 6, 6, dtype=torch.float64)
    return Dataset({"image": x}, {"label": (x.mean((1, 2, 3)) > 0.5).long()})


@data
def series(rows: int = 40) -> Dataset:
    x = torch.rand(rows, 12, 1, dtype=torch.float64)
    return Dataset({"wave": x}, {"next": x[:, -1, 0]})
"""
LOSSES = """
import torch
from annpipe import loss


@loss
class Strange(torch.nn.Module):
    def forward(self, prediction, target):
        assert len(prediction) > 1, "no single row"
        return (prediction - target).abs().max()
"""
IMAGES = f"""
version: 1
name: images
plugins: [arrays.py]
data: {{arrays: 40, split: {{test: 0.5}}}}
model: [{{Conv2d: {{out_channels: 2, kernel_size: 3}}}}, ReLU, Flatten, Linear: 2]
loss: CrossEntropyLoss
{SHORT}"""
SERIES = f"""
version: 1
name: waves
plugins: [arrays.py]
data: {{series: 40}}
model: [Flatten, Linear: 1]
loss: L1Loss
{SHORT}"""
STRANGE = f"""
version: 1
name: strange
plugins: [losses.py]
data: {{formula: {{rows: 40, inputs: {{x: {{Uniform: [-3, 3]}}}}, targets: {{y: x}}}}}}
model: [Linear: 1]
loss: Strange
{SHORT}"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (REGRESSION, ["Regression of y (numbers) from x, z", "18 rows of test", "least squares", "Importance", "R²"]),
        (BINARY, ["accuracy", "18 rows of val", "the most frequent class", "Calibration", "Rows of each class"]),
        (CLASSES, ["Classification of third (3 classes)", "the predicted class", "precision"]),
        (HEADS, ["accuracy of k", "root mean squared error of y", "No rows are held out"]),
        (IMAGES, ["class", 'class="pixels"', "Conv2d", "4 × 4"]),
        (SERIES, ['class="spark"', "Flatten", "median of train"]),
    ],
    ids=["regression", "binary", "classes", "heads", "images", "series"],
)
def test_each_kind_of_task_has_a_report(spec: str, expected: list[str], go: Go) -> None:
    """Page and model card are in the folder, are shipped, and say what they are to say."""
    gone = go(spec, arrays=ARRAYS)
    assert gone.outcome.status == "FINISHED", gone.outcome.error
    assert not [line for line in gone.said if "report" in line]
    page = (gone.folder / "report.html").read_text(encoding="utf-8")
    missing = [words for words in expected if words not in page]
    assert not missing
    assert "http" not in page.partition("<main>")[2]
    assert len(page.encode()) < 2_000_000
    card = (gone.folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# ")
    assert "## Make it again" in card
    kept = [event.file for event in journal.read(gone.folder) if isinstance(event, ArtifactKept) and not event.to]
    assert kept[-2:] == ["report.html", "README.md"]


def test_a_loss_without_a_known_meaning_has_a_report(go: Go) -> None:
    """Its target is compared as a number; a loss that takes no single row has no worst rows."""
    gone = go(STRANGE, losses=LOSSES)
    page = (gone.folder / "report.html").read_text(encoding="utf-8")
    assert '<div class="what">root mean squared error</div>' in page
    assert "Rows of the largest loss" not in page


def test_a_report_that_fails_costs_no_run(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a warning with its reason, and with the command that tries again."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("for a test")

    monkeypatch.setattr(reports, "measure", fail)
    gone = go(REGRESSION)
    assert gone.outcome.status == "FINISHED"
    assert journal.status(gone.folder) == "FINISHED"
    (warning,) = [line for line in gone.said if "report" in line]
    assert "ZeroDivisionError: for a test" in warning
    assert f"annpipe report {gone.folder.name}" in warning


def test_a_spec_may_ask_for_no_report(go: Go) -> None:
    """Its rows may be nobody's to read."""
    gone = go(REGRESSION, "tracking.report=false")
    assert not (gone.folder / "report.html").exists()


def test_a_report_is_made_again_with_boosted_trees(go: Go, tmp_path: Path) -> None:
    """From the folder alone, with the same headline."""
    gone = go(REGRESSION)
    before = (gone.folder / "report.html").read_text(encoding="utf-8")
    made = make_report(gone.folder, SILENT, ("report.html", tmp_path / "again.html"))
    again = (tmp_path / "again.html").read_text(encoding="utf-8")
    (result,) = made.results
    assert "gradient-boosted trees" in [other.name for other in result.compared]
    assert "gradient-boosted trees</td>" not in before
    assert f'<div class="value">{result.in_words(result.headline.value)}</div>' in before
    assert "What it is for." in again


def test_a_run_whose_model_is_gone_has_a_report_of_its_journal(go: Go, tmp_path: Path) -> None:
    """It says what cannot be measured, and why."""
    gone = go(REGRESSION)
    (gone.folder / "model" / "weights.safetensors").unlink()
    make_report(gone.folder, SILENT, ("report.html", tmp_path / "again.html"))
    page = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert "The model cannot be measured" in page
    assert "Learning curves" in page
    assert "The network" not in page


def test_a_drawing_in_a_page_is_the_file_but_for_digits_of_its_paths(tmp_path: Path) -> None:
    """Its texts, whatever their letters, its styles and its transforms stay as they are."""
    svg = (
        '<svg style="a: #fff"><path d="M 1.23456 2 \nL -0.98765 3" transform="scale(0.015625)"/>é 코 &amp; 100 %</svg>'
    )
    (tmp_path / "a.svg").write_text(svg, encoding="utf-8", newline="\n")
    (figure,), _ = embedded([tmp_path / "a.svg"], tmp_path)
    expected = svg.replace("1.23456", "1.23").replace("-0.98765", "-0.98").replace("\n", " ")
    assert unquote(figure.address.removeprefix("data:image/svg+xml,")) == expected
    assert not {'"', "<", ">", "&", "#"} & set(figure.address)


def test_figures_beyond_the_room_of_a_page_are_named(tmp_path: Path) -> None:
    """They stay files; what finds room is in the page, and is the same picture."""
    small, large, other = tmp_path / "small.png", tmp_path / "large.png", tmp_path / "table.csv"
    small.write_bytes(b"\x89PNG small")
    large.write_bytes(bytes(MOST_BYTES))
    other.write_text("a,b\n", encoding="utf-8", newline="\n")
    figures, left_out = embedded([small, large, other], tmp_path)
    assert left_out == ("large.png", "table.csv")
    (figure,) = figures
    assert base64.b64decode(figure.address.partition("base64,")[2]) == b"\x89PNG small"
