"""From a draft to its plan: what needs torch is checked, and everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.plan.resolve.shape_cache import ShapeCache
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec

SPEC = """
version: 1
name: resolved
plugins: [counted.py]
data: {counted: {rows: 20}}
model: [Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: SGD
train: {epochs: 3, batch_size: 8}
"""
COUNTED = '''
import torch
from annpipe import Dataset, Field, Fields, OptionError, callback, data, plot

def fields(rows: int = 20, targets: int = 1, more: int = 0) -> Fields:
    names = ["y", "z"][:targets]
    return Fields({"x": Field()}, {name: Field() for name in names}, rows + more)

@data(fields=fields)
def counted(rows: int = 20, targets: int = 1, more: int = 0) -> Dataset:
    """Data that tell their fields; each time they are made shows in a file."""
    with open("made.txt", "a") as file:
        file.write("made ")
    x = torch.arange(float(rows))
    return Dataset({"x": x}, {name: x for name in ["y", "z"][:targets]})

@data
def images(rows: int = 6) -> Dataset:
    """Two inputs that cannot be joined."""
    return Dataset({"image": torch.zeros(rows, 3, 2), "x": torch.zeros(rows)}, {"y": torch.zeros(rows)})

def fits(preview):
    if preview.options["most"] < preview.fields.rows:
        raise OptionError("most", "too few for this run", help="take more")
    if preview.options["looks"]:
        preview.dataset()

@callback(check=fits)
class Watches:
    """Refuses runs of more rows than it has room for."""
    def __init__(self, most: int = 100, looks: bool = False) -> None:
        """Keeps nothing."""
    def on_look(self, look) -> None:
        """Does nothing."""
'''
Resolved = Callable[..., Plan]


@pytest.fixture
def resolved(tmp_path: Path, registry_entries: Registry, monkeypatch: pytest.MonkeyPatch) -> Resolved:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counted.py").write_text(COUNTED, encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")

    def made(*overrides: str, cache: ShapeCache | None = None) -> Plan:
        loaded = load_spec(tmp_path / "spec.yaml", overrides)
        return resolve(draft(loaded, registry_entries.copy(), project=tmp_path), cache)

    return made


def problems(resolved: Resolved, *overrides: str) -> list[str]:
    """What is wrong, in words."""
    with pytest.raises(SpecError) as refused:
        resolved(*overrides)
    return [problem.message for problem in refused.value.problems]


def test_a_plan_of_declared_fields_makes_data_only_to_compare(resolved: Resolved, tmp_path: Path) -> None:
    """At the end, once all else is right, and not many rows; a check that asks for them gets them once."""
    made = tmp_path / "made.txt"
    problems(resolved, "model=[Linear: 3]")
    assert not made.exists()
    resolved("data.counted.more=1000000", "data.split={val: 0.25}", "train.batch_size=8")
    assert not made.exists()
    plan = resolved("data.split={val: 0.25}")
    assert [layer.output_shape for layer in plan.model] == [(4,), (4,), (1,)]
    assert (plan.fields.rows, plan.n_frozen, plan.warnings) == (20, 0, ())
    assert made.read_text() == "made "
    problems(resolved, "callbacks=[{Watches: {looks: true}}, {Watches: {looks: true}}, {Watches: {most: 5}}]")
    assert made.read_text() == "made made "


def test_all_that_is_wrong_is_said_at_once(resolved: Resolved) -> None:
    """The output, a frozen parameter that is not there, too few rows, and a callback that does not fit."""
    said = problems(
        resolved,
        "model={layers: [Linear: 4, Tanh, Linear: 3], freeze: [9.weight]}",
        "data.split={val: 0.01}",
        "callbacks=[{Watches: {most: 5}}]",
    )
    assert len(said) == 4
    for words in ("3", "9.weight", "val", "`Watches.most`: too few for this run"):
        assert any(words in message for message in said), (words, said)


def test_a_fault_of_shape_comes_with_what_components_refuse(resolved: Resolved) -> None:
    """Both stand at their own lines."""
    said = problems(resolved, "model=[AdaptiveAvgPool1d: 2, Linear: 1]", "optimizer={SGD: {lr: 0.1, nesterov: true}}")
    assert [next(word for word in ("AdaptiveAvgPool1d", "SGD") if word in message) for message in said] == [
        "AdaptiveAvgPool1d",
        "SGD",
    ]


LINEAR = "layers: [Linear: 1]"
OUTPUTS = f"{{z: {{{LINEAR}, loss: L1Loss, weight: 3}}, y: {{{LINEAR}, loss: MSELoss}}}}"
HEADS = f"model={{layers: [Linear: 4], outputs: {OUTPUTS}}}"


def test_heads_stand_in_the_order_of_their_targets(resolved: Resolved) -> None:
    """Whatever the order of the spec; each keeps its loss and its weight."""
    plan = resolved("data.counted.targets=2", HEADS, "loss=null")
    assert [(head.name, head.loss.name, head.weight) for head in plan.outputs] == [
        ("y", "MSELoss", 1.0),
        ("z", "L1Loss", 3.0),
    ]
    assert list(plan.loss.options["losses"]) == list(plan.loss.options["weights"]) == ["y", "z"]
    assert plan.model[-1].component.options["names"] == ["y", "z"]


def test_inputs_that_cannot_be_joined_are_refused(resolved: Resolved) -> None:
    """With the one that is not a number, unless each has a stack of its own."""
    (message,) = problems(resolved, "data=images")
    assert message == "the inputs image, x cannot be joined: 'image' is not one number a row"
    inputs = "{pictures: {columns: [image], layers: [Flatten]}, rest: {columns: [x]}}"
    assert resolved("data=images", f"model={{inputs: {inputs}, layers: [Linear: 1]}}").model[0].output_shape == (7,)


def test_a_scheduler_is_as_long_as_the_rows_that_are_trained_on(resolved: Resolved) -> None:
    """Of 20 rows 5 are held out: two steps an epoch."""
    own = ["scheduler=CosineAnnealingLR", "train.scheduler_each=step"]
    for split, steps in (("{val: 0.25}", 6), ("{}", 9)):
        plan = resolved(*own, f"data.split={split}")
        assert plan.scheduler is not None
        assert plan.scheduler.options["T_max"] == steps


def test_what_is_rarely_meant_is_a_warning(resolved: Resolved) -> None:
    """The plan is made all the same."""
    plan = resolved("model=[Linear: 4, Linear: 1]")
    assert len(plan.warnings) == 1
    assert plan.warnings[0].severity == "warning"


def test_one_cache_serves_many_plans(resolved: Resolved) -> None:
    """Plans of the same model are equal with and without it."""
    cache = ShapeCache()
    first, second = resolved(cache=cache), resolved("seed=1", cache=cache)
    assert second.model[0] is first.model[0]
    assert second == resolved("seed=1")
