"""Options: the four spellings, strict types, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.component import Component
from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.reader import read_file, read_text

BASE = """
version: 1
name: t
data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}
model: [%s]
loss: %s
optimizer: %s
train: {epochs: 1}
"""


def drafted(layer: str = "Linear: 1", loss: str = "L1Loss", optimizer: str = "SGD"):  # type: ignore[no-untyped-def]
    """The draft of a small spec with some parts replaced."""
    text = BASE % (layer, loss, optimizer)
    return draft(read_spec(read_text(text, "spec.yaml"), "spec.yaml"), Registry.installed())


def problem(**parts: str):  # type: ignore[no-untyped-def]
    """The only problem of a small spec."""
    with pytest.raises(SpecError) as caught:
        drafted(**parts)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


@pytest.mark.parametrize(
    "spelling",
    ["Conv2d: [32, 3]", "Conv2d: {out_channels: 32, kernel_size: 3}", "{Conv2d: {kernel_size: 3, out_channels: 32}}"],
)
def test_list_and_mapping_say_the_same(spelling: str) -> None:
    """A list fills the options in order; supplied ones are passed over."""
    layer = drafted(layer=spelling).model[0]
    assert layer.options["out_channels"] == 32
    assert layer.options["kernel_size"] == 3
    assert layer.options["stride"] == 1
    assert "in_channels" not in layer.options


@pytest.mark.parametrize("spelling", ["ReLU", "ReLU: ", "ReLU: {}", "ReLU: {inplace: false}", "ReLU: false"])
def test_a_name_alone_means_all_defaults(spelling: str) -> None:
    """Five ways to write the same layer."""
    assert drafted(layer=spelling).model[0] == Component("layer", "ReLU", {"inplace": False})


def test_whole_numbers_are_numbers_but_not_the_other_way() -> None:
    """`lr: 1` is a float option's 1; `1.0` is no whole number."""
    assert drafted(optimizer="{SGD: {lr: 1}}").optimizer.options["lr"] == 1.0
    assert problem(layer="Linear: 1.0").code == "wrong-type"


def test_fused_is_filled_in_where_torch_has_it() -> None:
    """Unless the spec asks for another implementation."""
    assert drafted(optimizer="Adam").optimizer.options["fused"] is True
    assert drafted(optimizer="{Adam: {foreach: true}}").optimizer.options["fused"] is None
    assert drafted(optimizer="{Adam: {fused: false}}").optimizer.options["fused"] is False


def test_an_unknown_component_names_the_nearest() -> None:
    """The caret stands under the name."""
    found = problem(optimizer="{Adamm: {lr: 1e-3}}")
    assert (found.code, found.place.line, found.place.column, found.place.length) == ("unknown-component", 7, 13, 5)
    assert "did you mean 'Adam'" in found.help
    assert "annpipe list optimizer" in found.help


def test_a_component_of_another_kind_is_told_apart() -> None:
    """A loss where a layer stands."""
    assert "'L1Loss' is a loss, not a layer" in problem(layer="L1Loss").help


def test_unknown_option_suggests_the_nearest() -> None:
    """And the required option that it misspells is not reported missing as well."""
    found = problem(layer="Linear: {out_featurs: 3}")
    assert found.code == "unknown-option"
    assert "'out_features'" in found.help


@pytest.mark.parametrize(
    ("parts", "code", "words"),
    [
        ({"layer": "Linear"}, "missing-option", "out_features"),
        ({"layer": "Linear: [1, true, 3]"}, "too-many-options", "at most 2 options"),
        ({"layer": "ReLU: {inplace: yes}"}, "wrong-type", "true or false"),
        ({"layer": "Dropout: 1.5"}, "wrong-type", "at least 0 and at most 1"),
        ({"layer": "Conv2d: [3, [1, 2, 3]]"}, "wrong-type", "a list of 2"),
        ({"loss": "{L1Loss: {reduction: avg}}"}, "wrong-type", "'mean'"),
        ({"optimizer": "{Adam: {lr: fast}}"}, "wrong-type", "a number"),
        ({"optimizer": "{Adam: {lr: '1e-3'}}"}, "wrong-type", "a number"),
        ({"optimizer": "{Adam: {betas: [0.9, 2]}}"}, "wrong-type", "less than 1"),
        ({"optimizer": "{Adam: {betas: [0.9, 2]}}"}, "wrong-type", "`Adam.betas` holds numbers at least 0"),
        ({"layer": "Conv2d"}, "missing-option", "'out_channels' (a whole number at least 1) and 'kernel_size'"),
        ({"layer": "Conv2d: [3, kernel_size: 3]"}, "wrong-type", "'kernel_size' by name, in a list"),
        ({"optimizer": "{Adam: {}, SGD: {}}"}, "not-a-component", "found 2 names"),
        ({"optimizer": "3"}, "not-a-component", "must be a component"),
        ({"loss": "os.system"}, "unknown-component", "os.system"),
    ],
)
def test_each_mistake_has_its_code_and_words(parts: dict[str, str], code: str, words: str) -> None:
    """What was needed is said in the user's words."""
    found = problem(**parts)
    assert found.code == code
    assert words in found.message


