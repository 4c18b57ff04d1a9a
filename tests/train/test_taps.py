"""Training with named taps: resumed, averaged, copied, stacked, on several threads, and behind transforms."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from annpipe import Taps
from annpipe.export.model import saved_model
from annpipe.train.parts import build_model

SPEC = """
version: 1
name: tapped
device: {type: cpu, threads: 1}
data:
  formula: {rows: 64, inputs: {a: {Uniform: [-1, 1]}, b: {Normal: [0, 1]}}, targets: {y: a*b}}
  split: {val: 0.25}
blocks:
  own: [tap: arrived, Linear: 4, BatchNorm1d, Tanh, Dropout: 0.2, join: {taps: arrived, by: add}]
model:
  - tap: given
  - Linear: 4
  - own
  - shared: own
  - residual: [shared: own, tap: deep]
  - join: [[given, deep], concat]
  - Linear: 1
loss: MSELoss
optimizer: {AdamW: {lr: 0.01}, groups: [{params: own, lr: 0.002}]}
train: {epochs: 6, batch_size: 16}
"""


@pytest.mark.parametrize(
    "more", ["", "average: {EMA: {decay: 0.9}}\n", "average: {SWA: {start: 0.4}}\n"], ids=["plain", "ema", "swa"]
)
def test_a_resumed_run_with_taps_is_the_run_that_never_was_interrupted(more: str, fit: Any) -> None:
    """Bit for bit; the averaged model has taps of its own."""
    whole = fit(SPEC + more)
    fit(SPEC + more, stop_at=11)
    resumed = fit(SPEC + more, resume=True)
    for name, tensor in whole.parts.model.state_dict().items():
        assert torch.equal(resumed.parts.model.state_dict()[name], tensor), name
    assert resumed.losses[-1] == whole.losses[-1]
    assert not whole.parts.model.taps.values


def test_training_with_taps_is_that_of_plain_torch(fit: Any) -> None:
    """Ten steps of SGD on all rows, from the same weights on the same rows."""
    text = """
version: 1
name: dense
device: {type: cpu, threads: 1}
data: {formula: {rows: 64, inputs: {a: {Uniform: [-1, 1]}, b: {Normal: [0, 1]}}, targets: {y: a*b}}}
model: [tap: given, Linear: 8, Tanh, join: given, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 10, batch_size: all}
"""
    run = fit(text)
    start = build_model(run.plan)
    first, last = copy.deepcopy(start[1]), copy.deepcopy(start[4])
    optimizer = torch.optim.SGD([*first.parameters(), *last.parameters()], lr=0.1)
    rows = run.parts.rows["train"]
    for _ in range(10):
        optimizer.zero_grad()
        hidden = torch.cat([first(rows.x).tanh(), rows.x], 1)
        nn.functional.mse_loss(last(hidden), rows.y).backward()
        optimizer.step()
    for mine, its in zip(run.parameters, [*first.parameters(), *last.parameters()], strict=True):
        assert torch.allclose(mine, its, atol=1e-6)


@pytest.fixture
def model(planned: Any) -> nn.Module:
    """The untrained model, without what acts at random."""
    made: nn.Module = build_model(planned(SPEC.replace("Dropout: 0.2", "Identity")))
    return made.eval()


def test_a_copy_has_taps_of_its_own_and_takes_no_value_along(model: nn.Module) -> None:
    """One holder for all layers of a copy; neither a copy nor a pickle has a tensor of a run that is going on."""
    model.taps.values["arrived"] = torch.ones(3, requires_grad=True) * 2  # as within a run: it could not be copied
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        held = {id(value) for part in other.modules() for value in vars(part).values() if isinstance(value, Taps)}
        assert held == {id(other.taps)}
        assert other.taps is not model.taps
        assert not other.taps.values
        x = torch.randn(5, 2)
        assert torch.equal(other(x), model(x))


def test_no_graph_stays_after_a_step(model: nn.Module) -> None:
    """What was tapped is freed when the step is over."""
    seen: list[weakref.ref[torch.Tensor]] = []
    model[4].layers[1].register_forward_hook(lambda module, given, output: seen.append(weakref.ref(output)))
    model(torch.randn(5, 2)).sum().backward()
    gc.collect()
    assert [tensor() for tensor in seen] == [None]


def test_models_with_taps_are_stacked(model: nn.Module, planned: Any) -> None:
    """`vmap` over the parameters of three gives what each gives alone, gradients too."""
    models = []
    for seed in range(3):
        made = build_model(planned(SPEC.replace("Dropout: 0.2", "Identity"), f"seed={seed}")).eval()
        models.append(made)
    parameters, buffers = stack_module_state(models)
    x = torch.randn(5, 2)

    def loss(own: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional_call(model, (own, other), (x,)).square().sum()

    together = vmap(torch.func.grad_and_value(loss))(parameters, buffers)
    for number, one in enumerate(models):
        value = one(x).square().sum()
        value.backward()
        assert torch.allclose(together[1][number], value, rtol=1e-5)
        for name, parameter in one.named_parameters():
            assert torch.allclose(together[0][name][number], parameter.grad, atol=1e-5), name
    assert not model.taps.values


def test_a_model_with_taps_is_one_graph(model: nn.Module) -> None:
    """torch.compile finds nothing that it cannot trace, and what is traced is the model."""
    x = torch.randn(5, 2)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x), model(x))
    assert torch.allclose(compiled(x + 1), model(x + 1))


def test_threads_do_not_see_each_others_values(model: nn.Module) -> None:
    """One model, asked from four threads at once, as a server does."""
    inputs = [torch.full((50, 2), float(number)) for number in range(4)]
    expected = [model(x) for x in inputs]
    wrong: list[int] = []

    def ask(number: int) -> None:
        answers = [model(inputs[number]) for _ in range(50)]
        wrong.extend(number for answer in answers if not torch.equal(answer, expected[number]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_autocast_joins_what_was_tapped(fit: Any) -> None:
    """What is tapped in one dtype meets what comes in another, as `torch.cat` allows."""
    run = fit(SPEC, "device.autocast=bfloat16")
    assert run.losses[-1] < run.losses[0]


def test_taps_behind_transforms(fit: Any, tmp_path: Path) -> None:
    """An embedding that is trained stands before the layers, within the stack that lets the values go."""
    rows = "".join(f"{n / 10},{'xyz'[n % 3]},{n % 7}\n" for n in range(60))
    (tmp_path / "rows.csv").write_text("a,word,y\n" + rows, encoding="utf-8")
    run = fit("""
version: 1
name: behind
device: {type: cpu, threads: 1}
data:
  csv: {files: rows.csv, target: y}
  transforms: {number: standardize, category: {embedding: 2}}
model: [tap: given, Linear: 4, Tanh, join: given, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 5}
""")
    assert run.losses[-1] < run.losses[0]
    model = run.parts.model
    assert [name for name, _ in model.named_children()][:2] == ["columns", "0"]
    assert not model.taps.values
    saved = saved_model(run.parts)
    raw = torch.stack(list(run.parts.splits.train.inputs.values()), 1)
    with torch.no_grad():
        assert torch.allclose(saved(raw), run.parts.model.eval()(run.parts.rows["train"].x), atol=1e-6)
