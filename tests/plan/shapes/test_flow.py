"""What is checked while shapes are run: dimensions that a layer takes, shared weights, tapped values, and counts."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.contract import Field
from annpipe.draft.component import Component
from annpipe.errors import Place, SpecError
from annpipe.plan.plan import Layer
from annpipe.plan.shapes.flow import (
    Flow,
    counted_once,
    forward_problem,
    pieces,
    raised_in,
    rank_problem,
    repeated,
    steps_first,
)
from annpipe.registry.registry import Registry
from tests.training import Planned

PLACE = Place("spec.yaml", 7, 3)
CHANNELS = "(rows, channels, length)"


@pytest.fixture
def layer(registry_entries: Registry) -> Any:
    """A layer by its name and options."""

    def made(name: str, place: Place | None = PLACE, **options: Any) -> Component:
        return Component("layer", name, options, place, entry=registry_entries.entry("layer", name))

    return made


@pytest.mark.parametrize(
    ("name", "rank", "needs", "help_"),
    [
        ("AdaptiveAvgPool1d", 3, None, None),
        ("AdaptiveAvgPool1d", 2, CHANNELS, "add `- Unflatten: [1, [channels, length]]` before it"),
        ("AdaptiveAvgPool1d", 4, CHANNELS, "add a layer before it that gives that shape"),
        ("BatchNorm1d", 2, None, None),
        ("BatchNorm1d", 3, None, None),
        ("BatchNorm1d", 4, "(rows, features)", "add `- Flatten` before it"),
        ("Tanh", 5, None, None),
    ],
)
def test_the_dimensions_that_a_layer_takes(
    name: str, rank: int, needs: str | None, help_: str | None, layer: Any
) -> None:
    """Said with what to add before it; a layer that takes any shape is never refused."""
    problem = rank_problem(layer(name), torch.zeros([2] * rank), "(rows, …)")
    assert (problem is None) == (needs is None)
    if problem is not None and needs is not None and help_ is not None:
        assert problem.message.startswith(f"{name} cannot take the shape (rows, …) that arrives; it needs {needs}")
        assert problem.help is not None
        assert problem.help.startswith(help_)
        assert problem.place == PLACE


def test_rows_that_are_taken_for_steps_are_noticed_inside_too(layer: Any) -> None:
    """By the option that torch's layers have for it."""
    wrong = layer("LSTM", hidden_size=3, batch_first=False)
    assert steps_first(layer("LSTM", hidden_size=3, batch_first=True)) is None
    for component in (wrong, layer("residual", layers=[layer("Tanh"), wrong])):
        problem = steps_first(component)
        assert problem is not None
        assert problem.message == "LSTM with `batch_first: false` takes the rows for the steps of one sequence"


def test_whole_numbers_are_asked_for_in_words(layer: Any) -> None:
    """Where torch says something of dtypes; of whole numbers its own reason is shown."""
    embedding = layer("Embedding", num_embeddings=4, embedding_dim=2)
    fractions = forward_problem(embedding, torch.zeros(2, 3), "(rows, 3)", RuntimeError("dtype"), "dtype")
    assert "what arrives has fractions" in fractions.message
    whole = forward_problem(
        embedding, torch.zeros(2, 3, dtype=torch.int64), "(rows, 3)", RuntimeError("x"), "out of range"
    )
    assert whole.message == "Embedding cannot take the shape (rows, 3) that arrives: out of range"
    assert whole.help == "change it, or the layers before it"


PLUGIN = '''
import torch
from annpipe import layer

@layer
class Raising(torch.nn.Module):
    """A layer with a fault in a function of its own."""
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return inner(x)

def inner(x: torch.Tensor) -> torch.Tensor:
    raise AttributeError("no such weight")
'''


def test_the_last_line_of_a_plugin_is_shown(registry_entries: Registry, tmp_path: Path) -> None:
    """The one that raised, in its own file; of errors from elsewhere none."""
    file = tmp_path / "raising.py"
    file.write_text(PLUGIN, encoding="utf-8")
    registry = registry_entries.copy()
    (entry,) = registry.add_file(file)
    with pytest.raises(AttributeError) as raised:
        registry.load(entry)().forward(torch.zeros(2))
    ((place, said),) = raised_in(entry, raised.value)
    assert (place.file, place.line) == (
        str(file),
        PLUGIN.splitlines().index('    raise AttributeError("no such weight")') + 1,
    )
    assert said == "raised here: AttributeError"
    assert len(traceback.extract_tb(raised.value.__traceback__)) > 1
    assert raised_in(entry, ValueError("elsewhere")) == ()


def layer_of(component: Component, shape: tuple[int, ...] = (4,), parameters: int = 10, **stacks: Any) -> Layer:
    return Layer(component, shape, shape, parameters, stacks=stacks)


