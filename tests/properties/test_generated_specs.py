"""What the JSON Schema admits, annpipe takes: the draft without a word, and what fits together trains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft7Validator

from annpipe.backend.device import computing
from annpipe.draft.draft import draft
from annpipe.draft.sections import Draft
from annpipe.errors import OptionError, SpecError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.schema import spec_schema
from annpipe.schema.inputs_outputs import loss_or_heads
from annpipe.spec import load_spec
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.parts import build
from annpipe.train.schedule import schedule
from tests.properties.settling import as_text
from tests.properties.walking import instances, narrowed

# what only shapes and the components themselves can know
KNOWN_LATE = frozenset({"shape", "output-shape", "loss-mismatch", "wrong-value"})
CONTAINERS = ("residual", "repeat", "parallel")
COMPONENTS = {
    "layer": (
        *("Linear", "ReLU", "LeakyReLU", "Tanh", "GELU", "ELU", "Softplus", "Hardtanh", "Dropout", "AlphaDropout"),
        *("BatchNorm1d", "LayerNorm", "RMSNorm", "Softmax", "PReLU", "Identity", "Flatten", "Threshold"),
        *CONTAINERS,
    ),
    "data": ("formula", "table"),
    "distribution": ("Uniform", "Normal", "Laplace", "Gumbel", "Exponential"),
    "loss": ("L1Loss", "MSELoss", "HuberLoss", "SmoothL1Loss", "BCEWithLogitsLoss", "SoftMarginLoss"),
    "optimizer": ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adadelta", "ASGD"),
    "scheduler": ("StepLR", "ExponentialLR", "ConstantLR", "LinearLR", "CosineAnnealingLR", "PolynomialLR"),
    "metric": ("Accuracy", "MeanAbsoluteError", "R2Score"),
    "callback": ("early_stopping", "checkpoint"),
    "plot": ("data", "learning_curve"),
}
COLUMN = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
FORMULA = {"enum": ["x", "x**2 + 3", "sin(3*x) / 2", "where(x > 0, x, -x)", 3]}
OF_X = {"type": "object", "properties": {"x": {"$ref": "#/definitions/distribution"}}, "required": ["x"]}
STACK = {"type": "array", "items": {"$ref": "#/definitions/leaf"}, "minItems": 1, "maxItems": 2}
BRANCHES = {"type": "array", "items": STACK, "minItems": 2, "maxItems": 3}
# names that must fit together, and lengths: the schema cannot say that they do
FITTING = {
    "stack": STACK,
    "list[stack]": BRANCHES,
    "dict[str, distribution]": OF_X,
    "dict[str, distribution] | None": {"type": "null"},
    "dict[str, expression]": {"type": "object", "properties": {"y": FORMULA}, "required": ["y"]},
    "dict[str, list[float]]": {"type": "object", "properties": {"a": COLUMN, "b": COLUMN}, "required": ["a"]},
    "dict[str, list[float] | list[str]]": {"type": "object", "properties": {"y": COLUMN}, "required": ["y"]},
}
LAST = {"Linear": 1}  # so that most models fit their one target
SETTINGS = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="session")
def whole(registry_entries: Registry) -> dict[str, Any]:
    return spec_schema(registry_entries, variables=False)


@pytest.fixture(scope="session")
def narrow(whole: dict[str, Any]) -> dict[str, Any]:
    """The schema of the components above, of few rows; each draw of a distribution is one number."""
    schema = narrowed(whole, COMPONENTS, FITTING)
    known = schema["definitions"]
    fraction = {"enum": [0, 0.25]}
    known["data"]["properties"]["split"]["properties"] = {"val": fraction, "test": fraction}
    # transforms of what is drawn are refused for many reasons: they have tests of their own
    known["data"] |= {"if": {"required": ["split"]}, "then": {"maxProperties": 2}, "else": {"maxProperties": 1}}
    known["data.formula"]["properties"]["rows"] = {"enum": [8, 16]}
    schema["properties"]["train"]["properties"]["batch_size"] = {"enum": ["all", 2]}
    schema["properties"]["model"]["anyOf"] = schema["properties"]["model"]["anyOf"][:1]  # a list of layers
    schema["else"]["allOf"] = [loss_or_heads()["else"]]  # which has no heads
    known["leaf"] = known["layer"] | {
        "properties": {name: part for name, part in known["layer"]["properties"].items() if name not in CONTAINERS}
    }  # a depth that ends
    known["layer.residual"] |= STACK
    known["layer.parallel"] |= BRANCHES
    for name in known:
        if name.startswith("tensor"):
            known[name] = known[name]["anyOf"][0]
    return schema


@pytest.mark.slow
def test_what_the_schema_admits_the_draft_takes_and_torch_trains(
    tmp_path: Path, registry_entries: Registry, whole: dict[str, Any], narrow: dict[str, Any]
) -> None:
    """A generated spec is drafted without a problem; then it is refused for what fits not, or it takes a step."""
    counts: Counter[str] = Counter()

    @SETTINGS
    @given(spec=instances(narrow))
    def holds(spec: Any) -> None:
        whole_spec = spec | {"model": [*spec["model"], LAST]}
        drafted = drafted_or_error(whole_spec, tmp_path / "spec.yaml", registry_entries, whole)
        if isinstance(drafted, SpecError):  # options that cannot stand together
            assert {problem.code for problem in drafted.problems} <= {"wrong-value", "unknown-metric", "sweep"}, drafted
            counts["refused for what fits not"] += 1
            return
        try:
            plan = resolve(drafted)
        except SpecError as error:
            assert {problem.code for problem in error.problems} <= KNOWN_LATE, error
            counts["refused for what fits not"] += 1
            return
        try:
            assert step(plan).shape == (1,)
        except OptionError:  # a formula of what was drawn is not finite: known once it is drawn
            counts["refused for its data"] += 1
            return
        counts["trained"] += 1

    holds()
    print(dict(counts))
    assert counts["trained"] > counts.total() / 2


def drafted_or_error(spec: Any, file: Path, registry: Registry, schema: dict[str, Any]) -> Draft | SpecError:
    """The draft of a spec that the schema admits, or what is said against it."""
    assert Draft7Validator(schema).is_valid(spec), spec
    file.write_text(as_text(spec), encoding="utf-8")
    try:
        return draft(load_spec(file), registry.copy())
    except SpecError as error:
        return error


def step(plan: Plan) -> torch.Tensor:
    """The loss of one training step, on the CPU."""
    with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
        parts = build(plan, torch.device("cpu"), dtype)
        return Eager(plan, parts, schedule(plan, len(parts.rows["train"]))).advance(1)
