"""Losses made of losses, and weights out of the data: against plain torch and scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from annpipe.errors import RunError

X = [round(0.1 * row - 1.5, 3) for row in range(30)]
LABELS = ["a"] * 17 + ["b"] * 9 + ["c"] * 4
SPEC = f"""
version: 1
name: losses
seed: 3
device: {{type: cpu, threads: 1, precision: float64}}
data: {{table: {{inputs: {{x: {json.dumps(X)}}}, targets: {{y: {json.dumps([a * a for a in X])}}}}}}}
model: [Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {{SGD: {{lr: 0.1}}}}
train: {{epochs: 10}}
"""
OF_CLASSES = SPEC.replace(json.dumps([a * a for a in X]), json.dumps(LABELS)).replace("Linear: 1]", "Linear: 3]")
OF_ONES = SPEC.replace(json.dumps([a * a for a in X]), json.dumps([float(a > 0.6) for a in X]))


def plain_losses(run: Any, loss: nn.Module, start: dict[str, torch.Tensor]) -> list[float]:
    """Ten steps of plain torch from the same weights on the same rows."""
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, run.parts.model[2].out_features)).double()
    model.load_state_dict(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows, losses = run.parts.rows["train"], []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss(model(rows.x), rows.y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def initial(fit: Any, text: str, *how: str) -> dict[str, torch.Tensor]:
    """The weights that a run begins with: those of one whose rate is 0."""
    run = fit(text, *how, "optimizer.SGD.lr=0", "train.epochs=1")
    return dict(run.parts.model.state_dict())


def test_a_weighted_sum_is_the_sum_of_its_losses(fit: Any) -> None:
    """Ten steps against plain torch; the val loss is the same sum."""
    how = "loss={weighted_sum: [[MSELoss, {SmoothL1Loss: {beta: 0.5}}, L1Loss], [0.5, 2, 0.1]]}"
    run = fit(SPEC, how)

    def by_hand(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        error = prediction - target
        smooth = torch.where(error.abs() < 0.5, error**2, error.abs() - 0.25)
        return 0.5 * (error**2).mean() + 2 * smooth.mean() + 0.1 * error.abs().mean()

    assert run.losses == pytest.approx(plain_losses(run, by_hand, initial(fit, SPEC)), rel=1e-10)  # type: ignore[arg-type]  # a function does as well


def test_without_weights_each_loss_counts_once(fit: Any) -> None:
    """As with weights of 1; in another one it may stand as a part."""
    one = fit(SPEC, "loss={weighted_sum: [[MSELoss, L1Loss]]}").losses
    other = fit(SPEC, "loss={weighted_sum: [[{weighted_sum: [[MSELoss]]}, L1Loss], [1, 1]]}").losses
    assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_batches_of_a_step_add_up_for_a_weighted_sum_too(reduction: str, fit: Any) -> None:
    """The run is that of the large batch."""
    how = [
        f"loss={{weighted_sum: [[MSELoss: {{reduction: {reduction}}}, L1Loss: {{reduction: {reduction}}}], [1, 2]]}}"
    ]
    how += ["optimizer.SGD.lr=0.001"]
    small = fit(SPEC, *how, "train.batch_size=5", "train.accumulate=3").losses
    assert small == pytest.approx(fit(SPEC, *how, "train.batch_size=15").losses, rel=1e-10)


AMOUNTS = [a * a for a in X]
OF_TWO_TARGETS = OF_ONES.replace("{y: [", f"{{amount: {json.dumps(AMOUNTS)}, late: [").replace(
    "Linear: 1]", "Linear: 2]"
)


def test_each_target_has_its_loss(fit: Any) -> None:
    """An amount and a yes or no: ten steps against plain torch, the 1s of `late` weighed by its own column."""
    losses = "{late: {BCEWithLogitsLoss: {pos_weight: balanced}}, amount: {SmoothL1Loss: {beta: 0.5}}}"
    run = fit(OF_TWO_TARGETS, f"loss={{per_target: {{losses: {losses}, weights: {{late: 0.3}}}}}}")
    y = run.parts.rows["train"].y
    ones = float(y[:, 1].sum())
    weight = torch.tensor([(30 - ones) / ones])

    def by_hand(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        amount = nn.functional.smooth_l1_loss(prediction[:, 0], target[:, 0], beta=0.5)
        late = nn.functional.binary_cross_entropy_with_logits(prediction[:, 1], target[:, 1], pos_weight=weight)
        return amount + 0.3 * late

    assert run.losses == pytest.approx(plain_losses(run, by_hand, initial(fit, OF_TWO_TARGETS)), rel=1e-10)  # type: ignore[arg-type]  # as above


def test_losses_of_targets_are_parts_like_others(fit: Any, planned: Any) -> None:
    """The same loss for each target is twice its mean over both; the plan says all of it."""
    each = "{per_target: {losses: {amount: MSELoss, late: MSELoss}}}"
    one = fit(OF_TWO_TARGETS, f"loss={{weighted_sum: [[{each}], [0.5]]}}").losses
    assert one == pytest.approx(fit(OF_TWO_TARGETS, "loss=MSELoss").losses, rel=1e-12)
    plan = planned(OF_TWO_TARGETS, f"loss={each}")
    assert planned(plan.to_yaml()) == plan


@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"])
def test_balanced_weights_of_classes_are_scikit_learn_s(loss: str, fit: Any) -> None:
    """Counted on the train split only; ten steps against plain torch with these weights."""
    run = fit(OF_CLASSES, f"loss={{{loss}: {{weight: balanced}}}}", "data.split={val: 0.2}")
    labels = run.parts.rows["train"].y.numpy()
    assert len(labels) == 24
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert run.parts.loss.weight.tolist() == pytest.approx(expected.tolist(), rel=1e-12)
    by_hand = getattr(nn, loss)(weight=torch.tensor(expected))
    assert run.losses == pytest.approx(plain_losses(run, by_hand, initial(fit, OF_CLASSES, "loss=CrossEntropyLoss")))


def test_balanced_weights_of_ones_make_both_sides_equal(fit: Any) -> None:
    """`pos_weight` is the ratio of scikit-learn's two weights."""
    run = fit(OF_ONES, "loss={BCEWithLogitsLoss: {pos_weight: balanced}}")
    of_0, of_1 = compute_class_weight("balanced", classes=np.arange(2), y=run.parts.rows["train"].y[:, 0].numpy())
    assert run.parts.loss.pos_weight.tolist() == pytest.approx([of_1 / of_0], rel=1e-12)
    by_hand = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([of_1 / of_0]))
    assert run.losses == pytest.approx(plain_losses(run, by_hand, initial(fit, OF_ONES)), rel=1e-10)


