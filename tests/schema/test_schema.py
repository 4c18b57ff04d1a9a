"""The JSON Schema of a spec: valid itself, right about right specs, as strict as a schema can be with wrong ones."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.cli.show import examples
from annpipe.errors import SpecError
from annpipe.plan import draft
from annpipe.registry import KINDS, Entry, Registry
from annpipe.schema import as_text, spec_schema
from annpipe.spec.nodes import plain
from annpipe.spec.reader import read_file, read_text
from annpipe.spec.spec import TOP_KEYS, read_spec

ROOT = Path(__file__).parents[2]
RIGHT = sorted([*(ROOT / "pipelines").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")])
SECTIONS = {
    "version": "version: 1",
    "name": "name: spelt",
    "data": "data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}",
    "model": "model: [Linear: 1]",
    "loss": "loss: L1Loss",
    "optimizer": "optimizer: Adam",
    "train": "train: {epochs: 1}",
}
Complaints = Callable[[str], list[str]]


def spec_with(*sections: str) -> str:
    """A right spec in which these sections stand instead."""
    own = {section.partition(":")[0]: section for section in sections}
    return "\n".join((SECTIONS | own).values())


def is_right(text: str, registry: Registry) -> bool:
    """Whether annpipe itself takes the spec, as far as can be told without shapes."""
    try:
        draft(read_spec(read_text(text, "spec.yaml"), "spec.yaml"), registry.copy())
    except SpecError:
        return False
    return True


# --- the schema itself


def test_the_schema_is_valid_draft_07(schema: dict[str, Any]) -> None:
    """By the metaschema of draft-07, which it names."""
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    """No `$ref` of the schema is dangling."""
    references = set(re.findall(r'"\$ref": "([^"]+)"', as_text(schema)))
    assert len(references) > 500
    for reference in references:
        Draft7Validator({"$ref": reference, "definitions": schema["definitions"]}).is_valid(0)


def test_the_schema_has_every_top_level_key_and_no_other(schema: dict[str, Any]) -> None:
    """The sections of the language, `extends` and `variables`."""
    assert set(schema["properties"]) == set(TOP_KEYS)


def test_every_component_is_described_with_its_options_and_origin(
    schema: dict[str, Any], registry_entries: Registry
) -> None:
    """One definition a component, with summary, origin, and each option that a spec gives."""
    entries = [entry for kind in KINDS for entry in registry_entries.entries(kind)]
    assert len(entries) > 200
    for entry in entries:
        definition = schema["definitions"][f"{entry.kind}.{entry.name}"]
        assert entry.summary in definition["description"]
        assert str(entry.origin) in definition["description"]
        assert set(definition["properties"]) >= {option.name for option in entry.options}
        assert all(
            option.description.rstrip(".") in _option(schema, entry, option.name)["description"]
            for option in entry.options
        )


def test_equal_registries_give_equal_text(registry_entries: Registry, schema: dict[str, Any]) -> None:
    """The order in which plugins were found does not matter."""
    turned = Registry()
    for kind in reversed(KINDS):
        turned._add_all(reversed(registry_entries.entries(kind)))
    assert as_text(spec_schema(turned)) == as_text(schema)


def test_every_default_is_a_value_of_its_option(schema: dict[str, Any], registry_entries: Registry) -> None:
    """What `default` says, the option's own schema accepts."""
    count = 0
    for entry in (entry for kind in KINDS for entry in registry_entries.entries(kind)):
        for option in (option for option in entry.options if not option.required):
            own = _option(schema, entry, option.name)
            validator = Draft7Validator({**own, "definitions": schema["definitions"]})
            assert validator.is_valid(own["default"]), (entry.name, option.name, own["default"])
            count += 1
    assert count > 500


def _option(schema: dict[str, Any], entry: Entry, name: str) -> dict[str, Any]:
    option: dict[str, Any] = schema["definitions"][f"{entry.kind}.{entry.name}"]["properties"][name]
    return option


# --- right specs


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_spec_of_the_gallery_validates(path: Path, registry_entries: Registry) -> None:
    """With the plugins that it lists, and with those of the example distribution, which is not installed here."""
    registry = registry_entries.copy()
    files = [path.parent / str(plugin) for plugin in plain(read_file(path)).get("plugins", [])]
    for file in files or sorted(path.parent.glob("annpipe_*/[a-z]*.py")):
        registry.add_file(file)
    errors = Draft7Validator(spec_schema(registry)).iter_errors(plain(read_file(path)))
    assert [error.message for error in errors] == []


def test_the_gallery_is_all_there() -> None:
    """The globs reach the specs."""
    assert len(RIGHT) >= 9


