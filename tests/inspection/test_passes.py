"""One row's passes: the numbers of the tutorial's table by hand, and gradients that finite differences confirm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from annpipe.inspection.passes import RowPass, finite_differences, row_pass
from tests.conftest import CliHere
from tests.inspection.conftest import Inspector

DATA = torch.tensor([[2.0], [-2.0]]), torch.tensor([[7.0], [7.0]])


def by_hand() -> torch.nn.Sequential:
    """The network of `docs/tutorial.md`, before its step."""
    network = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(inplace=True), torch.nn.Linear(2, 1))
    values = [[[1.0], [-1.5]], [0.5, 1.0], [[2.0, 1.0]], [0.5]]
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(value))
    return network


def test_a_row_is_written_out_as_the_tutorial_does_by_hand() -> None:
    """Its tables "Forward" and "Backward"; of a single row the loss divides by 1, not by 2."""
    x, y = DATA
    first, second = (row_pass(by_hand(), x[[row]], torch.nn.L1Loss(), y[[row]]) for row in (0, 1))
    assert [layer.layer for layer in first.layers] == ["Linear", "ReLU", "Linear"]
    assert [layer.output.tolist() for layer in first.layers] == [[2.5, -2.0], [2.5, 0.0], [5.5]]
    assert [layer.output.tolist() for layer in second.layers] == [[-1.5, 4.0], [0.0, 4.0], [4.5]]
    assert (first.loss, second.loss) == (1.5, 2.5)
    assert [gradients(first, at) for at in (2, 1, 0)] == [[-1.0], [-2.0, -1.0], [-2.0, 0.0]]
    assert [gradients(second, at) for at in (2, 1, 0)] == [[-1.0], [-2.0, -1.0], [0.0, -1.0]]
    means = [mean(first, second, *of) for of in ((2, "weight"), (2, "bias"), (0, "weight"), (0, "bias"))]
    assert means == [[-1.25, -2.0], [-1.0], [-2.0, 1.0], [-1.0, -0.5]]
    assert first.differences.largest < 1e-8
    assert (first.differences.checked, first.differences.kinks) == (8, 0)


def gradients(row: RowPass, layer: int) -> list[float]:
    gradient = row.layers[layer].gradient
    assert gradient is not None
    values: list[float] = gradient.tolist()
    return values


def mean(first: RowPass, second: RowPass, layer: int, name: str) -> list[float]:
    """The gradient of a parameter over both rows."""
    both = [row.layers[layer].parameters[name][1] for row in (first, second)]
    assert both[0] is not None
    assert both[1] is not None
    values: list[float] = ((both[0] + both[1]) / 2).flatten().tolist()
    return values


def test_a_wrong_gradient_shows_in_the_differences() -> None:
    weight = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor([4.0, 6.5], dtype=torch.float64)  # of the sum of squares it is 4 and 6
    differences = finite_differences(lambda: float(weight.detach().square().sum()), [weight])
    assert differences.largest == pytest.approx(0.5, abs=1e-6)
    assert differences.relative == pytest.approx(0.5 / 6.5, abs=1e-6)


def test_a_kink_has_no_derivative_and_is_counted() -> None:
    """|w| at 0, for which torch says 0."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.zeros(1, dtype=torch.float64)
    differences = finite_differences(lambda: float(weight.detach().abs().sum()), [weight])
    assert (differences.kinks, differences.largest) == (1, 0.0)


def test_a_row_without_a_target_begins_at_the_outputs(project: Inspector) -> None:
    """The file lacks the target: the row is shown, its importance refused with what is missing."""
    (project.folder / "unlabelled.csv").write_text("soil,noise,length\nclay,0,2\nsand,1,9\n", encoding="utf-8")
    code, printed, said = project.call("inspect", "flowers", "unlabelled.csv", "--row", "2", "--json")
    assert code == 0, said
    row = json.loads(printed)["row"]
    assert row["loss_name"] is None
    assert row["cells"] == {"length": "9", "soil": "sand", "noise": "1"}
    assert row["loss"] == pytest.approx(sum(row["layers"][-1]["output"]["values"]))
    assert row["finite_differences"]["relative"] < 1e-6
    code, _, said = project.call("inspect", "flowers", "unlabelled.csv", "--importance")
    assert code == 3
    assert "lacks the column 'kind'" in said
    code, printed, _ = project.call("inspect", "flowers", "unlabelled.csv")
    assert code == 0
    assert "importance: left out, since 'unlabelled.csv' lacks" in " ".join(printed.split())
    assert project.call("inspect", "flowers", "unlabelled.csv", "--row", "3")[0] == 3


@pytest.mark.slow
def test_the_tutorials_run_is_written_out(annpipe_here: CliHere) -> None:
    """After its step: z = 1.2 x + 0.6 and -1.6 x + 1.05, out = 2.125 h₁ + 1.2 h₂ + 0.6."""
    spec = Path(__file__).parents[2] / "docs" / "tutorial" / "by_hand.yaml"
    assert annpipe_here("run", spec)[0] == 0
    code, printed, said = annpipe_here("inspect", "--last", "--row", "1")
    assert code == 0, said
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    for line in ("out (2) 3 -2.15", "out (2) 3 0", "out (1) 6.975", "loss = 0.0249997", "d(weight) (1×2) -3 0"):
        assert line in lines
    assert "d(weight) (2×1) -4.25 0" in lines
