"""What model.json says of targets: their classes, and which columns of the output predict them."""

from __future__ import annotations

from typing import Any

import pytest

from annpipe.export.targets import described_loss, model_targets

HEAD = "version: 1\nname: t\ndevice: {type: cpu, threads: 1}\ntrain: {epochs: 1}\noptimizer: {Adam: {lr: 0.01}}\n"
DATA = "data: {formula: {rows: 40, inputs: {a: {Uniform: [-1, 1]}}, targets: {y: a > 0, z: a*2}}}\n"
HEADS = """model:
  layers: [Linear: 4]
  outputs:
    y: {layers: [Linear: 1], loss: BCEWithLogitsLoss}
    z: {layers: [Linear: 1], loss: MSELoss, weight: 0.5}
"""


def test_each_head_has_its_span_and_what_its_loss_takes(fit: Any) -> None:
    """A probability has two classes, a number none."""
    run = fit(HEAD + DATA + HEADS)
    y, z = model_targets(run.plan, run.parts.splits.train)
    assert (y.name, y.span, y.labels, y.gives, y.classes) == ("y", (0, 1), False, "logits", ("0", "1"))
    assert (z.name, z.span, z.labels, z.gives, z.classes) == ("z", (1, 2), False, None, None)
    assert list(described_loss(run.plan, run.parts)) == ["model.outputs.y.loss", "model.outputs.z.loss"]


@pytest.mark.parametrize("has_roles", [True, False])
def test_roles_are_those_of_the_loss(has_roles: bool, fit: Any) -> None:
    """A mean and a variance have names; the target's own value needs none."""
    data = DATA.replace("y: a > 0, ", "")
    layers = "[Linear: 2, mean_variance]" if has_roles else "[Linear: 1]"
    run = fit(f"{HEAD}{data}model: {layers}\nloss: {'GaussianNLLLoss' if has_roles else 'MSELoss'}\n")
    (target,) = model_targets(run.plan, run.parts.splits.train)
    assert (target.roles is not None, target.span) == (has_roles, (0, 2) if has_roles else (0, 1))
    if target.roles:
        assert target.roles.names == ("mean", "variance")