def test_every_spelling_that_show_prints_validates(complaints: Complaints, registry_entries: Registry) -> None:
    """The schema agrees with the examples that annpipe itself makes."""
    wrong = {}
    shown = [
        (entry, text)
        for kind in KINDS
        for entry in registry_entries.entries(kind)
        for text in examples(entry, registry_entries)
    ]
    for entry, text in shown:
        section = text
        if entry.kind == "distribution":
            drawn = f"{{{text}}}" if ":" in text else text
            section = f"data: {{formula: {{rows: 1, inputs: {{x: {drawn}}}, targets: {{y: x}}}}}}"
        if found := complaints(spec_with(section)):
            wrong[text] = found
    assert len(shown) > 400
    assert wrong == {}


# --- spellings, held against annpipe itself

ACCEPTED = """
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
model: []
model: Linear
model: {Linear: 1}
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
def test_what_annpipe_takes_the_schema_takes(section: str, complaints: Complaints, registry_entries: Registry) -> None:
    """A spelling of a component or section that is right."""
    text = spec_with(section)
    assert is_right(text, registry_entries)
    assert complaints(text) == []


@pytest.mark.parametrize("section", _lines(REFUSED))
def test_what_annpipe_refuses_the_schema_refuses(
    section: str, complaints: Complaints, registry_entries: Registry
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
def test_the_schema_refuses_at_once_what_annpipe_sees_later(section: str, complaints: Complaints) -> None:
    """What the engine alone can give, and formulas that are neither text nor numbers."""
    assert complaints(spec_with(section)) != []


WRAPPER = '''
"""Layers that take layers."""
import torch
from annpipe import distribution, layer

@layer
class residual(torch.nn.Module):
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
        ("residual: ReLU", True),
        ("residual: {Linear: 3}", True),
        ("residual: {residual: {residual: ReLU}}", True),
        ("residual: [{Linear: 3}, 0.5]", True),
        ("residual: {inner: {Linear: 3}, scale: 2}", True),
        ("residual: {inner: ReLU}", True),
        ("stack: {layers: [ReLU, Linear: 3]}", True),
        ("stack: [[ReLU, Linear: 3]]", True),
        ("residual", False),
        ("residual: ", False),
        ("residual: 3", False),
        ("residual: {Linear: none}", False),
        ("residual: {Lineer: 3}", False),
        ("residual: {Linear: 3, scale: 2}", False),
        ("residual: {scale: 2}", False),
        ("residual: [ReLU, Tanh]", False),
        ("residual: L1Loss", False),
        ("stack: [ReLU, Tanh]", False),
        ("stack: ReLU", False),
    ],
)
def test_a_mapping_may_be_the_first_options_own_component(layer: str, right: bool, wrappers: Registry) -> None:
    """`residual: {Linear: 3}` wraps a Linear, as in annpipe itself."""
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
def test_a_distribution_may_wrap_another(drawn: str, right: bool, wrappers: Registry) -> None:
    """So too where what is required holds only for a spec that extends no other."""
    text = spec_with(f"data: {{formula: {{rows: 3, inputs: {{x: {{{drawn}}}}}, targets: {{y: x}}}}}}")
    assert is_right(text, wrappers) is right
    assert Draft7Validator(spec_schema(wrappers)).is_valid(plain(read_text(text, "spec.yaml"))) is right


# --- variables, extending, unknown plugins


@pytest.mark.parametrize(
    "section",
    [
        "model: ['${first}', Linear: '${width}', Linear: ['${width}', '${bias}'], Linear: {out_features: '${width}'}]",
        "model: ${layers}",
        "model: [Conv2d: {out_channels: 3, kernel_size: ['${size}', 3]}]",
        "optimizer: ${optimizer}",
        "optimizer: {Adam: '${options}'}",
        "optimizer: {Adam: {lr: '${lr}', betas: ['${beta}', 0.9], amsgrad: '${yes}'}}",
        "loss: {MSELoss: {reduction: '${reduction}'}}",
        "train: {epochs: '${epochs}', batch_size: '${size}', shuffle: '${shuffle}'}",
        "train: ${train}",
        "device: ${device}",
        "device: {type: '${device}', threads: '${threads}'}",
        "seed: ${seed}",
        "name: a_${width}_b",
        "tags: {width: '${width}'}",
        "data: {formula: {rows: '${n}', inputs: {x: '${x}'}, targets: {y: 'x + ${shift}'}}, split: {val: '${val}'}}",
        "data: {formula: {rows: 3, inputs: '${inputs}', targets: {y: x}}, split: '${split}'}",
        "metrics: ${metrics}",
        "metrics: ['${metric}']",
        "tracking: ${tracking}",
        "variables: {width: 3, layers: [ReLU], device: {type: cpu}}",
    ],
)
def test_a_variable_may_stand_for_any_value(section: str, complaints: Complaints) -> None:
    """`${name}` alone, of whatever type the value is; inside other text, where text may stand."""
    assert complaints(spec_with(section)) == []


@pytest.mark.parametrize("section", ["seed: a${seed}", "seed: $seed", "seed: ${my seed}", "variables: {my seed: 3}"])
def test_only_a_whole_variable_stands_for_a_number(section: str, complaints: Complaints) -> None:
    """Text with a variable inside is text."""
    assert complaints(spec_with(section)) != []


def test_without_variables_none_is_accepted(registry_entries: Registry) -> None:
    """For tools that make specs from the schema."""
    narrow = Draft7Validator(spec_schema(registry_entries, variables=False))
    assert narrow.is_valid(plain(read_text(spec_with(), "")))
    assert not narrow.is_valid(plain(read_text(spec_with("seed: ${seed}"), "")))
    assert not narrow.is_valid(plain(read_text(spec_with("model: ['${layer}']"), "")))


def test_a_spec_that_extends_another_may_say_only_what_differs(complaints: Complaints) -> None:
    """Sections and options may come from the base; lists and plain values replace it and must be whole."""
    part = """
        extends: base.yaml
        data: {formula: {rows: 3, inputs: {x: {Uniform: {low: 3}}}}}
        optimizer: {Muon: {lr: 0.1}}
        train: {batch_size: 3}
    """
    assert complaints(textwrap.dedent(part)) == []
    assert complaints("extends: base.yaml\ndata: {split: {val: 0.1}}") == []
    assert complaints("extends: base.yaml") == []
    assert complaints("extends: base.yaml\nmodel: [Linear: {bias: false}]") != []
    assert complaints("extends: base.yaml\ndata: {formula: [3]}") != []
    assert complaints("extends: base.yaml\noptimiser: Adam") != []
    assert complaints("extends: base.yaml\ntrain: {epoch: 3}") != []
    assert complaints("extends: [base.yaml]") != []
    assert any("'data' is a required property" in said for said in complaints("extends:\nname: a"))


def test_any_name_admits_unknown_components_and_still_checks_the_rest(registry_entries: Registry) -> None:
    """Where plugins are not known, a name may be theirs; known components and sections are checked as ever."""
    loose = Draft7Validator(spec_schema(registry_entries, any_name=True))
    for section in ("model: [Swish, Swish: 3, {Swish: {beta: 1}}]", "loss: Mine", "data: {mine: 3, split: {val: 0.1}}"):
        assert loose.is_valid(plain(read_text(spec_with(section), "")))
    for section in ("model: [Linear: 1.5]", "model: [{Swish: 1, Linear: 3}]", "model: [3]", "optimiser: Adam"):
        assert not loose.is_valid(plain(read_text(spec_with(section), "")))


# --- the corpus of wrong specs

CATCHES = frozenset(
    {
        *("unknown-section", "missing-section", "unknown-option", "missing-option", "wrong-type", "unknown-component"),
        *("too-many-options", "not-a-component", "not-a-list", "not-a-mapping", "unknown-device"),
    }
)
BEYOND = {
    "in another file": [
        "composition/base-holds-a-list",
        "composition/fault-in-the-base-of-the-base",
        "composition/fault-in-the-base",
        "composition/variable-of-the-base-overridden",
        "composition/variable-of-the-base-wrong",
    ],
    "the value of a variable": [
        "composition/variable-a-list-inside-text",
        "composition/variable-of-the-wrong-type",
    ],
    "1.0 is a whole number in JSON Schema": [
        "options/power-for-whole",
        "options/whole-written-as-fraction",
        "sections/train-epochs-a-power",
    ],
    "nan is below no bound": ["options/rate-not-a-number"],
}
TESTS = ROOT / "tests"
WRONG = sorted(path for folder in ("golden", "specs_wrong") for path in (TESTS / folder).rglob("*.yaml"))


def _catchable(path: Path) -> set[str]:
    """The codes of the report beside a wrong spec that a schema can see; none where the command line was at fault."""
    golden = path.with_suffix(".txt")
    if not golden.is_file() or path.read_bytes().startswith(b"# validate:"):
        return set()
    codes = set(re.findall(r"^error\[([\w-]+)\]", golden.read_text(encoding="utf-8"), re.MULTILINE))
    return codes & CATCHES


def _read(path: Path) -> Any:
    try:
        return plain(read_file(path))
    except SpecError:  # no YAML, or no mapping: an editor says so without a schema
        return None


def test_wrong_specs_are_refused(schema: dict[str, Any]) -> None:
    """Every wrong spec of the corpus whose fault a schema can see; what it cannot see is listed with the reason."""
    validator = Draft7Validator(schema)
    wrong = [path for path in WRONG if _catchable(path) and _read(path) is not None]
    accepted = {
        path.with_suffix("").relative_to(TESTS / "specs_wrong").as_posix()
        for path in wrong
        if validator.is_valid(_read(path))
    }
    assert len(wrong) >= 30
    assert accepted == {name for names in BEYOND.values() for name in names}
