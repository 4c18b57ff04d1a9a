"""Callbacks, driven look by look: when they stop, keep and restore, and that they can be resumed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from annpipe import Dataset, Field, Fields, Look, OptionError, Outline, RunView
from annpipe_std.callbacks import Checkpoint, EarlyStopping
from annpipe_std.callbacks.histograms import Histograms, counted, histograms
from annpipe_std.callbacks.samples import SamplePredictions, check_samples, sample_table
from tests.sampling import sample

X = torch.arange(100.0).double()
KIND = torch.arange(100) % 3


def predict(columns: Any) -> dict[str, torch.Tensor]:
    """The double of x, and logits that are right for all but the first class."""
    called = KIND[columns["x"].long()].clamp(min=1)
    return {"y": columns["x"] * 2, "kind": 5.0 * nn.functional.one_hot(called, 3)}


ROWS = Dataset({"x": X, "image": torch.zeros(100, 2, 2)}, {"y": X**2, "kind": KIND}, categories={"kind": ("a", "b")})
RUN = RunView("toy", ROWS, None, None, {}, predict, nn.Linear(1, 1), "CrossEntropyLoss")


def weights() -> dict[str, torch.Tensor]:
    return {"0.weight": torch.randn(30, 20, generator=torch.Generator().manual_seed(0)), "0.bias": torch.zeros(30)}


@dataclass
class Asked:
    """What a callback asked for, with the epoch."""

    epoch: int = 0
    stopped: list[int] = field(default_factory=list)
    kept: list[tuple[int, str]] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    artifacts: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def stop(self, reason: str) -> None:
        self.stopped.append(self.epoch)
        self.reasons.append(reason)

    def keep(self, name: str) -> None:
        self.kept.append((self.epoch, name))


def driven(
    callback: Any, values: Iterable[float | None], key: str = "val/loss", first: int = 1, every: int = 1
) -> Asked:
    """Shows the callback one look after another until it stops the run; None is a look without a value."""
    asked = Asked()
    latest: dict[str, float] = {"train/loss": 1.0}
    for number, value in enumerate(values):
        asked.epoch = first + number * every
        latest |= {} if value is None else {key: value}
        look = Look(asked.epoch, asked.epoch * 10, dict(latest), asked.stop, asked.keep, asked.restored.append)
        look = replace(look, parameters=weights, gradients=dict, view=lambda: RUN, artifact=asked.artifacts.__setitem__)
        callback.on_look(look)
        if asked.stopped:
            break
    return asked


def test_early_stopping_ends_a_run_that_no_longer_improves() -> None:
    """`patience` epochs after the best one, and it says why."""
    asked = driven(EarlyStopping(patience=3), [5, 4, 3, 3.5, 3.1, 3.2, 3.3])
    assert asked.stopped == [6]
    assert asked.reasons == ["val/loss has not improved for 3 epochs"]
    assert asked.kept[-1] == (3, "best_val_loss")
    assert asked.restored[-1] == "best_val_loss"


def test_early_stopping_lets_an_improving_run_go_on() -> None:
    """Small gains count unless `min_delta` says otherwise."""
    falling = [1 - 0.01 * n for n in range(20)]
    assert not driven(EarlyStopping(patience=2), falling).stopped
    assert driven(EarlyStopping(patience=8, min_delta=0.05), falling).stopped == []
    assert driven(EarlyStopping(patience=2, min_delta=0.5), falling).stopped == [3]


def test_a_value_that_stays_the_same_is_no_improvement() -> None:
    """An accuracy stuck at 0.75 ends the run."""
    assert driven(EarlyStopping(patience=3, goal="maximize"), [0.5, 0.75] + [0.75] * 9).stopped == [5]


def test_patience_counts_epochs_not_looks() -> None:
    """Whether the run looks each epoch or each tenth, the same stretch passes."""
    assert driven(EarlyStopping(patience=20), [3, 2] + [2.5] * 9, first=10, every=10).stopped == [40]


def test_nan_is_never_an_improvement() -> None:
    """Neither as the first value nor later."""
    nan = float("nan")
    asked = driven(EarlyStopping(patience=3), [nan, 2, nan, nan, nan, nan])
    assert asked.kept == [(2, "best_val_loss")]
    assert asked.stopped == [5]


def test_restoring_can_be_left_out() -> None:
    """Then nothing is kept either."""
    asked = driven(EarlyStopping(patience=2, restore_best=False), [3, 4, 5, 6])
    assert (asked.kept, asked.restored, asked.stopped) == ([], [], [3])


@pytest.mark.parametrize("callback", [EarlyStopping(monitor="val/los"), Checkpoint(best="val/los")])
def test_a_metric_that_does_not_exist_is_refused_at_once(callback: Any) -> None:
    """When its split is known, and the metrics that exist are named."""
    with pytest.raises(OptionError, match="no metric 'val/los'") as caught:
        driven(callback, [3.0])
    assert caught.value.help == "the metrics of this run are train/loss, val/loss"
    assert caught.value.option in ("monitor", "best")


def test_a_metric_may_come_after_the_first_looks() -> None:
    """The split may be evaluated later, but not later than the patience."""
    assert not driven(EarlyStopping(patience=3), [None, None, 2.0, 1.0]).stopped
    with pytest.raises(OptionError, match="no metric 'val/loss'"):
        driven(EarlyStopping(patience=3), [None] * 5)


def test_checkpoints_are_kept_every_so_many_epochs() -> None:
    """Also when the looks do not fall on the multiples."""
    asked = driven(Checkpoint(every=4), [1.0] * 5, first=3, every=3)
    assert asked.kept == [(6, "epoch_6"), (9, "epoch_9"), (12, "epoch_12")]


def test_the_best_checkpoint_is_kept_at_each_new_best() -> None:
    """Small or large values, as the goal says."""
    values = [0.5, 0.7, 0.6, 0.9]
    up = driven(Checkpoint(best="val/accuracy", goal="maximize"), values, key="val/accuracy")
    assert up.kept == [(1, "best_val_accuracy"), (2, "best_val_accuracy"), (4, "best_val_accuracy")]
    assert driven(Checkpoint(best="val/loss"), values).kept == [(1, "best_val_loss")]


def test_a_checkpoint_callback_that_keeps_nothing_is_refused() -> None:
    """It would be there for nothing."""
    with pytest.raises(OptionError, match="nothing to keep"):
        Checkpoint()


MAKERS: list[Callable[[], Any]] = [
    lambda: EarlyStopping(patience=3),
    lambda: Checkpoint(every=2, best="val/loss"),
    lambda: Histograms(every=2, of=["weights"]),
    lambda: SamplePredictions(every=3),
]


@pytest.mark.parametrize(("make", "cut"), sample(itertools.product(MAKERS, range(6)), 5))
def test_resumed_equals_never_interrupted(make: Callable[[], Any], cut: int) -> None:
    """The state goes through JSON, at any look, and the decisions stay the same."""
    values = [5, 3, 4, 2, 3, 3, 3, 1]
    whole = driven(make(), values)
    first, second = make(), make()
    before = driven(first, values[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    after = driven(second, values[cut:], first=1 + cut)
    assert before.kept + after.kept == whole.kept
    assert before.stopped + after.stopped == whole.stopped
    assert [*before.artifacts, *after.artifacts] == list(whole.artifacts)
    assert after.restored[-1:] == whole.restored[-1:]


def test_histograms_are_drawn_every_so_many_epochs() -> None:
    """A figure of the weights and one of the gradients, under names of their own."""
    drawn = driven(Histograms(every=4), [1.0] * 5, first=3, every=3).artifacts
    assert list(drawn) == [f"histograms/{what}_epoch_{n}" for n in (6, 9, 12) for what in ("weights", "gradients")]
    axes = drawn["histograms/weights_epoch_6"].axes
    assert [one.get_title("left") for one in axes] == ["0.weight, 30 × 20", "0.bias, 30"]
    counts = axes[0].patches[0].get_data().values
    assert counts.sum() == 600
    assert [text.get_text() for text in drawn["histograms/gradients_epoch_6"].axes[0].texts] == ["The model has none."]


def test_a_histogram_counts_what_numpy_counts() -> None:
    """In as many parts as asked for, or fewer where the values are few."""
    values = weights()["0.weight"].double().flatten().numpy()
    counts, edges = counted(values, 40)
    wanted, wanted_edges = np.histogram(values, bins=40)
    np.testing.assert_array_equal(counts, wanted)
    np.testing.assert_array_equal(edges, wanted_edges)
    assert len(counted(values[:4], 40)[0]) == 5


def test_of_many_tensors_some_matrices_are_drawn() -> None:
    """From the first to the last; values that are not finite are counted, not drawn."""
    tensors = {f"{n}.{part}": torch.ones(3, 3) if part == "weight" else torch.ones(3)
               for n in range(20) for part in ("weight", "bias")}  # fmt: skip
    tensors["0.weight"][0, 0] = torch.nan
    figure = histograms(RUN, "weights", tensors, 10, "black")
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert (len(titles), titles[0], titles[-1]) == (12, "0.weight, 3 × 3", "19.weight, 3 × 3")
    assert figure.axes[0].get_xlabel() == "1 not finite"
    assert "12 of 40 tensors" in figure.get_suptitle()


def test_sample_predictions_are_a_table_of_the_same_rows_each_time() -> None:
    """First to last at equal distances; numbers as numbers, classes by name with the probability, images left out."""
    written = driven(SamplePredictions(rows=3, every=2), [1.0] * 4).artifacts
    assert list(written) == ["samples/epoch_2.csv", "samples/epoch_4.csv"]
    header, *rows = written["samples/epoch_2.csv"].splitlines()
    assert header == "row,x,y,y_predicted,kind,kind_predicted,kind_probability"
    share = float(torch.tensor([0.0, 5.0, 0.0]).softmax(0)[1])
    chosen = (0, 50, 99)
    names = {0: "a", 1: "b", 2: "2"}
    for text, at in zip(rows, chosen, strict=True):
        row, x, y, predicted, kind, called, probability = text.split(",")
        assert (int(row), float(x), float(y), float(predicted)) == (at, at, at**2, at * 2)
        assert (kind, called) == (names[at % 3], names[max(1, at % 3)])
        assert float(probability) == pytest.approx(share, abs=1e-5)


def test_a_single_logit_is_a_class_with_the_probability_of_the_predicted_one() -> None:
    """As BCEWithLogitsLoss has it: the sigmoid, or what it leaves."""
    bits = Dataset({"x": X[:2]}, {"bit": torch.tensor([0.0, 1.0])})
    raw = {"loss": "BCEWithLogitsLoss", "raw_scores": frozenset({"bit"})}
    run = replace(RUN, train=bits, predict=lambda columns: {"bit": columns["x"] * 2 - 1}, **raw)  # type: ignore[arg-type]  # both are fields
    share = f"{float(torch.tensor(1.0, dtype=torch.float64).sigmoid()):.6g}"
    assert sample_table(run, 5, None).splitlines()[1:] == [f"0,0,0,0,{share}", f"1,1,1,1,{share}"]


def test_the_val_split_is_sampled_where_there_is_one() -> None:
    """Unless the train split is asked for."""
    run = replace(RUN, val=Dataset({"x": X[7:8]}, {"y": X[7:8], "kind": KIND[7:8]}, categories=ROWS.categories))
    assert sample_table(run, 5, None).splitlines()[1].startswith("0,7,7,14,b,b,")
    assert len(sample_table(run, 5, "train").splitlines()) == 6


@pytest.mark.parametrize(("split", "shape", "option"), [("val", (), "split"), (None, (2, 2), "")])
def test_a_table_that_cannot_be_written_is_refused_beforehand(
    split: str | None, shape: tuple[int, ...], option: str
) -> None:
    """A split that is not there, targets that are images."""
    fields = Fields({"x": Field()}, {"y": Field(shape)})
    with pytest.raises(OptionError) as caught:
        check_samples(Outline(fields, "MSELoss", takes_classes=False, options={"split": split}))
    assert caught.value.option == option
