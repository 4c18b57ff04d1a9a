"""Losses made of losses, plugins' own divisors, and the places where losses of some rows become that of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from annpipe.backend.device import computing
from annpipe.errors import RunError
from annpipe.record.journal.journal import points, read
from annpipe.train.batches import on_disk
from annpipe.train.loop import evaluate
from annpipe.train.loop.lr_test import range_test
from annpipe.train.parts import build
from annpipe.train.tally import Tally, added, divided
from annpipe_std.tables import sources
from tests.comparing import hold_parameters
from tests.train.divisor_cases import LABELS, ROWS, WEIGHT, X, spec
from tests.train.gears.stacks import hold_stack
from tests.training import Fit, Go, Planned, Trained

WEIGHTED = f"{{CrossEntropyLoss: {{{WEIGHT}}}}}"
LARGE, SMALL = ["train.batch_size=14"], ["train.batch_size=5", "train.accumulate=3"]
HEADS = f"""
version: 1
name: heads
seed: 1
device: {{type: cpu, threads: 1, precision: float64}}
data: {{npz: {{file: rows.npz, inputs: [a, b], targets: [kind, mass], labels: [kind]}}}}
model:
  layers: [Linear: 4, Tanh]
  outputs:
    kind:
      layers: [Linear: 3]
      loss: {{weighted_sum: [[CrossEntropyLoss: {{ignore_index: 2, {WEIGHT}}}, MultiMarginLoss], [1, 0.5]]}}
    mass: {{layers: [Linear: 1], loss: {{L1Loss: {{reduction: sum}}}}, weight: 0.25}}
optimizer: {{SGD: {{lr: 0.1}}}}
train: {{epochs: 3, shuffle: false, batch_size: 14}}
"""


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "rows.npz", a=X[:, 0], b=X[:, 1], labels=LABELS, kind=LABELS, mass=X[:, 0] * X[:, 1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def whole(run: Trained) -> float:
    """The loss of all train rows as the module itself gives it."""
    train = run.parts.rows["train"]
    with torch.no_grad():
        return float(run.parts.loss(run.parts.model(train.x), train.y))


def test_heads_have_their_own_divisors(fit: Fit, planned: Planned) -> None:
    """Weights of labels, rows and a sum in one: steps, records and a stack."""
    for own in ([], ["train.clip_norm=0.3"]):
        hold_parameters(fit(HEADS, *own, *SMALL), fit(HEADS, *own, *LARGE))
    still = fit(HEADS, "optimizer.SGD.lr=0", "train.batch_size=6")
    assert still.losses == pytest.approx([whole(still)] * 3, rel=1e-12)
    for how in (SMALL, ["train.batch_size=6"]):
        steps = 3 if how is SMALL else 9
        hold_stack([planned(HEADS, *how, f"seed={seed}") for seed in (1, 2)], steps)


def test_numbers_do_not_change_where_rows_weigh_the_same(fit: Fit) -> None:
    """To the bit, the mean over rows of the steps' means: what was recorded before."""
    run = fit(
        spec("labels", "CrossEntropyLoss"), "train.batch_size=5", "optimizer.SGD.lr=0", "device.precision=float32"
    )
    train = run.parts.rows["train"]
    with torch.no_grad():
        values = [
            float(run.parts.loss(run.parts.model(x), y)) * len(x)
            for x, y in zip(torch.split(train.x, 5), torch.split(train.y, 5), strict=True)
        ]
    assert run.losses == [sum(values) / ROWS]


@pytest.mark.parametrize("loss", [WEIGHTED, "{CrossEntropyLoss: {ignore_index: 0}}"])
@pytest.mark.parametrize("own", [[], ["device.autocast=bfloat16"], ["device.autocast=float16"]], ids=str)
def test_single_and_mixed_precision(own: list[str], loss: str, fit: Fit) -> None:
    """Within rounding; the scale of float16 changes nothing."""
    text = spec("labels", loss)
    how = ["device.precision=float32", "optimizer.SGD.lr=0.1", *own]
    tolerance = 1e-6 if not own else 2e-2
    large, small = fit(text, *how, *LARGE), fit(text, *how, *SMALL)
    hold_parameters(small, large, tolerance)


def test_a_step_without_a_label_that_counts_is_told(fit: Fit) -> None:
    """A step of several batches is as the large one: left out where nothing counts, and only there."""
    text = spec("labels", "{CrossEntropyLoss: {ignore_index: 1}}")
    assert not fit(text, *SMALL).told.messages
    run = fit(text, "train.batch_size=2", "train.accumulate=2", "optimizer.SGD.lr=0")
    (said,) = run.told.messages  # the first four rows are all of class 1
    assert "step 1 is left out: all its labels are 1" in said
    assert run.losses == pytest.approx([whole(run)], rel=1e-12)


