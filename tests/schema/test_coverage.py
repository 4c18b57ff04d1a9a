"""How far the schema reaches: variables, bases, unknown plugins, and the corpus of wrong specs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.schema import spec_schema
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file, read_text

Complaints = Callable[[str], list[str]]
SpecWith = Callable[..., str]

ROOT = Path(__file__).parents[2]


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
def test_a_variable_may_stand_for_any_value(section: str, complaints: Complaints, spec_with: SpecWith) -> None:
    """`${name}` alone, of whatever type the value is; inside other text, where text may stand."""
    assert complaints(spec_with(section)) == []


@pytest.mark.parametrize("section", ["seed: a${seed}", "seed: $seed", "seed: ${my seed}", "variables: {my seed: 3}"])
def test_only_a_whole_variable_stands_for_a_number(section: str, complaints: Complaints, spec_with: SpecWith) -> None:
    """Text with a variable inside is text."""
    assert complaints(spec_with(section)) != []


def test_a_block_is_used_by_its_name(complaints: Complaints, spec_with: SpecWith) -> None:
    """Where there are blocks any word in small letters may be one; where there are none it is a mistake."""
    blocks = "blocks: {hidden: [Linear: 3, ReLU]}"
    assert complaints(spec_with(blocks, "model: [hidden, residual: [hidden]]")) == []
    assert complaints(spec_with("model: [hidden]")) != []
    assert complaints(spec_with(blocks, "model: [Hidden]")) != []
    assert complaints(spec_with(blocks, "model: [residual]")) != []
    assert complaints(spec_with("blocks: {hidden: ReLU}")) != []
    assert complaints(spec_with("blocks: {hidden: []}")) != []
    assert complaints(spec_with("blocks: {Hidden: [ReLU]}")) != []


def test_without_variables_none_is_accepted(registry_entries: Registry, spec_with: SpecWith) -> None:
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


def test_any_name_admits_unknown_components_and_still_checks_the_rest(
    registry_entries: Registry, spec_with: SpecWith
) -> None:
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
        "sections/version-a-fraction",
    ],
    "nan is below no bound": ["options/rate-not-a-number"],
    "a base may give the layers": ["model/no-layers"],
    "the names of the spec's own blocks are no constants": ["blocks/misspelt-use"],
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
    assert len(wrong) >= 150
    assert accepted == {name for names in BEYOND.values() for name in names}
