"""`annpipe lr`: the suggestion in words, as JSON and as a figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.cli.commands.lr import as_json_text, as_text, draw
from annpipe.train.loop.lr_test import RateTest
from tests.conftest import CliHere
from tests.training import Planned

SPEC = """
version: 1
name: $small$
data: {table: {inputs: {x: [0, 1, 2]}, targets: {y: [0, 2, 4]}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.125}}
train: {epochs: 1}
device: {type: cpu, threads: 1}
"""
TEST = RateTest([1e-4, 1e-3, 0.0123456, 0.1], [2.0, 1.5, 0.5, 9.0], [2.0, 1.7, 0.9, 4.0], 0.0123456)


def test_the_suggestion_says_how_to_take_it(planned: Planned) -> None:
    """Beside what the spec has."""
    text = as_text(planned(SPEC), TEST, Path("a.svg"))
    assert text.splitlines()[:3] == [
        "suggested  lr 0.012  (where the loss falls fastest)",
        "tried      4 steps from 0.0001 to 0.1",
        "figure     a.svg",
    ]
    assert "the spec has 0.125; to take the suggested one:" in text
    assert text.splitlines()[-1].endswith("spec.yaml --set optimizer.SGD.lr=0.012")


def test_the_test_as_json() -> None:
    """With the numbers in full."""
    assert json.loads(as_json_text(TEST, Path("a.svg"))) == {
        "suggested": 0.0123456,
        "rates": TEST.rates,
        "losses": TEST.losses,
        "smoothed": TEST.smoothed,
        "figure": "a.svg",
    }


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("new/a.png", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_the_figure_is_of_the_kind_that_its_name_says(
    name: str, start: bytes, planned: Planned, tmp_path: Path
) -> None:
    """Its folder is made; the name of the run is no formula."""
    draw(planned(SPEC), TEST, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start)


@pytest.mark.parametrize(
    "rates", [("1", "0.1"), ("0.1", "0.1"), ("0.1", "inf"), ("0.1", "nan"), ("0", "1"), ("-1", "1")]
)
def test_rates_must_go_up_from_above_zero(rates: tuple[str, str], annpipe_here: CliHere, tmp_path: Path) -> None:
    """Said before anything is trained."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, printed, said = annpipe_here("lr", "spec.yaml", "--from", rates[0], "--to", rates[1])
    assert (code, printed) == (2, "")
    assert "--from" in said
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_a_learning_rate_is_suggested_and_nothing_recorded(annpipe_here: CliHere, tmp_path: Path) -> None:
    """The figure is called after the run; the rates are those that were asked for."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, printed, said = annpipe_here("lr", "spec.yaml", "--from", "1e-4", "--to", "1e-1", "--steps", "10", "--json")
    assert code == 0, said
    found = json.loads(printed)
    assert found["rates"][0] == pytest.approx(1e-4)
    assert found["suggested"] in found["rates"]
    assert len(found["rates"]) <= 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["spec.yaml", found["figure"]])