def test_all_mistakes_come_at_once_in_file_order() -> None:
    """One report for three sections."""
    with pytest.raises(SpecError) as caught:
        drafted(layer="Linearr: 1", loss="L2Loss", optimizer="{SGD: {lr: x}}")
    assert [p.place.line for p in caught.value.problems if p.place] == [5, 6, 7]


def with_data(data: str, folder: Path):  # type: ignore[no-untyped-def]
    """The problems of a spec with this data component, read from a file."""
    path = folder / "spec.yaml"
    text = (BASE % ("Linear: 1", "L1Loss", "SGD")).splitlines()
    path.write_text("\n".join([*text[:3], f"data: {{{data}}}" if "\n" not in data else f"data:\n  {data}", *text[4:]]))
    with pytest.raises(SpecError) as caught:
        draft(read_spec(read_file(path), str(path)), Registry.installed())
    return caught.value.problems


@pytest.mark.parametrize(
    ("data", "marked", "message"),
    [
        ("table: {inputs: {x: [0, 1, n/a]}, targets: {y: [1, 2, 3]}}", ["n/a"], "`table.inputs.x` holds numbers"),
        ("table: {inputs: {x: 3}, targets: {y: [1]}}", ["3"], "`table.inputs.x` must be a list"),
        ("table: {inputs: {x: [[0], [1]]}, targets: {y: [1, 2]}}", ["[", "["], "`table.inputs.x` holds numbers"),
        ("table: {inputs: {x: [0, 1, 2]}, targets: {y: [a, b, 1]}}", ["1"], "must be all numbers or all words"),
        ("formula: {rows: 9, inputs: {x: 5}, targets: {y: x}}", ["5"], "`formula.inputs.x` must be a distribution"),
        ("formula: {rows: 9, inputs: {x: {Uniform: [0, 1]}}, targets: {y: null}}", ["null"], "`formula.targets.y`"),
    ],
)
def test_a_wrong_value_inside_an_option_is_marked_alone(
    tmp_path: Path, data: str, marked: list[str], message: str
) -> None:
    """With its path and what must stand there, not the type of the whole option."""
    problems = with_data(data, tmp_path)
    line = f"data: {{{data}}}"
    assert [line[p.place.column - 1 :][: p.place.length] for p in problems] == marked
    assert all(message in p.message for p in problems)


@pytest.mark.parametrize(
    ("data", "marked"),
    [
        ("table: {inputs: {x: [0, 1]}, targets: {x: [1, 2]}}", "x"),
        ("table: {inputs: {a.b: [0, 1]}, targets: {y.z: [1]}}", "y.z"),
        ("formula: {rows: 9, inputs: {my x: {Uniform: [0, 1]}}, targets: {y: 1}}", "my x"),
        ("formula: {rows: 9, inputs: {x: {Uniform: [0, 1]}}, targets: {y: x}, noise: {z: {Normal: [0, 1]}}}", "z"),
    ],
)
def test_a_name_that_does_not_fit_is_marked_itself(tmp_path: Path, data: str, marked: str) -> None:
    """The key, not the value that it has."""
    (found,) = with_data(data, tmp_path)
    assert f"data: {{{data}}}"[found.place.column - 1 :][: found.place.length] == marked


FORMULA = "formula:\n    rows: 9\n    inputs: {x: {Uniform: [0, 1]}}\n    targets:\n"


@pytest.mark.parametrize(
    ("written", "line", "marked"),
    [
        ("      y: |\n        x\n        + zz", 11, "zz"),
        ("      y: >-  # folded\n\n        x\n        + zz", 12, "zz"),
        ("      y: x +\n        zz", 10, "zz"),
        ('      y: "x\\t+ \\\n        zz"', 10, "zz"),
        ("      y: 'x +\n        zz'", 10, "zz"),
        ("      y: x^2", 9, "^"),
        ('      y: "x^2"', 9, "^"),
    ],
)
def test_a_fault_is_marked_inside_its_formula(tmp_path: Path, written: str, line: int, marked: str) -> None:
    """In every way that YAML has to write text."""
    (found,) = with_data(FORMULA + written, tmp_path)
    text = (tmp_path / "spec.yaml").read_text().splitlines()[found.place.line - 1]
    assert (found.place.line, text[found.place.column - 1 :][: found.place.length]) == (line, marked)