def test_an_optimizer_that_evaluates_several_times(fit: Fit) -> None:
    """LBFGS sees one number, batch by batch or at once."""
    text = spec("labels", WEIGHTED).replace("SGD: {lr: 1.0}", "LBFGS: {lr: 0.1}").replace("epochs: 1", "epochs: 3")
    hold_parameters(fit(text, *SMALL), fit(text, *LARGE), 1e-9)


def test_a_run_that_ends_within_an_epoch(fit: Fit) -> None:
    """It tells the loss over the rows it has seen since the last one."""
    run = fit(
        spec("labels", WEIGHTED), "train.batch_size=5", "train.steps=5", "train.epochs=null", "optimizer.SGD.lr=0"
    )
    train = run.parts.rows["train"]
    with torch.no_grad():
        seen = float(run.parts.loss(run.parts.model(train.x[:10]), train.y[:10]))
    assert run.losses == pytest.approx([whole(run), seen], rel=1e-12)


@pytest.mark.parametrize("loss", [WEIGHTED, "{CrossEntropyLoss: {reduction: sum}}"])
def test_a_resumed_run_records_the_epoch_it_was_stopped_in(loss: str, fit: Fit) -> None:
    """Numerators and divisors are in the checkpoint."""
    text, own = spec("labels", loss), ["train.batch_size=4", "train.epochs=3", "optimizer.SGD.lr=0.01"]
    straight = fit(text, *own)
    fit(text, *own, stop_at=6)
    resumed = fit(text, *own, resume=True)
    assert resumed.losses == straight.losses[-len(resumed.losses) :]
    assert len(resumed.losses) >= 2
    hold_parameters_of(resumed, straight)


def hold_parameters_of(one: Trained, other: Trained) -> None:
    assert all(map(torch.equal, one.parameters, other.parameters))


def test_the_rate_test_follows_losses(planned: Planned) -> None:
    """Of a loss with terms, too."""
    with computing("float64", deterministic=False):
        plan = planned(spec("labels", WEIGHTED), "train.batch_size=5", "train.accumulate=2")
        parts = build(plan, torch.device("cpu"), torch.float64)
        x, y = parts.rows["train"].x[:10], parts.rows["train"].y[:10]
        with torch.no_grad():
            first = float(parts.loss(parts.model(x), y))
        found = range_test(plan, parts, low=1e-4, high=1.0, steps=40)
    assert found.losses[0] == pytest.approx(first, rel=1e-12)


PLUGIN = '''
import torch
from annpipe import Loss, LossTerm, loss

@loss(target="classes")
class Focused(torch.nn.CrossEntropyLoss):
    """A class of torch's with a forward of its own: a mean over rows, whatever the weights."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__(weight)

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        rows = torch.nn.functional.cross_entropy(prediction, target, self.weight, reduction="none")
        return rows.square().mean()

@loss(target="classes")
class Inherited(torch.nn.CrossEntropyLoss):
    """One that inherits it."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__(weight)

@loss(target="classes")
class OfRare(torch.nn.Module):
    """The mean over rows of the rare classes."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        rows = torch.nn.functional.cross_entropy(prediction, target, reduction="none")
        return rows[target != 1].mean()

    def divisor(self, target: torch.Tensor) -> torch.Tensor:
        return (target != 1).sum()

@loss(target="classes")
class Total(torch.nn.Module):
    """A sum, as its attribute says."""

    reduction = "sum"

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(prediction, target, reduction="sum")

@loss(target="classes")
class Twice(torch.nn.Module):
    """Another loss, and as much again of the first two scores alone."""

    def __init__(self, inner: Loss) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 2 * self.inner(prediction, target) + 0.5 * self.inner(prediction.flip(1), target)

    def terms(self) -> list[LossTerm]:
        return [LossTerm(self.inner, 2.0), LossTerm(self.inner, 0.5, lambda prediction: prediction.flip(1))]

@loss(target="classes")
class Wrong(torch.nn.Module):
    """Its divisor is one number for each row."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(prediction, target)

    def divisor(self, target: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(target))
'''
OF_A_PLUGIN = [
    "{Focused: {weight: [1, 5, 20]}}",
    "{Inherited: {weight: [1, 5, 20]}}",
    "OfRare",
    "Total",
    f"{{Twice: {WEIGHTED}}}",
    "{Twice: OfRare}",
    "{weighted_sum: [[OfRare, CrossEntropyLoss, Total], [1, 2, 0.1]]}",
]


@pytest.mark.parametrize("loss", OF_A_PLUGIN)
def test_a_plugin_s_loss_may_say_what_it_divides_by(loss: str, fit: Fit, planned: Planned) -> None:
    """By `divisor`, by `terms`, by `reduction`, or not at all: rows. The first batch of five has no row that counts."""
    text = "plugins: [./own.py]\n" + spec("labels", loss)
    hold_parameters(fit(text, *SMALL, own=PLUGIN), fit(text, *LARGE, own=PLUGIN))
    still = fit(text, "train.batch_size=6", "optimizer.SGD.lr=0", own=PLUGIN)
    assert still.losses == pytest.approx([whole(still)], rel=1e-12)
    for how in (SMALL, ["train.batch_size=6"]):
        plans = [planned(text, *how, "optimizer.SGD.lr=0.1", f"seed={seed}", own=PLUGIN) for seed in (1, 2)]
        hold_stack(plans, 1 if how is SMALL else 3)


