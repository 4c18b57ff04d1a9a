"""Models that were run on the meta device are kept for the next plan of the same spec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.contract import Field, Fields
from annpipe.draft.draft import Draft, draft
from annpipe.errors import SpecError
from annpipe.plan.resolve.shape_cache import ShapeCache
from annpipe.plan.shapes import run
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from tests.train.gears.stacks import SPEC

FIELDS = Fields({"a": Field(), "b": Field()}, {"y": Field()}, rows=29)
Drafted = Callable[..., Draft]


@pytest.fixture
def drafted(tmp_path: Path, registry_entries: Registry) -> Drafted:
    def of(*overrides: str) -> Draft:
        (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
        return draft(load_spec(tmp_path / "spec.yaml", overrides), registry_entries.copy(), project=tmp_path)

    return of


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of layers of each model that was run."""
    run_shapes, counted = run.run_shapes, list[int]()

    def counting(model: tuple[object, ...], *others: object) -> object:
        counted.append(len(model))
        return run_shapes(model, *others)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(run, "run_shapes", counting)
    return counted


def test_the_same_model_is_run_once(drafted: Drafted, runs: list[int]) -> None:
    """What is beside the model may differ; layers and parameters have their sizes."""
    cache = ShapeCache()
    layers, parameters = cache.model(drafted(), FIELDS)
    assert cache.model(drafted("optimizer.SGD.lr=0.5", "seed=3"), FIELDS) == (layers, parameters)
    assert runs == [5]
    assert [layer.output_shape for layer in layers] == [(7,), (7,), (5,), (5,), (1,)]
    assert {name: tuple(parameter.shape) for name, parameter in parameters.items()} == {
        "0.weight": (7, 2),
        "0.bias": (7,),
        "2.weight": (5, 7),
        "2.bias": (5,),
        "4.weight": (1, 5),
        "4.bias": (1,),
    }


@pytest.mark.parametrize("override", ["model.0.Linear=8", "model.1=ReLU"])
def test_another_model_is_run(override: str, drafted: Drafted, runs: list[int]) -> None:
    """Each has layers of its own."""
    cache = ShapeCache()
    first, other = (cache.model(made, FIELDS)[0] for made in (drafted(), drafted(override)))
    assert len(runs) == 2
    assert first != other


def test_other_data_are_run_again(drafted: Drafted, runs: list[int]) -> None:
    """What arrives at the first layer is another shape."""
    cache, made = ShapeCache(), drafted()
    three = Fields({**FIELDS.inputs, "c": Field()}, FIELDS.targets, rows=29)
    shapes = [cache.model(made, fields)[1]["0.weight"].shape for fields in (FIELDS, three, FIELDS)]
    assert [tuple(shape) for shape in shapes] == [(7, 2), (7, 3), (7, 2)]
    assert len(runs) == 2


def test_a_model_that_does_not_fit_is_not_kept(drafted: Drafted, runs: list[int]) -> None:
    """It is refused each time, at its place."""
    cache, made = ShapeCache(), drafted("model=[Conv2d: {out_channels: 3, kernel_size: 2}, Linear: 1]")
    for _ in range(2):
        with pytest.raises(SpecError, match="Conv2d"):
            cache.model(made, FIELDS)
    assert len(runs) == 2
