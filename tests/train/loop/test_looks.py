"""What a look shows beyond its values: right when asked for, at no cost and without a trace otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from annpipe import Look
from annpipe.record.journal import journal
from annpipe.record.journal.events import ArtifactKept
from annpipe.train.loop import loop as loops
from tests.sampling import sample

SPEC = """
version: 1
name: looks
device: {type: cpu, threads: 1}
data:
  formula: {rows: 40, inputs: {a: {Normal: [0, 1]}, b: {Normal: [0, 1]}}, targets: {y: a - 2*b}}
  split: {val: 0.25}
model: [Linear: 3, Dropout: 0.2, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 6, batch_size: 7, evaluate_every: 2}
"""
ASKS = """
from annpipe import Look, callback

@callback
class Asks:
    def __init__(self, seen: list[str] | None = None) -> None:
        self.looks = []

    def on_look(self, look: Look) -> None:
        view = look.view()
        self.looks.append((look.epoch, look.parameters(), look.gradients(), view.predict(view.val.inputs), view))
        for tensor in (*look.parameters().values(), *look.gradients().values()):
            tensor.zero_()
        look.artifact(f"notes/epoch_{look.epoch}.txt", f"after {look.step} steps")

@callback
class Idle:
    def on_look(self, look: Look) -> None:
        pass
"""


def test_asking_changes_no_number(fit: Any) -> None:
    """Bit for bit the run of a callback that only watches; what a callback does to its copies is its own affair."""
    asked = fit(SPEC, "plugins=[./asks.py]", "callbacks=[Asks]", asks=ASKS)
    idle = fit(SPEC, "plugins=[./asks.py]", "callbacks=[Idle]", asks=ASKS)
    assert asked.told.series == idle.told.series
    for one, other in zip(asked.parameters, idle.parameters, strict=True):
        assert torch.equal(one, other)
    assert list(asked.told.kept) == ["notes/epoch_2.txt", "notes/epoch_4.txt", "notes/epoch_6.txt"]


def test_a_look_shows_parameters_predictions_and_history(fit: Any) -> None:
    """As they are after the epoch: the last look's are the trained model's."""
    done = fit(SPEC, "plugins=[./asks.py]", "callbacks=[Asks]", asks=ASKS)
    looks = done.parts.callbacks[0].looks
    assert [epoch for epoch, *_ in looks] == [2, 4, 6]
    _, parameters, _, predicted, view = looks[-1]
    for name, tensor in done.parts.model.named_parameters():
        assert torch.equal(parameters[name], tensor.detach())
    assert not torch.equal(looks[0][1]["0.weight"], parameters["0.weight"])
    x = torch.stack([view.val.inputs["a"], view.val.inputs["b"]], 1).float()
    with torch.no_grad():
        torch.testing.assert_close(predicted["y"], done.parts.model.eval()(x)[:, 0])
    assert view.history["val/loss"][0] == [2, 4, 6]
    assert view.history["train/loss"][0] == [1, 2, 3, 4, 5, 6]


def test_the_gradients_of_a_look_are_those_of_the_last_step(fit: Any) -> None:
    """Full batches of one linear layer: by hand, from the parameters before the step that they made."""
    spec = ("model=[Linear: 1]", "train.batch_size=all", "train.evaluate_every=1", "callbacks=[Asks]")
    done = fit(SPEC, "plugins=[./asks.py]", *spec, asks=ASKS)
    before, after = done.parts.callbacks[0].looks[-2:]
    rows = done.parts.rows["train"]
    missing = rows.x @ before[1]["0.weight"].T + before[1]["0.bias"] - rows.y
    wanted = 2 * (missing * rows.x).mean(0, keepdim=True)
    torch.testing.assert_close(after[2]["0.weight"], wanted)
    torch.testing.assert_close(before[1]["0.weight"] - 0.1 * wanted, after[1]["0.weight"])


def test_what_nobody_asks_for_costs_nothing(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No copy is made and no view, however many looks there are."""

    def never(*arguments: Any) -> Any:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(loops, "copied", never)
    monkeypatch.setattr(loops, "run_view", never)
    fit(SPEC, "plugins=[./asks.py]", "callbacks=[Idle, checkpoint: 2]", asks=ASKS)


