"""Spec → Plan → YAML → Plan is the identity, and a component is the same however it is spelled."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from annpipe.draft.draft import draft
from annpipe.draft.options import Resolving
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.spec.sections.component import Call, read_call
from annpipe.spec.yaml.reader import read_text
from tests.conftest import CliHere
from tests.properties.generating import specs
from tests.properties.settling import in_one_line, settled
from tests.properties.typing_rules import fits

ROOT = Path(__file__).parents[2]
GALLERY = sorted((ROOT / "pipelines").rglob("*.yaml"))


def read_again(plan: Plan, registry: Registry) -> Plan:
    """The plan that a plan's own YAML gives, read from where the spec stood."""
    Path(plan.file).write_text(plan.to_yaml(), encoding="utf-8")
    return resolve(draft(load_spec(Path(plan.file)), registry.copy()))


@pytest.mark.slow
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_plan_in_yaml_is_that_plan(data: st.DataObject, tmp_path: Path, registry_entries: Registry) -> None:
    """Equal, of the same digest, and the same YAML to the letter, whatever the spec says."""
    plan = settled(data.draw(specs(registry_entries)), tmp_path / "spec.yaml", registry_entries)
    again = read_again(plan, registry_entries)
    assert again == plan
    assert again.digest == plan.digest
    assert again.to_yaml() == plan.to_yaml()


@pytest.mark.slow
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_plan_with_several_inputs_and_outputs_in_yaml_is_that_plan(
    data: st.DataObject, tmp_path: Path, registry_entries: Registry
) -> None:
    """Whatever columns and targets are called: inputs in two stacks, a head for each target of numbers."""
    plan = settled(data.draw(specs(registry_entries)), tmp_path / "spec.yaml", registry_entries)
    written = plan.to_data()
    columns = [name for name in plan.fields.inputs if name]
    assume(len(columns) == len(plan.fields.inputs))
    layers = written["model"]
    cut = data.draw(st.integers(0, len(columns)))
    stacks = {"first": columns[:cut], "odd.na me": columns[cut:]}
    model: dict[str, Any] = {
        "inputs": {name: {"columns": own} for name, own in stacks.items() if own},
        "layers": layers,
    }
    if not any(field.classes for field in plan.fields.targets.values()):
        loss = data.draw(st.sampled_from(["L1Loss", {"HuberLoss": {"delta": 2.0}}]))
        head = {"layers": [{"Linear": 1}], "loss": loss, "weight": data.draw(st.sampled_from([1, 0.5, 0]))}
        model |= {"layers": layers[:-1] or ["Identity"], "outputs": dict.fromkeys(plan.fields.targets, head)}
        written |= {"metrics": [], "loss": None, "plots": [], "callbacks": [], "scheduler": None}
    (tmp_path / "spec.yaml").write_text(in_lines(written | {"model": model}), encoding="utf-8")
    ended = resolve(draft(load_spec(tmp_path / "spec.yaml"), registry_entries.copy()))
    assert ended.n_parameters == plan.n_parameters
    again = read_again(ended, registry_entries)
    assert again == ended
    assert again.digest == ended.digest != plan.digest
    assert again.to_yaml() == ended.to_yaml()


def in_lines(spec: dict[str, Any]) -> str:
    """A spec in YAML, a section on a line."""
    return "".join(f"{name}: {in_one_line(value)}\n" for name, value in spec.items())


@pytest.mark.parametrize("spec", GALLERY, ids=lambda path: path.stem)
def test_the_gallery_printed_as_yaml_prints_the_same(spec: Path, annpipe_here: CliHere, tmp_path: Path) -> None:
    """`annpipe plan --yaml` of what it printed: the same text again."""
    folder = shutil.copytree(spec.parent, tmp_path / "gallery")  # plugins are said from the spec's folder
    code, printed, said = annpipe_here("plan", "--yaml", folder / spec.name)
    assert code == 0, said
    (folder / "printed.yaml").write_text(printed, encoding="utf-8")
    assert annpipe_here("plan", "--yaml", folder / "printed.yaml")[:2] == (0, printed)


# --- the spellings of a component

CANDIDATES = (
    2,
    0.5,
    "word",
    True,
    [1, 2],
    {"x": [1]},
    "ReLU",
    {"Normal": [0, 1]},
    "ConstantLR",
    ["ConstantLR"],
    ["L1Loss"],
    {"y": "L1Loss"},
)
STACKS: tuple[Any, ...] = ([{"Linear": 2}, "ReLU"], [["ReLU"], [{"Linear": 2}]])
MADE_UP = {"inputs": {"x": {"Uniform": [0, 1]}}, "targets": {"y": "x"}, "lr_lambda": "epoch"}


def values_of(entry: Entry, registry: Registry) -> dict[str, Any]:
    """A value for every option: its default, or one that its type takes."""
    return {option.name: _value(option, registry) for option in entry.options}


def _value(option: Parameter, registry: Registry) -> Any:
    known = [option.default] if not option.required else [MADE_UP.get(option.name), *CANDIDATES, *STACKS]
    return next(value for value in known if fits(option.option_type, option.bounds, value, registry))


def said(kind: str, value: Any, registry: Registry) -> str:
    """The resolved component as a plan would write it, to the letter."""
    resolving = Resolving(registry)
    node = read_text(f"it: {in_one_line(value)}", "spec.yaml").get("it")
    assert node
    call = read_call(node, kind)
    assert isinstance(call, Call), call
    component = resolving.component(call, kind)
    assert component, (value, resolving.problems)
    return in_one_line(component.to_data())


@pytest.mark.parametrize("kind", KINDS)
def test_a_component_is_the_same_in_every_spelling(kind: str, registry_entries: Registry) -> None:
    """By name, by position, as one value, and bare: each component of the registry, to the letter."""
    for entry in registry_entries.entries(kind):
        options = values_of(entry, registry_entries)
        spellings = [[{entry.name: options}, {entry.name: list(options.values())}]]
        if entry.options and entry.options[0].type in ("stack", "list[stack]"):  # a list is that option itself
            spellings = []
        if not any(option.required for option in entry.options):
            spellings[0] += [entry.name, {entry.name: None}, {entry.name: {}}, {entry.name: []}]
        if options and not any(option.required for option in entry.options[1:]):
            first, value = next(iter(options.items()))
            alone = [{entry.name: value}] if value in STACKS or not isinstance(value, list | dict | None) else []
            listed = [] if value in STACKS else [{entry.name: [value]}]
            spellings.append([{entry.name: {first: value}}, *listed, *alone])
        for same in spellings:
            assert len({said(kind, spelt, registry_entries) for spelt in same}) == 1, same
