"""What flows on of a layer that gives a tuple: held against plain torch."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.cost import multiply_adds
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.parts import build_model
from annpipe_std.outputs import OutputOf
from tests.sampling import sample

REST = """
version: 1
name: t
data: {npz: {file: ./data.npz, inputs: [x], targets: [y]}}
loss: MSELoss
optimizer: SGD
train: {epochs: 1}
"""
TUPLES = '''
"""A layer that gives a tuple in a tuple."""
import torch
from annpipe import layer


@layer
class Several(torch.nn.Module):
    """Itself, and its double and its square."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        return x, (2 * x, x * x)
'''
STEPS, FEATURES = 6, 4
KINDS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """The plan of a model on sequences."""
    shape = (4, STEPS, FEATURES)
    np.savez(tmp_path / "data.npz", x=np.zeros(shape, np.float32), y=np.zeros(4, np.float32))
    (tmp_path / "tuples.py").write_text(TUPLES, encoding="utf-8")

    def plan(model: str, more: str = "") -> Plan:
        (tmp_path / "s.yaml").write_text(f"{REST}{more}model: {model}\n", encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml"), Registry.installed(), project=tmp_path))

    return plan


def sequences() -> torch.Tensor:
    return torch.randn(7, STEPS, FEATURES, generator=torch.Generator().manual_seed(0))


def compared(made: Plan, theirs: nn.Module, part: Any) -> None:
    """The first layer gives what `part` takes out of what torch's own gives, as the plan says; so do the gradients."""
    own = build_model(made)[0]
    theirs.load_state_dict(own.layer.state_dict() if isinstance(own, OutputOf) else own.state_dict())
    x = sequences()
    run = nn.Sequential(own) if isinstance(own, OutputOf) else own
    mine, its = run(x), part(theirs, x)
    assert torch.allclose(mine, its, atol=1e-6)
    assert made.model[0].output_shape == tuple(its.shape[1:])
    mine.square().sum().backward()
    its.square().sum().backward()
    for parameter, other in zip(own.parameters(), theirs.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None)
        assert parameter.grad is None or torch.allclose(parameter.grad, other.grad, atol=1e-5)


def last_hidden(states: torch.Tensor, *, both: bool) -> torch.Tensor:
    """The last layer's, both directions side by side; states are (layers, directions, rows, features) flattened."""
    layers = states.reshape(-1, 2 if both else 1, *states.shape[1:])
    return torch.cat(list(layers[-1]), 1)


@pytest.mark.parametrize(
    ("part", "both", "n_layers", "kind"),
    sample(itertools.product(["sequence", "last_step", "hidden"], [False, True], [1, 2], KINDS), 5),
)
def test_a_recurrent_layer_gives_the_part_that_is_named(
    kind: str, n_layers: int, both: bool, part: str, plan: Any
) -> None:
    """Of one and two layers, of one direction and both."""
    layer = f"{kind}: {{hidden_size: 3, num_layers: {n_layers}, bidirectional: {str(both).lower()}}}"
    width = 6 if both else 3
    made = plan(f"[output_of: {{layer: {{{layer}}}, part: {part}}}, Flatten, Linear: 1]")
    theirs = KINDS[kind](FEATURES, 3, n_layers, batch_first=True, bidirectional=both)

    def named(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        output, state = module(x)
        hidden = state[0] if isinstance(state, tuple) else state
        return {"sequence": output, "last_step": output[:, -1], "hidden": last_hidden(hidden, both=both)}[part]

    compared(made, theirs, named)
    assert made.model[0].output_shape == ((STEPS, width) if part == "sequence" else (width,))


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's own advice on speed
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("projected", [0, 2])
def test_an_lstm_gives_its_cell_and_projected_states(both: bool, projected: int, plan: Any) -> None:
    """Cells keep their width where hidden states are projected."""
    layer = f"LSTM: {{hidden_size: 3, bidirectional: {str(both).lower()}, proj_size: {projected}}}"
    for part, place in (("hidden", 0), ("cell", 1)):
        theirs = nn.LSTM(FEATURES, 3, batch_first=True, bidirectional=both, proj_size=projected)
        made = plan(f"[output_of: {{layer: {{{layer}}}, part: {part}}}, Linear: 1]")
        compared(made, theirs, lambda m, x, place=place: last_hidden(m(x)[1][place], both=both))


def test_hidden_and_last_step_differ_in_the_direction_that_reads_backwards(plan: Any) -> None:
    """They are one in the first half of features, the direction that reads forwards."""
    layer = "{GRU: {hidden_size: 3, bidirectional: true}}"
    last, hidden = (
        build_model(plan(f"[output_of: [{layer}, {part}], Linear: 1]"))[0](sequences())
        for part in ("last_step", "hidden")
    )
    assert torch.equal(last[:, :3], hidden[:, :3])
    assert not torch.allclose(last[:, 3:], hidden[:, 3:])


ATTENTION = "MultiheadAttention: {num_heads: 2}"


@pytest.mark.parametrize(
    ("layer", "part"),
    [
        (ATTENTION, lambda m, x: m(x, x, x)[0]),
        (f"output_of: [{{{ATTENTION}}}, sequence]", lambda m, x: m(x, x, x)[0]),
        (f"output_of: [{{{ATTENTION}}}, last_step]", lambda m, x: m(x, x, x)[0][:, -1]),
        (f"output_of: [{{{ATTENTION}}}, weights]", lambda m, x: m(x, x, x)[1]),
        (f"output_of: [{{{ATTENTION}}}, 1]", lambda m, x: m(x, x, x)[1]),
    ],
)
def test_attention_in_a_stack_is_that_of_a_sequence_to_itself(layer: str, part: Any, plan: Any) -> None:
    """Its output flows on, or the weights; the plan counts the products that torch counts."""
    made = plan(f"[{layer}, Flatten, Linear: 1]")
    theirs = nn.MultiheadAttention(FEATURES, 2, batch_first=True)
    model = build_model(made)
    own = model[0].layer if isinstance(model[0], OutputOf) else model[0]
    theirs.load_state_dict(own.state_dict())
    x = sequences()
    mine, its = model(x), model[2](part(theirs, x).flatten(1))
    assert torch.allclose(mine, its, atol=1e-6)
    assert torch.allclose(*(torch.autograd.grad(y.square().sum(), m.in_proj_weight)[0] for y, m in
                            ((mine, own), (its, theirs))), atol=1e-5)  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        part(theirs, x)
    assert multiply_adds(made.model[0]) * 2 * 7 == counter.get_total_flops()


def test_a_transformer_gives_its_sequence_or_the_last_step(plan: Any) -> None:
    """It gives a tensor and no tuple."""
    encoder = "{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: {nhead: 2, dropout: 0}}, num_layers: 2}}"
    inner = nn.TransformerEncoderLayer(FEATURES, 2, dropout=0, batch_first=True)
    for part, take in (("sequence", lambda y: y), ("last_step", lambda y: y[:, -1])):
        theirs = nn.TransformerEncoder(inner, 2)
        made = plan(f"[output_of: {{layer: {encoder}, part: {part}}}, Flatten, Linear: 1]")
        compared(made, theirs, lambda m, x, take=take: take(m(x)))


@pytest.mark.parametrize(
    ("part", "value"), [("0", lambda x: x), ("[0]", lambda x: x), ("[1, 0]", lambda x: 2 * x), ("[1, 1]", torch.square)]
)
def test_places_lead_into_a_plugins_tuples(part: str, value: Any, plan: Any) -> None:
    """Counted from 0."""
    made = plan(f"[output_of: {{layer: Several, part: {part}}}, Flatten, Linear: 1]", "plugins: [./tuples.py]\n")
    x = sequences()
    assert torch.equal(build_model(made)[0](x), value(x))


def test_a_plan_is_the_plan_of_its_own_yaml(plan: Any) -> None:
    """The layer inside has its sizes there."""
    made = plan("[output_of: [{LSTM: 3}, cell], tap: c, Linear: 2, join: c, Linear: 1]")
    again = plan(made.to_yaml().partition("\nmodel:")[2].partition("\nloss:")[0])
    assert again.model == made.model
    assert made.model[0].component.options["layer"].options["input_size"] == FEATURES
    assert made.model[0].parameters == sum(p.numel() for p in nn.LSTM(FEATURES, 3).parameters())


@pytest.mark.parametrize(
    ("layer", "part", "code", "words"),
    [
        ("{GRU: 3}", "cell", "wrong-value", "GRU has no `cell`"),
        ("{Linear: 3}", "hidden", "wrong-value", "Linear has no `hidden`"),
        ("{LSTM: 3}", "weights", "wrong-value", "LSTM has no `weights`"),
        ("{LSTM: 3}", "[1, 0]", "wrong-value", "say `hidden` or `cell`"),
        ("{GRU: 3}", "1", "wrong-value", "say `hidden`"),
        ("{GRU: 3}", "[]", "wrong-value", "`part` is an empty list"),
        ("{Linear: 3}", "1", "shape", "the output of Linear is a single tensor; `part` is 1"),
        ("{MultiheadAttention: 2}", "2", "shape", "the output of MultiheadAttention is a tuple of 2, counted from 0"),
        ("{Flatten: {}}", "last_step", "shape", "Flatten has 2 dimensions of output"),
        ("{LSTM: {hidden_size: 3, batch_first: false}}", "hidden", "shape", "takes the rows for the steps"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_there_is_said(layer: str, part: str, code: str, words: str, plan: Any) -> None:
    """At the layer, before anything runs."""
    with pytest.raises(SpecError) as caught:
        plan(f"[output_of: {{layer: {layer}, part: {part}}}, Flatten, Linear: 1]")
    assert [problem.code for problem in caught.value.problems] == [code]
    assert words in caught.value.problems[0].message


def test_the_layer_inside_needs_the_shape_that_it_needs_in_a_stack(plan: Any) -> None:
    """On (rows, features) torch would take the rows for the steps of one sequence."""
    with pytest.raises(SpecError, match=r"LSTM cannot take the shape \(rows, 24\).*needs \(rows, length, features\)"):
        plan("[Flatten, output_of: [{LSTM: 3}, last_step], Linear: 1]")
