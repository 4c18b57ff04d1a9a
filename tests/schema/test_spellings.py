"""Every spelling of a component: the schema takes what annpipe takes, and refuses what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from jsonschema import Draft7Validator

from annpipe.registry.registry import Registry
from annpipe.schema import spec_schema
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_text

Complaints = Callable[[str], list[str]]
SpecWith = Callable[..., str]
IsRight = Callable[[str, Registry], bool]

ACCEPTED = """
model: {Linear: 1}
model: {layers: [Linear: 1], init: {bias: zeros_}, freeze: [0]}
model: {layers: [Linear: 1], freeze: [0.bias, {layers: [0.weight], until: 5}]}
model: {from: a_run, layers: [Linear: 1]}
model: {from: {weights: runs/a/model, layers: [0, a.*], else: init}, layers: [Linear: 1]}
model: {from: {weights: a.safetensors, layers: 0, else: null}, layers: [Linear: 1]}
model: {inputs: {all: {columns: "*", layers: [Linear: 1]}}}
model: {inputs: {x: {layers: [Linear: 4, ReLU]}}, join: add, layers: [Linear: 1], freeze: [inputs.x]}
model: {inputs: {it: {columns: [number]}}, layers: [Linear: 1]}
model: [ReLU]
model: [ReLU: ]
model: [ReLU: []]
model: [ReLU: {}]
model: [ReLU: true]
model: [ReLU: {inplace: true}]
model: [Linear: 100]
model: [Linear: [100]]
model: [Linear: [100, false]]
model: [Linear: {out_features: 100}]
model: [Linear: {bias: false, out_features: 100}]
model: [Linear: {in_features: 3, out_features: 100}]
model: [Conv2d: [32, 3]]
model: [Conv2d: [32, [3, 5], 1, same]]
model: [Conv2d: {out_channels: 32, kernel_size: [3, 3], padding: valid}]
model: [Dropout: 1]
model: [Dropout: 0.5]
model: [Tanh]
model: [Tanh: {}]
model: [LayerNorm: {normalized_shape: [3, 4]}]
model: [TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: 2}, num_layers: 1, norm: LayerNorm}]
model: [residual: [Linear: 3, ReLU]]
model: [residual: {layers: [Linear: 3, residual: [ReLU]]}]
model: [parallel: [[Linear: 3], [ReLU]]]
model: [parallel: {branches: [[Linear: 3], [ReLU]], join: add}]
model: [repeat: [2, [Linear: 3]]]
model: [repeat: {times: 2, layers: [Linear: 3]}]
optimizer: Adam
optimizer: {Adam: 1}
optimizer: {Adam: 1e-3}
optimizer: {Adam: [1e-3, [0.9, 0.99]]}
optimizer: {Adam: {lr: 1e-3, weight_decay: 1, fused: null}}
optimizer: {LBFGS: {line_search_fn: strong_wolfe}}
loss: {MSELoss: sum}
loss: {MSELoss: {reduction: sum}}
loss: {BCEWithLogitsLoss: {pos_weight: [1, 2.5]}}
loss: {BCEWithLogitsLoss: {pos_weight: 2}}
optimizer: {Adam: {lr: 1e-3}, groups: [{params: "*.bias", weight_decay: 0}, {params: [0.*, 2.*], betas: [0.8, 0.9]}]}
optimizer: {Adam: , groups: }
loss: {weighted_sum: [[MSELoss, {L1Loss: sum}], [1, 0.5]]}
loss: {per_target: {losses: {y: MSELoss}}}
loss: {CrossEntropyLoss: balanced}
average: {EMA: 0.99}
average: SWA
average: null
scheduler: {ReduceLROnPlateau: {monitor: train/loss}}
train: {steps: 30, max_seconds: 2.5}
train: {steps: 30, epochs: null}
train: {steps: null, epochs: 3}
scheduler: {StepLR: 10}
scheduler: {MultiStepLR: [[10, 20]]}
scheduler: {LambdaLR: 0.95**epoch}
scheduler: {LambdaLR: 1}
scheduler: {SequentialLR: {schedulers: [LinearLR, StepLR: 3], milestones: [2]}}
scheduler: null
metrics: [Accuracy, {Accuracy: 0.5}]
metrics: []
metrics:
plots: [data, learning_curve]
callbacks: [checkpoint]
data: {formula: [10, {x: {Uniform: [0, 1]}, u: {Normal: {loc: 0, scale: 1}}}, {y: x, z: 3}, {y: {Normal: [0, 1]}}]}
data: {formula: {rows: 10, inputs: {x: {Exponential: 2}}, targets: {y: x}, noise: null}}
data: {split: {val: 0.1}, table: {inputs: {x: [0, 1]}, targets: {y: [a, b]}}}
data: {table: [{x: [0, 1]}, {y: [0, 1]}], split: }
device: auto
device: cuda:1
device: {type: cpu, threads: 2}
device: {threads: auto}
train: {epochs: 3, batch_size: all, checkpoint_seconds: 5}
tags: {a: 1, b: 2.5, c: word, d: true}
tracking: {experiment: null, wait_seconds: 0}
seed: 0
description: no
"""
REFUSED = """
model: {Linear: 1, ReLU: }
model: {layers: [Linear: 1], init: zeros_}
model: {layers: [Linear: 1], freeze: bias}
model: {layers: [Linear: 1], freeze: [{layers: bias}]}
model: {layers: [Linear: 1], freeze: [{layers: bias, until: 0}]}
model: {layers: [Linear: 1], freeze: [{layers: [], until: 1}]}
model: {layers: [Linear: 1], from: 3}
model: {layers: [Linear: 1], from: {layers: [0]}}
model: {layers: [Linear: 1], from: {weights: a, else: random}}
model: {layers: [Linear: 1], from: {weights: a, layer: [0]}}
model: {inputs: {all: [Linear: 1]}, layers: [Linear: 1]}
model: {inputs: [all], layers: [Linear: 1]}
model: {inputs: {all: {colums: "*"}}, layers: [Linear: 1]}
model: {inputs: {all: {columns: {a: x}}}, layers: [Linear: 1]}
model: {inputs: {all: {columns: "*", layers: [Linaer: 1]}}, layers: [Linear: 1]}
model: {inputs: {all: {columns: "*"}}, join: sum, layers: [Linear: 1]}
model: {outputs: {y: {layers: [Linear: 1], loss: MSELoss}}}
model: [residual: ReLU]
model: [residual: []]
model: [residual: {Linear: 3}]
model: [residual: [[Linear: 3]]]
model: [residual]
model: [parallel: [Linear: 3]]
model: [parallel: {branches: [ReLU, Tanh]}]
model: [repeat: [Linear: 3]]
model: [repeat: {times: 0, layers: [ReLU]}]
model: [repeat: {layers: [ReLU]}]
model: []
model: Linear
model: [Linear]
model: [Linear: ]
model: [Linear: []]
model: [Linear: {}]
model: [Linear: 1.5]
model: [Linear: 0]
model: [Linear: true]
model: [Linear: "100"]
model: [Linear: [1, true, 2]]
model: [Linear: [1, 0]]
model: [Linear: {out_featurs: 1}]
model: [Linear: {out_features: 1, in_features: few}]
model: [Linear: {ReLU: 1}]
model: [{Linear: 1, ReLU: }]
model: [Conv2d: 32]
model: [Conv2d: [32]]
model: [Conv2d: [32, [3, 3, 3]]]
model: [Conv2d: {out_channels: 32, kernel_size: 3, padding: some}]
model: [Tanh: 1]
model: [Tanh: [1]]
model: [Relu]
model: [L1Loss]
model: [3]
model: [[ReLU]]
model: [null]
model: [TransformerEncoder: {encoder_layer: ReLU6s, num_layers: 1}]
model:
optimizer: adam
optimizer: {}
optimizer: [Adam]
optimizer: {Adam: {}, SGD: {}}
optimizer: {Adam: fast}
optimizer: {Adam: -1}
optimizer: {Adam: {lr: "1e-3"}}
optimizer: {Adam: {lr: true}}
optimizer: {Adam: {betas: [0.9]}}
optimizer: {Adam: {betas: [0.9, 1]}}
optimizer: {Adam: {amsgrad: yes}}
optimizer: {groups: [{params: a, lr: 1}]}
optimizer: {Adam: 1, groups: {params: "*.bias", lr: 1}}
optimizer: {Adam: 1, groups: [{lr: 1}]}
optimizer: {Adam: 1, groups: [{params: "*.bias"}]}
optimizer: {Adam: 1, groups: [{params: [], lr: 1}]}
optimizer: {Adam: 1, groups: [{params: 3, lr: 1}]}
optimizer: {Adam: 1, groups: [{params: a, lr: fast}]}
optimizer: {Adam: 1, groups: [{params: a, rate: 1}]}
optimizer: {Adam: 1, group: [{params: a, lr: 1}]}
average: {EMA: 2}
average: EMMA
loss: {weighted_sum: [MSELoss]}
loss: {per_target: {losses: [MSELoss]}}
train: {steps: 3, epochs: 3}
train: {steps: 0}
train: {steps: null}
train: {max_seconds: 3}
loss: {MSELoss: most}
loss: {BCEWithLogitsLoss: {pos_weight: [[[[1]]]]}}
scheduler: {MultiStepLR: [10, 20]}
scheduler: StepLR
scheduler: {StepLR: {gamma: 0.1}}
scheduler: {ChainedScheduler: {schedulers: LinearLR}}
scheduler: {SequentialLR: {schedulers: [LinearLR, Adam], milestones: [2]}}
metrics: Accuracy
metrics: {Accuracy: 0.5}
data: {split: {val: 0.1}}
data: {table: {inputs: {x: [0, 1]}}}
data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}, formula: 3}
data: {formula: {rows: 10, inputs: {x: {Uniform: [0]}}, targets: {y: x}}}
data: {formula: {rows: 10, inputs: {x: {Uniform: {low: 0}}}, targets: {y: x}}}
data: {formula: {rows: 10, inputs: {x: Uniform}, targets: {y: x}}}
data: {formula: [10, {x: {Uniform: {high: 1}}}, {y: x}]}
data: {formula: [10, {x: {MixtureSameFamily: {}}}, {y: x}]}
data: {formula: [10, {x: {Independent: {Normal: [0, 1]}}}, {y: x}]}
data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}, split: {vall: 0.1}}
data: table
data:
device: gpu
device: cuda:x
device: {type: gpu}
device: {threads: 0}
train: {epochs: 0}
train: {epochs: 1, batch_size: few}
train: {batch_size: all}
train: {epochs: 1, epoch: 1}
tags: {a: [1]}
tracking: {experiment: ""}
seed: -1
name: 3
version: 2
plugins: ./swish.py
optimiser: Adam
"""


def _lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("section", _lines(ACCEPTED))
def test_what_annpipe_takes_the_schema_takes(
    section: str, complaints: Complaints, registry_entries: Registry, spec_with: SpecWith, is_right: IsRight
) -> None:
    """A spelling of a component or section that is right."""
    text = spec_with(section)
    assert is_right(text, registry_entries)
    assert complaints(text) == []


@pytest.mark.parametrize("section", _lines(REFUSED))
def test_what_annpipe_refuses_the_schema_refuses(
    section: str, complaints: Complaints, registry_entries: Registry, spec_with: SpecWith, is_right: IsRight
) -> None:
    """A slip that can be seen without knowing shapes, formulas or values of variables."""
    text = spec_with(section)
    assert not is_right(text, registry_entries)
    assert complaints(text) != []


@pytest.mark.parametrize(
    "section",
    [
        "optimizer: {Adam: {params: [1]}}",
        "scheduler: {LambdaLR: true}",
        "data: {formula: {rows: 10, inputs: {x: {Uniform: [0, 1]}}, targets: {y: [x]}}}",
    ],
)
def test_the_schema_refuses_at_once_what_annpipe_sees_later(
    section: str, complaints: Complaints, spec_with: SpecWith
) -> None:
    """What the engine alone can give, and formulas that are neither text nor numbers."""
    assert complaints(spec_with(section)) != []


WRAPPER = '''
"""Layers that take layers."""
import torch
from annpipe import distribution, layer

@layer
class around(torch.nn.Module):
    """Adds its input to what a layer gives."""

    def __init__(self, inner: torch.nn.Module, scale: float = 1.0) -> None:
        super().__init__()

@distribution
class clipped(torch.distributions.Distribution):
    """Another distribution within bounds."""

    def __init__(self, inner: torch.distributions.Distribution, limit: float = 1.0) -> None:
        super().__init__()

@layer
class stack(torch.nn.Module):
    """Layers in order."""

    def __init__(self, layers: list[torch.nn.Module]) -> None:
        super().__init__()
'''


@pytest.fixture(scope="module")
def wrappers(tmp_path_factory: pytest.TempPathFactory, registry_entries: Registry) -> Registry:
    """The installed components with a layer that wraps another, and one that takes a list."""
    path = tmp_path_factory.mktemp("plugins") / "wrappers.py"
    path.write_text(WRAPPER, encoding="utf-8")
    registry = registry_entries.copy()
    registry.add_file(path)
    return registry


@pytest.mark.parametrize(
    ("layer", "right"),
    [
        ("around: ReLU", True),
        ("around: {Linear: 3}", True),
        ("around: {around: {around: ReLU}}", True),
        ("around: [{Linear: 3}, 0.5]", True),
        ("around: {inner: {Linear: 3}, scale: 2}", True),
        ("around: {inner: ReLU}", True),
        ("stack: {layers: [ReLU, Linear: 3]}", True),
        ("stack: [[ReLU, Linear: 3]]", True),
        ("around", False),
        ("around: ", False),
        ("around: 3", False),
        ("around: {Linear: none}", False),
        ("around: {Lineer: 3}", False),
        ("around: {Linear: 3, scale: 2}", False),
        ("around: {scale: 2}", False),
        ("around: [ReLU, Tanh]", False),
        ("around: L1Loss", False),
        ("stack: [ReLU, Tanh]", False),
        ("stack: ReLU", False),
    ],
)
def test_a_mapping_may_be_the_first_options_own_component(
    layer: str, right: bool, wrappers: Registry, spec_with: SpecWith, is_right: IsRight
) -> None:
    """`around: {Linear: 3}` wraps a Linear, as in annpipe itself."""
    text = spec_with(f"model: [{{{layer}}}]" if ":" in layer else f"model: [{layer}]")
    assert is_right(text, wrappers) is right
    data = plain(read_text(text, "spec.yaml"))
    assert Draft7Validator(spec_schema(wrappers)).is_valid(data) is right


@pytest.mark.parametrize(
    ("drawn", "right"),
    [
        ("clipped: {Normal: [0, 1]}", True),
        ("clipped: {inner: {Normal: [0, 1]}}", True),
        ("clipped: {inner: {Normal: {loc: 0, scale: 1}}, limit: 3}", True),
        ("clipped: {limit: 3}", False),
        ("clipped: {}", False),
        ("clipped: {Normal: {loc: 0}}", False),
        ("clipped: {inner: {Normal: {loc: 0}}}", False),
    ],
)
def test_a_distribution_may_wrap_another(
    drawn: str, right: bool, wrappers: Registry, spec_with: SpecWith, is_right: IsRight
) -> None:
    """So too where what is required holds only for a spec that extends no other."""
    text = spec_with(f"data: {{formula: {{rows: 3, inputs: {{x: {{{drawn}}}}}, targets: {{y: x}}}}}}")
    assert is_right(text, wrappers) is right
    assert Draft7Validator(spec_schema(wrappers)).is_valid(plain(read_text(text, "spec.yaml"))) is right


HEADS = """
version: 1
name: heads
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3], z: [2, 4]}}}
model:
  layers: [Linear: 4, ReLU]
  outputs:
    y: {layers: [Linear: 1], loss: MSELoss, weight: 0.5, metrics: [R2Score]}
    z: {layers: [Linear: 1], loss: {MSELoss: sum}}
optimizer: SGD
train: {epochs: 1}
"""


def test_heads_are_taken_with_losses_of_their_own(
    complaints: Complaints, registry_entries: Registry, is_right: IsRight
) -> None:
    """No loss stands beside them; each has one."""
    assert is_right(HEADS, registry_entries)
    assert complaints(HEADS) == []
    assert complaints(HEADS + "loss:") == []
    changes = {
        "loss: MSELoss, weight": "weight",
        "weight: 0.5": "weight: -1",
        "metrics: [R2Score]": "metrics: R2Score",
        "{MSELoss: sum}": "{MSELoss: most}",
        "z: {layers": "z: {layer",
        "optimizer: SGD": "loss: MSELoss\noptimizer: SGD",
    }
    for old, new in changes.items():
        text = HEADS.replace(old, new)
        assert not is_right(text, registry_entries), new
        assert complaints(text) != [], new