def test_a_divisor_is_one_number(fit: Fit) -> None:
    """The run says whose is not."""
    text = "plugins: [./own.py]\n" + spec("labels", "Wrong")
    with pytest.raises(RunError, match="the loss Wrong: its `divisor` gave"):
        fit(text, *SMALL, own=PLUGIN)


# rows in files

STORED = f"""
version: 1
name: stored
seed: 3
data:
  csv: {{files: rows.csv, target: kind, in_memory: false}}
  split: {{val: 0.4}}
device: {{type: cpu, precision: float64, threads: 1}}
model: [Linear: 4, Tanh, Linear: 3]
loss: {WEIGHTED}
optimizer: {{SGD: {{lr: 0.05}}}}
train: {{epochs: 2, batch_size: 128, shuffle: false}}
"""
STORED_HEADS = (
    STORED.replace("target: kind", "target: [kind, mass]")
    .replace(f"loss: {WEIGHTED}\n", "")
    .replace("model: [Linear: 4, Tanh, Linear: 3]", HEADS[HEADS.index("model:") : HEADS.index("\noptimizer")])
)


@pytest.fixture
def csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 2))
    kinds = draw.choice(["a", "b", "c"], 300, p=[0.7, 0.2, 0.1])
    kinds[:60] = "c"  # a piece of them has labels of one class
    lines = ["x,z,kind,mass", *(f"{a},{b},{kind},{a * b}" for (a, b), kind in zip(x, kinds, strict=True))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(sources, "MOST_ROWS", 37)
    monkeypatch.setattr(on_disk, "CHUNK_BYTES", 300)
    monkeypatch.setattr(on_disk, "BUFFER_BYTES", 4000)
    return tmp_path / "rows.csv"


@pytest.mark.parametrize("most", [30, 7, 10**9])
@pytest.mark.parametrize(
    "loss",
    [WEIGHTED, "{CrossEntropyLoss: {ignore_index: 2}}", "{CrossEntropyLoss: {reduction: sum}}", "heads"],
)
@pytest.mark.usefixtures("csv")
def test_the_loss_of_pieces_is_that_of_all_rows(
    loss: str, most: int, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows in files, in pieces of some rows, one of which may have no label that counts; of each head, too."""
    monkeypatch.setattr(evaluate, "MOST_OUTPUTS", most)
    monkeypatch.setattr(evaluate, "BLOCK", 10)
    text = STORED_HEADS if loss == "heads" else STORED.replace(WEIGHTED, loss)
    streamed, held = fit(text), fit(text, "data.csv.in_memory=true")
    for part in ("train", "val"):
        values = [evaluate.evaluate(run.plan, run.parts, run.parts.rows[part]) for run in (streamed, held)]
        assert values[0] == pytest.approx(values[1], rel=1e-10)
        assert ("kind/loss" in values[0]) == (loss == "heads")
    assert streamed.told.series["train/loss"] == pytest.approx(held.told.series["train/loss"], rel=1e-9)


# the record


def test_the_record_has_the_loss_of_the_rows(go: Go, tmp_path: Path) -> None:
    """What a user reads: for a rate of 0, train/loss is val/loss on the same rows."""
    (tmp_path / "val.txt").write_text("\n".join(map(str, range(ROWS))), encoding="utf-8")
    for loss in (WEIGHTED, "{CrossEntropyLoss: {reduction: sum}}", "{CrossEntropyLoss: {ignore_index: 2}}"):
        text = spec("labels", loss).replace("rows.npz, inputs: [a, b]", "twice.npz, inputs: [a, b]")
        arrays = {name: np.concatenate([one, one]) for name, one in np.load(tmp_path / "rows.npz").items()}
        np.savez(tmp_path / "twice.npz", **arrays)
        gone = go(text, "data.split={val_rows: val.txt}", "train.batch_size=6", "optimizer.SGD.lr=0", "train.epochs=2")
        values = {key: value for event in read(gone.folder) for key, _, value, _ in points(event)}
        assert values["train/loss"] == pytest.approx(values["val/loss"], rel=1e-9)


def test_a_tally_divides_at_the_end() -> None:
    """Numerators and divisors by terms; a step in which nothing counts adds nothing; a sum has no divisor."""
    tally = Tally()
    tally.take(1.0, 4, (False, True), [2.0, 5.0, 3.0, 1.0])
    tally.take(1.0, 4, (False, True), [float("nan"), 1.0, 0.0, 1.0])
    tally.take(1.0, 4, (False, True), [8.0, 1.0, 1.0, 1.0])
    assert tally.over_rows((False, True)) == (2 * 3 + 8) / 4 + 7
    assert tally == Tally()
    assert np.isnan(divided(added([], [float("nan"), 0.0], [False]), [False]))
