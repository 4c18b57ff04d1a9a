"""Batches are put together by what a loss divides by, for every listed loss and in every gear.

An accumulated step is the large batch, and a recorded loss is that of all rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from annpipe.backend.device import computing
from annpipe.registry.registry import Registry
from annpipe.testing.components.training import LoopReports
from annpipe.train.divisors import Terms
from annpipe.train.gears.compiled import verify
from annpipe.train.gears.stack import Member
from annpipe.train.gears.stacked.eligibility import why_solo
from annpipe.train.loop import evaluate
from annpipe.train.loop.loop import Loop
from tests.comparing import hold_parameters
from tests.sampling import sample
from tests.train.divisor_cases import ROWS, TARGETS, WEIGHT, X, spec
from tests.train.gears.recording import Recorder
from tests.train.gears.shifts import hold_to_eager, on_the_cpu
from tests.train.gears.stacks import built, hold_stack, stack_of
from tests.training import Fit, Planned

GRID = "model=[Linear: 6, Unflatten: {dim: 1, unflattened_size: [3, 2]}]"
ALL = "model=[Linear: 4, Tanh, Linear: 3"
DISTRIBUTION = "model=[Linear: 4, Tanh, Linear: 6, mean_variance]"
QUANTILES = "model=[Linear: 4, Tanh, Linear: 9, quantiles: 3]"
CASES: dict[str, list[tuple[str, str, str]]] = {
    "BCELoss": [("ones", f"{ALL}, Sigmoid]", "BCELoss"), ("ones", f"{ALL}, Sigmoid]", f"{{BCELoss: {{{WEIGHT}}}}}")],
    "BCEWithLogitsLoss": [
        ("ones", "", "BCEWithLogitsLoss"),
        ("ones", "", "{BCEWithLogitsLoss: {pos_weight: [1, 5, 20]}}"),
        ("ones", "", "{BCEWithLogitsLoss: {pos_weight: balanced, weight: [1, 2, 3]}}"),
        ("ones", "", "{BCEWithLogitsLoss: {reduction: sum}}"),
    ],
    "CrossEntropyLoss": [
        ("labels", "", "CrossEntropyLoss"),
        ("labels", "", f"{{CrossEntropyLoss: {{{WEIGHT}}}}}"),
        ("labels", "", "{CrossEntropyLoss: {weight: balanced}}"),
        ("labels", "", "{CrossEntropyLoss: {ignore_index: 0}}"),
        ("labels", "", f"{{CrossEntropyLoss: {{ignore_index: 2, {WEIGHT}}}}}"),
        ("labels", "", f"{{CrossEntropyLoss: {{ignore_index: 0, {WEIGHT}, label_smoothing: 0.2}}}}"),
        ("labels", "", "{CrossEntropyLoss: {label_smoothing: 0.2}}"),
        ("labels", "", f"{{CrossEntropyLoss: {{{WEIGHT}, reduction: sum}}}}"),
        ("labels", "", "{CrossEntropyLoss: {reduction: sum, ignore_index: 0}}"),
        ("grid", GRID, f"{{CrossEntropyLoss: {{ignore_index: 2, {WEIGHT}, label_smoothing: 0.1}}}}"),
        ("grid", GRID, "CrossEntropyLoss"),
    ],
    "GaussianNLLLoss": [
        ("three", DISTRIBUTION, "GaussianNLLLoss"),
        ("three", DISTRIBUTION, "{GaussianNLLLoss: {full: true, reduction: sum}}"),
    ],
    "HingeEmbeddingLoss": [("signs", "", "HingeEmbeddingLoss")],
    "HuberLoss": [("numbers", "", "HuberLoss"), ("numbers", "", "{HuberLoss: {delta: 0.3, reduction: sum}}")],
    "KLDivLoss": [
        ("shares", f"{ALL}, LogSoftmax]", "KLDivLoss"),
        ("shares", f"{ALL}, LogSoftmax]", "{KLDivLoss: {reduction: mean}}"),
        ("shares", f"{ALL}, LogSoftmax]", "{KLDivLoss: {reduction: batchmean}}"),
        ("shares", f"{ALL}, LogSoftmax]", "{KLDivLoss: {reduction: sum}}"),
    ],
    "L1Loss": [("numbers", "", "L1Loss"), ("numbers", "", "{L1Loss: {reduction: sum}}")],
    "MSELoss": [("numbers", "", "MSELoss"), ("numbers", "", "{MSELoss: {reduction: sum}}")],
    "MultiLabelSoftMarginLoss": [
        ("ones", "", "MultiLabelSoftMarginLoss"),
        ("ones", "", f"{{MultiLabelSoftMarginLoss: {{{WEIGHT}}}}}"),
    ],
    "MultiMarginLoss": [
        ("labels", "", "MultiMarginLoss"),
        ("labels", "", f"{{MultiMarginLoss: {{{WEIGHT}}}}}"),
        ("labels", "", "{MultiMarginLoss: {weight: balanced, reduction: sum}}"),
    ],
    "NLLLoss": [
        ("labels", f"{ALL}, LogSoftmax]", "NLLLoss"),
        ("labels", f"{ALL}, LogSoftmax]", f"{{NLLLoss: {{{WEIGHT}}}}}"),
        ("labels", f"{ALL}, LogSoftmax]", "{NLLLoss: {weight: balanced, ignore_index: 1}}"),
        ("labels", f"{ALL}, LogSoftmax]", "{NLLLoss: {ignore_index: 1}}"),
    ],
    "PoissonNLLLoss": [("counts", "", "PoissonNLLLoss"), ("counts", "", "{PoissonNLLLoss: {full: true}}")],
    "QuantileLoss": [
        ("numbers", "", "{QuantileLoss: 0.3}"),
        ("three", QUANTILES, "{QuantileLoss: {quantiles: [0.1, 0.5, 0.9]}}"),
        ("three", QUANTILES, "{QuantileLoss: {quantiles: [0.1, 0.5, 0.9], reduction: sum}}"),
    ],
    "SmoothL1Loss": [("numbers", "", "SmoothL1Loss")],
    "SoftMarginLoss": [("signs", "", "SoftMarginLoss")],
    "weighted_sum": [
        ("labels", "", f"{{weighted_sum: [[CrossEntropyLoss: {{{WEIGHT}}}, MultiMarginLoss], [1, 0.5]]}}"),
        ("labels", "", "{weighted_sum: [[{CrossEntropyLoss: {ignore_index: 2}}, CrossEntropyLoss], [2, 0.5]]}"),
        ("labels", "", f"{{weighted_sum: [[{{weighted_sum: [[CrossEntropyLoss: {{{WEIGHT}}}]]}}]]}}"),
        ("numbers", "", "{weighted_sum: [[MSELoss, L1Loss]]}"),
        ("numbers", "", "{weighted_sum: [[MSELoss: {reduction: sum}, L1Loss: {reduction: sum}], [1, 3]]}"),
        ("numbers", "", "{weighted_sum: [[MSELoss: {reduction: sum}, L1Loss], [0.1, 3]]}"),
    ],
    "per_target": [
        ("three", "", "{per_target: {losses: {p: MSELoss, q: L1Loss, r: HuberLoss}, weights: {q: 0.3}}}"),
        ("three", "", "{per_target: {losses: {p: MSELoss, q: L1Loss, r: {HuberLoss: {reduction: sum}}}}}"),
    ],
}
EVERY = [pytest.param(*case, id=case[2]) for cases in CASES.values() for case in cases]
"""Kind of target, the model where it is another, and the loss."""
BY_TERMS = [
    pytest.param(*case, id=case[2])
    for case in itertools.chain(CASES["CrossEntropyLoss"], CASES["NLLLoss"], CASES["weighted_sum"])
    if any(word in case[2] for word in ("weight: ", "ignore_index", "sum")) and "MSELoss, L1Loss" not in case[2]
]


pytestmark = pytest.mark.filterwarnings("ignore:reduction. .mean. divides")  # KLDivLoss, of itself


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = dict(zip("pqr", TARGETS["numbers"].T, strict=True))
    np.savez(tmp_path / "rows.npz", a=X[:, 0], b=X[:, 1], **TARGETS, **columns)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(verify, "NEEDED_GAIN", 0.0)


def told(model: str, *own: str) -> list[str]:
    return [*([model] if model else []), *own]


def test_every_listed_loss_has_its_case(registry_entries: Registry) -> None:
    """One that torch adds, or that can be used one day, is to be looked at: here, or by its forward below."""
    names = {entry.name for entry in registry_entries.entries("loss")}
    assert names - {*CASES, *OF_MORE} == set()


@pytest.mark.parametrize(("target", "model", "loss"), EVERY)
def test_an_accumulated_step_is_the_large_batch(target: str, model: str, loss: str, fit: Fit) -> None:
    """14 rows as 5, 5 and 4: of one class altogether the first, which may be the one that does not count."""
    whole = fit(spec(target, loss), *told(model))
    hold_parameters(fit(spec(target, loss), *told(model, "train.batch_size=5", "train.accumulate=3")), whole)
    clip = told(model, "train.clip_norm=0.01", "train.epochs=3")
    parts = fit(spec(target, loss), *clip, "train.batch_size=4", "train.accumulate=9")
    hold_parameters(parts, fit(spec(target, loss), *clip))


@pytest.mark.parametrize(("target", "model", "loss"), sample(EVERY, 3, 0))
def test_the_last_accumulation_of_an_epoch_may_be_short(target: str, model: str, loss: str, fit: Fit) -> None:
    """Steps of 6, 6 and 2 rows, or with `drop_last` of 8 alone; rows in another order in each epoch."""
    shuffle = str("ignore" not in loss).lower()  # no step may have only labels that do not count
    own = told(model, "train.epochs=3", f"train.shuffle={shuffle}", "optimizer.SGD.lr=0.1")
    for batch, drop in ((3, "train.drop_last=false"), (4, "train.drop_last=true")):
        large = fit(spec(target, loss), *own, drop, f"train.batch_size={2 * batch}")
        hold_parameters(fit(spec(target, loss), *own, drop, f"train.batch_size={batch}", "train.accumulate=2"), large)


@pytest.mark.parametrize(("target", "model", "loss"), sample(EVERY, 3, 1))
def test_the_recorded_loss_is_that_of_all_rows(target: str, model: str, loss: str, fit: Fit) -> None:
    """At a rate of 0, for any size of batches: as the loss module itself says, and as an evaluation does."""
    for sizes in (["batch_size=14"], ["batch_size=8"], ["batch_size=6"], ["batch_size=3", "accumulate=2"]):
        run = fit(
            spec(target, loss), *told(model, "optimizer.SGD.lr=0", "train.epochs=2"), *[f"train.{one}" for one in sizes]
        )
        train = run.parts.rows["train"]
        with torch.no_grad():
            expected = float(run.parts.loss(run.parts.model(train.x), train.y))
        assert run.losses == pytest.approx([expected, expected], rel=1e-12)
        assert evaluate.evaluate(run.plan, run.parts, train)["loss"] == pytest.approx(expected, rel=1e-12)


class Cut(nn.Module):
    """A loss of torch that takes more than one prediction and one target, with these cut out of the two."""

    def __init__(self, loss: nn.Module, cut: Callable[[torch.Tensor, torch.Tensor], tuple[Any, ...]]) -> None:
        super().__init__()
        self.inner, self._cut, self.reduction = loss, cut, loss.reduction

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.inner(*self._cut(prediction, target))
        return value


def _signs(prediction: torch.Tensor) -> torch.Tensor:
    return prediction[:, 0].detach().sign()


def _ctc(prediction: torch.Tensor, target: torch.Tensor) -> tuple[Any, ...]:
    """(rows, 12) -> six steps of two classes; each row has one or two labels."""
    logs = prediction.view(-1, 6, 2).transpose(0, 1).log_softmax(2)
    lengths = 1 + (target[:, 0] > 0).long()
    return logs, torch.ones(len(target), 2, dtype=torch.int64), torch.full((len(target),), 6), lengths


OF_MORE: dict[str, list[tuple[type[nn.Module], Any]]] = {
    "CosineEmbeddingLoss": [(nn.CosineEmbeddingLoss, lambda p, y: (p[:, :6], p[:, 6:], y[:, 0].sign()))],
    "CTCLoss": [(nn.CTCLoss, _ctc)],
    "GaussianNLLLoss": [(nn.GaussianNLLLoss, lambda p, y: (p[:, :6], y[:, :6], p[:, 6:].exp()))],
    "MarginRankingLoss": [(nn.MarginRankingLoss, lambda p, y: (p[:, :6], p[:, 6:], y[:, :6].sign()))],
    "MultiLabelMarginLoss": [(nn.MultiLabelMarginLoss, lambda p, y: (p, (y > 0).long() - (y <= 0).long()))],
    "TripletMarginLoss": [(nn.TripletMarginLoss, lambda p, y: (p[:, :4], p[:, 4:8], p[:, 8:]))],
    "TripletMarginWithDistanceLoss": [
        (nn.TripletMarginWithDistanceLoss, lambda p, y: (p[:, :4], p[:, 4:8], p[:, 8:])),
    ],
}


def hold_terms(loss: nn.Module, prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Numerators and divisors of some rows add up to the loss of all and to its gradient; so do its values."""
    terms, leaf = Terms(loss), prediction.clone().requires_grad_()
    value = loss(leaf, target)
    (expected,) = torch.autograd.grad(value, leaf)
    assert torch.allclose(terms.values(prediction, target).sum(), value, rtol=1e-13)
    divisors = terms.divisors(target)
    for size in (1, 4, ROWS):
        pairs = list(zip(torch.split(leaf, size), torch.split(target, size), strict=True))
        both = sum(terms.numerators(*pair) for pair in pairs) / divisors
        assert torch.allclose(both.sum(), value, rtol=1e-12)
        assert torch.allclose(torch.autograd.grad(both.sum(), leaf)[0], expected, rtol=1e-12, atol=1e-15)
        own = torch.stack([terms.divisors(y) for _, y in pairs]).sum(0)
        assert torch.allclose(torch.where(torch.tensor(terms.sums), divisors, own), divisors, rtol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", OF_MORE)
def test_losses_of_more_than_two_are_means_over_rows(name: str, reduction: str) -> None:
    """No run can use them as they are; a plugin may stand around one."""
    draw = torch.Generator().manual_seed(1)
    prediction, target = (torch.randn(ROWS, 12, dtype=torch.float64, generator=draw) for _ in range(2))
    for made, cut in OF_MORE[name]:
        hold_terms(Cut(made(reduction=reduction), cut), prediction, target)


def test_probabilities_of_classes_are_means_over_rows() -> None:
    """With weights of classes, too: torch divides by the rows there."""
    draw = torch.Generator().manual_seed(1)
    scores, chances = (torch.rand(ROWS, 3, dtype=torch.float64, generator=draw) for _ in range(2))
    for smoothing in (0.0, 0.1):
        loss = nn.CrossEntropyLoss(torch.tensor([1.0, 5, 20], dtype=torch.float64), label_smoothing=smoothing)
        hold_terms(loss, scores, chances)
        assert Terms(loss).are_by_rows(chances)


@pytest.mark.parametrize("name", ["MSELoss", "CrossEntropyLoss", "NLLLoss"])
def test_only_what_divides_otherwise_costs_anything(name: str) -> None:
    """Labels are by rows until there are weights, or a label that does not count."""
    y = torch.tensor([0, 1, 2, 1])
    assert Terms(getattr(nn, name)()).are_by_rows(y)
    if name != "MSELoss":
        assert Terms(getattr(nn, name)(ignore_index=3)).are_by_rows(y)
        assert not Terms(getattr(nn, name)(ignore_index=1)).are_by_rows(y)
        assert not Terms(getattr(nn, name)(torch.ones(3))).are_by_rows(y)


# the gears


@pytest.mark.parametrize(("target", "model", "loss"), sample(BY_TERMS, 2))
@pytest.mark.parametrize("how", ["batch_size=8", "batch_size=5 accumulate=3"])
def test_stacked_steps_are_those_of_each_run(how: str, target: str, model: str, loss: str, planned: Planned) -> None:
    """Values and divisors of each step, gradients and parameters; weights may differ between members."""
    own = told(model, "train.epochs=6", "optimizer.SGD.lr=0.05", *[f"train.{one}" for one in how.split()])
    text = spec(target, loss)
    steps = 12 if "8" in how else 6
    hold_stack([planned(text, *own, f"seed={seed}") for seed in (1, 2, 3)], steps)
    if "[1, 5, 20]" in loss:
        others = [planned(spec(target, loss.replace("[1, 5, 20]", weight)), *own) for weight in WEIGHTS]
        hold_stack(others, steps)


WEIGHTS = ["[1, 5, 20]", "[3, 1, 2]"]


@pytest.mark.parametrize(("target", "model", "loss"), BY_TERMS)
def test_a_stack_records_the_loss_of_all_rows(
    target: str, model: str, loss: str, planned: Planned, tmp_path: Path
) -> None:
    """At a rate of 0, as each member's own loss says of its model: steps of 5 and 5 rows, and of 4."""
    own = told(model, "optimizer.SGD.lr=0", "train.epochs=2", "train.batch_size=5", "train.accumulate=2")
    with computing("float64", deterministic=False):
        runs = [built(planned(spec(target, loss), *own, f"seed={seed}")) for seed in (1, 2)]
        assert {why_solo(run.plan, run.parts) for run in runs} == {None}
        stack = stack_of(runs)

        def work(member: Member) -> list[float]:
            run = runs[stack.members.index(member)]
            reporter = LoopReports()
            folder = tmp_path / f"run-{run.plan.head.seed}"
            folder.mkdir()
            Loop(run.plan, run.parts, member, run.schedule, reporter, folder, {}).run()
            return list(reporter.series["train/loss"].values())

        for run, losses in zip(runs, stack.together(work), strict=True):
            if isinstance(losses, BaseException):
                raise losses
            train = run.parts.rows["train"]
            with torch.no_grad():
                expected = float(run.parts.loss(run.parts.model(train.x), train.y))
            assert losses == pytest.approx([expected] * 2, rel=1e-12)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled steps are taken as they are written."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)


COMPILED = ["device.compile=on", "train.epochs=20", "optimizer.SGD.lr=0.01", "train.batch_size=6"]


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("how", [[], ["device.compile=on"]], ids=["eager", "compiled"])
def test_members_may_differ_in_whether_a_label_is_ignored(how: list[str], planned: Planned) -> None:
    """One that counts every row tells its losses, one that does not its terms, whatever the stack computes."""
    losses = ["{CrossEntropyLoss: {ignore_index: 0}}", "{CrossEntropyLoss: {ignore_index: 7}}"]
    own = ["train.epochs=20", "optimizer.SGD.lr=0.01", "train.batch_size=6", *how]
    hold_stack([planned(spec("labels", loss), *own) for loss in losses], 60)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(("target", "model", "loss"), sample(BY_TERMS, 3))
def test_compiled_steps_are_the_eager_ones(target: str, model: str, loss: str, planned: Planned) -> None:
    """Values and divisors of each step, in blocks and the batch that ends an epoch by itself."""
    gear = hold_to_eager(planned(spec(target, loss), *told(model, *COMPILED)), (1, 8, 12, 9, 20))
    assert (gear.solo.terms is None) == all(Terms(gear.solo.parts.loss).sums)


@pytest.mark.parametrize(("target", "model", "loss"), sample(BY_TERMS[::2], 3, 1))
def test_graphed_steps_are_the_eager_ones(
    target: str, model: str, loss: str, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No operation that a capture refuses."""
    recorder = Recorder()
    on_the_cpu(monkeypatch, recorder)
    hold_to_eager(planned(spec(target, loss), *told(model, *COMPILED)), (1, 8, 12, 9, 20), "graphed")
    assert recorder.captures == 1