def test_balanced_weights_reach_losses_inside_others(fit: Any) -> None:
    """Each asks for itself."""
    run = fit(OF_CLASSES, "loss={weighted_sum: [[CrossEntropyLoss: balanced, MultiMarginLoss], [1, 0.5]]}")
    weights = [one.weight for one in run.parts.loss.losses]
    assert weights[0].tolist() == pytest.approx([30 / 51, 30 / 27, 30 / 12])
    assert weights[1] is None


def test_an_output_that_no_label_names_weighs_nothing(fit: Any) -> None:
    """Five outputs for three classes: the weights of the three are as before."""
    run = fit(OF_CLASSES.replace("Linear: 3]", "Linear: 5]"), "loss={CrossEntropyLoss: balanced}")
    assert run.parts.loss.weight.tolist() == pytest.approx([30 / 51, 30 / 27, 30 / 12, 1, 1])


OF_TWO = OF_CLASSES.replace(json.dumps(LABELS), json.dumps([0.0] * 20 + [2.0] * 10))


@pytest.mark.parametrize(
    ("text", "loss", "said"),
    [
        (OF_TWO, "CrossEntropyLoss: {weight: balanced}", "class 1 has no rows in the train split"),
        (OF_ONES.replace("1.0", "0.0"), "BCEWithLogitsLoss: {pos_weight: balanced}", "an output has no 1"),
    ],
)
def test_a_class_without_rows_has_no_weight(text: str, loss: str, said: str, fit: Any) -> None:
    """The run ends before its first step, and says which."""
    with pytest.raises(RunError, match=said):
        fit(text, f"loss={{{loss}}}")


def test_a_run_with_balanced_weights_goes_on_exactly(fit: Any) -> None:
    """The weights are counted again and are the same."""
    how = ["loss={CrossEntropyLoss: balanced}", "train.batch_size=7", "data.split={val: 0.2}"]
    whole = fit(OF_CLASSES, *how)
    fit(OF_CLASSES, *how, stop_at=9)
    resumed = fit(OF_CLASSES, *how, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters, whole.parameters, strict=True))


def test_the_plan_keeps_the_word(planned: Any) -> None:
    """As YAML that resolves to the same plan: the data decides the numbers."""
    plan = planned(OF_CLASSES, "loss={weighted_sum: [[CrossEntropyLoss: balanced]]}")
    assert "weight: balanced" in plan.to_yaml()
    assert planned(plan.to_yaml()) == plan