def test_shared_weights_need_one_shape(layer: Any) -> None:
    """A later use with other sizes is refused, with the place of the first."""
    flow, first = Flow(), Place("spec.yaml", 3, 1)
    inside = [layer("Linear", in_features=4, out_features=4)]
    flow.check_shared(layer_of(layer("shared", first, block="encoder", layers=inside)))
    flow.check_shared(layer_of(layer("shared", block="encoder", layers=inside)))
    flow.check_shared(layer_of(layer("Tanh"), (5,)))
    other = [layer("Linear", in_features=5, out_features=4)]
    flow.check_shared(layer_of(layer("shared", block="decoder", layers=other), (5,)))
    with pytest.raises(SpecError) as refused:
        flow.check_shared(layer_of(layer("shared", block="encoder", layers=other), (5,)))
    (problem,) = refused.value.problems
    assert problem.message == (
        "the block 'encoder' is shared, and (rows, 5) arrives here, (rows, 4) where it stands first"
    )
    assert (problem.place, problem.related) == (PLACE, ((first, "first used here"),))


def test_a_repeated_stack_is_counted_the_first_time(layer: Any) -> None:
    """And refused where a later time would need other weights."""
    square = layer_of(layer("Linear", in_features=4, out_features=4))
    tanh = layer_of(layer("Tanh"), parameters=0)
    component = layer("repeat", times=3)
    layers = repeated(component, [square, tanh] * 3, 2)
    assert [inner.parameters for inner in layers] == [10, 0, 0, 0, 0, 0]
    assert [inner.component for inner in layers] == [square.component, tanh.component] * 3
    wider = layer_of(layer("Linear", in_features=5, out_features=4), (5,))
    with pytest.raises(SpecError, match=r"repeat shares its weights: \(rows, 4\) arrives the first time, \(rows, 5\)"):
        repeated(component, [square, tanh, wider, tanh], 2)


def test_the_parameters_of_a_block_are_counted_where_it_stands_first(layer: Any) -> None:
    """At whatever depth; what is around it keeps its own."""
    linear = layer_of(layer("Linear", in_features=4, out_features=4))
    use = layer_of(layer("shared", block="encoder"), layers=(linear,))
    around = layer_of(layer("residual", layers=[]), parameters=13, layers=(use,))
    first, second, third = counted_once([around, use, linear])
    assert (first.parameters, second.parameters, third.parameters) == (13, 0, 10)
    assert [inner.parameters for inner in second.walk()] == [0, 0]
    again = counted_once([use, around])
    assert [inner.parameters for inner in again[1].walk()] == [3, 0, 0]


def test_taps_tell_their_shapes() -> None:
    """Without the rows, and whether they are whole numbers."""
    flow = Flow()
    flow.building.taps.values["first"] = torch.zeros(3, 4, 5)
    flow.building.taps.values["words"] = torch.zeros(3, 2, dtype=torch.int64)
    assert flow.tapped == {"first": Field((4, 5)), "words": Field((2,), "int")}


@pytest.mark.parametrize(("written", "fits"), [(None, True), ([[4]], True), ([[3]], False)])
def test_a_layer_that_reads_taps_is_told_their_shapes(written: Any, fits: bool, layer: Any) -> None:
    """Those that a spec tells must be the ones that there are."""
    flow = Flow()
    flow.building.taps.values["first"] = torch.zeros(3, 4)
    own = {} if written is None else {"tap_shapes": written}
    join = layer("join", taps=["first"], **own)
    if fits:
        assert flow.with_tap_shapes(join).options["tap_shapes"] == [[4]]
        return
    with pytest.raises(SpecError, match=r"the taps of join have the shapes \[\[4\]\]; its `tap_shapes` says \[\[3\]\]"):
        flow.with_tap_shapes(join)


def test_each_stack_of_inputs_gets_its_columns(planned: Planned, layer: Any) -> None:
    """What comes behind gets all; a layer of another kind always does."""
    plan = planned(
        "version: 1\nname: t\n"
        "data: {formula: {rows: 9, inputs: {a: {Uniform: [0, 1]}, b: {Uniform: [0, 1]}, c: {Uniform: [0, 1]}}, "
        "targets: {y: a*b*c}}}\n"
        "model: {inputs: {one: {columns: [a, b], layers: [Linear: 2]}, two: {columns: [c]}}, layers: [Linear: 1]}\n"
        "loss: MSELoss\noptimizer: SGD\ntrain: {epochs: 1}\n"
    )
    x = torch.arange(6.0).view(2, 3)
    given = pieces(plan.model[0].component, x)
    assert [next(given).tolist() for _ in range(3)] == [[[0, 1], [3, 4]], [[2], [5]], x.tolist()]
    assert next(pieces(layer("Tanh"), x)) is x