CALLBACKS = "callbacks=[{histograms: {every: 2}}, {sample_predictions: {every: 2, rows: 3}}]"


@pytest.mark.slow
def test_artifacts_of_looks_are_kept_with_the_run(go: Any) -> None:
    """Files in its folder, told by the journal."""
    done = go(SPEC, CALLBACKS)
    assert done.outcome.status == "FINISHED", done.outcome.error
    told = [(event.file, event.to) for event in journal.read(done.folder) if isinstance(event, ArtifactKept)]
    looks = [(file, to) for file, to in told if to.startswith("looks")]
    assert len(looks) == 9
    assert ("artifacts/looks/samples/epoch_4.csv", "looks/samples") in looks
    assert ("artifacts/looks/histograms/gradients_epoch_6.svg", "looks/histograms") in looks
    assert all((done.folder / file).stat().st_size for file, _ in looks)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", sample([3, 9, 17], 3, first=1))
def test_a_resumed_run_leaves_what_it_would_have_left(fit: Any, stop_at: int) -> None:
    """Each table word for word, each histogram bar for bar, gradients included."""
    whole = fit(SPEC, CALLBACKS).told.kept
    first = fit(SPEC, CALLBACKS, stop_at=stop_at)
    assert first.loop.gear.step < whole_steps(first)
    resumed = first.told.kept | fit(SPEC, CALLBACKS, resume=True).told.kept
    assert list(resumed) == list(whole)
    for name, content in whole.items():
        assert shown(resumed[name]) == shown(content), name


def whole_steps(trained: Any) -> int:
    return int(trained.schedule.total_steps)


def shown(content: Any) -> Any:
    """A table as it is, a figure as the heights of its bars."""
    if isinstance(content, str):
        return content
    return [patch.get_data().values.tolist() for axes in content.axes for patch in axes.patches]


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "", "a/../b", ".hidden"])
def test_an_artifact_stays_among_the_runs_own(go: Any, name: str) -> None:
    """A name that leads elsewhere fails the run, and says how to name it."""
    plugin = ASKS.replace('f"notes/epoch_{look.epoch}.txt"', repr(name))
    done = go(SPEC, "plugins=[./asks.py]", "callbacks=[Asks]", asks=plugin)
    assert done.outcome.status == "FAILED"
    assert "use a relative path" in str(done.outcome.error)


RECORDS = """
from annpipe import Look, callback

@callback
class Records:
    def on_look(self, look: Look) -> None:
        look.record({KEY: VALUE})
"""


def test_numbers_that_a_callback_records_are_the_runs(go: Any) -> None:
    """A point for each look in its journal, in the order of the epochs."""
    done = go(SPEC, "plugins=[./records.py]", "callbacks=[Records]", records=_recording("'mine/epoch'", "look.epoch"))
    assert done.outcome.status == "FINISHED"
    recorded = [point for event in journal.read(done.folder) for point in journal.points(event)]
    assert [(step, value) for key, step, value, _ in recorded if key == "mine/epoch"] == [(2, 2.0), (4, 4.0), (6, 6.0)]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("'val/loss'", "1.0", "a key of the run's own"),
        ("''", "1.0", "a key of the run's own"),
        ("'a'", "'b'", "plain numbers"),
    ],
)
def test_a_callback_records_no_key_of_the_runs_own(go: Any, key: str, value: str, told: str) -> None:
    """It would be taken for a measure of the run; what is no number cannot be a point."""
    done = go(SPEC, "plugins=[./records.py]", "callbacks=[Records]", records=_recording(key, value))
    assert done.outcome.status == "FAILED"
    assert told in str(done.outcome.error)


def _recording(key: str, value: str) -> str:
    return RECORDS.replace("KEY", key).replace("VALUE", value)


def test_a_look_without_a_run_says_so() -> None:
    """As one that a test of a callback makes."""
    look = Look(1, 1, {}, print, print, print)
    assert look.parameters() == look.gradients() == {}
    with pytest.raises(RuntimeError, match="without a run"):
        look.view()
    with pytest.raises(RuntimeError, match="without a run"):
        look.record({"mine": 1.0})
