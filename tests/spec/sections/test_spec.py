"""A whole spec: every section in its place, all problems noted, and places of what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.spec.sections.spec import REQUIRED, Spec, read_spec
from annpipe.spec.yaml.reader import read_text

SECTIONS = {
    "version": "version: 1",
    "name": "name: small",
    "data": "data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}",
    "model": "model: [Linear: 1]",
    "loss": "loss: L1Loss",
    "optimizer": "optimizer: Adam",
    "train": "train: {epochs: 1}",
}


def spec(*sections: str, without: tuple[str, ...] = (), file: str = "spec.yaml") -> Spec:
    """A right spec with other sections."""
    parts = SECTIONS | {section.partition(":")[0]: section for section in sections}
    text = "\n".join(part for name, part in parts.items() if name not in without)
    return read_spec(read_text(text, file), file)


def messages(made: Spec) -> list[str]:
    return [problem.message for problem in made.problems]


def test_a_right_spec_has_no_problem() -> None:
    """Components are called by name, and not looked up."""
    made = spec("metrics: [R2Score, NoSuchMetric]", "seed: 3")
    assert made.problems == ()
    assert (made.head.name, made.head.seed, made.data.name, made.loss.name) == ("small", 3, "table", "L1Loss")
    assert [call.name for call in made.metrics] == ["R2Score", "NoSuchMetric"]
    assert made.scheduler is None


@pytest.mark.parametrize("name", REQUIRED)
def test_a_section_that_must_be_there_is_missed_once(name: str) -> None:
    """Left out or empty."""
    assert messages(spec(without=(name,))) == [f"the section '{name}' is missing"]
    assert messages(spec(f"{name}:"))[0] == f"the section '{name}' is empty"


def test_a_word_of_another_tool_stands_for_its_section() -> None:
    """It is unknown, and the section that it means is not missing besides."""
    made = spec("optimiser: Adam", without=("optimizer",))
    assert messages(made) == ["there is no section 'optimiser'"]
    assert "optimizer" in (made.problems[0].help or "")


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("{epochs: 1}", []),
        ("{steps: 5}", []),
        ("{epochs: null, steps: 5}", []),
        ("{batch_size: 3}", ["`train.epochs` is missing"]),
        ("{epochs: null}", ["`train.epochs` is missing"]),
        ("{epochs: 1, steps: 5}", ["`train` says its length in epochs and in steps"]),
        ("{epoch: 3}", ["`train` has no option 'epoch'"]),
    ],
)
def test_the_length_of_a_run_is_said_once(train: str, expected: list[str]) -> None:
    """In epochs or in steps; a misspelt option is not missed as well."""
    assert messages(spec(f"train: {train}")) == expected


@pytest.mark.parametrize(
    ("device", "type_", "help_"),
    [
        ("cpu", "cpu", None),
        ("cuda:1", "cuda:1", None),
        ("{type: mps, threads: 2}", "mps", None),
        ("null", "auto", None),
        ("gpu", "gpu", "a GPU of NVIDIA is `cuda`"),
        ("cudda", "cudda", "did you mean 'cuda'?"),
        ("cuda:x", "cuda:x", ""),
        ("{type: tpu}", "tpu", "a GPU of NVIDIA is `cuda`"),
    ],
)
def test_a_device_is_a_word_or_a_mapping(device: str, type_: str, help_: str | None) -> None:
    """An unknown one is said with the nearest."""
    made = spec(f"device: {device}")
    assert made.device.type == type_
    assert [problem.code for problem in made.problems] == ([] if help_ is None else ["unknown-device"])
    assert all((help_ or "") in (problem.help or "") for problem in made.problems)


@pytest.mark.parametrize(
    ("transforms", "columns", "codes"),
    [
        ("{x: standardize, number: [log, standardize]}", [("x", 1), ("number", 2)], []),
        ("null", [], []),
        ("[standardize]", None, ["wrong-type"]),
        ("{x: }", None, ["not-a-component"]),
        ("{x: []}", None, ["not-a-component"]),
        ("{x: 3}", None, ["not-a-component"]),
    ],
)
def test_transforms_are_components_by_columns(
    transforms: str, columns: list[tuple[str, int]] | None, codes: list[str]
) -> None:
    """None where they could not be read."""
    made = spec(f"data: {{table: {{inputs: {{x: [0]}}, targets: {{y: [0]}}}}, transforms: {transforms}}}")
    read = None if made.transforms is None else [(part.columns, len(part.calls)) for part in made.transforms]
    assert read == columns
    assert [problem.code for problem in made.problems] == codes


@pytest.mark.parametrize(
    ("groups", "patterns", "codes"),
    [
        ("[{params: '*.bias', lr: 0.1}]", [["*.bias"]], []),
        ("[{params: [a, b], lr: 0.1}, {params: c, lr: 1}]", [["a", "b"], ["c"]], []),
        ("null", [], []),
        ("{params: a}", [], ["not-a-list"]),
        ("[a]", [], ["not-a-mapping"]),
        ("[{lr: 0.1}]", [], ["missing-option"]),
        ("[{params: a}]", [], ["missing-option"]),
        ("[{params: [], lr: 0.1}]", [], ["wrong-type"]),
        ("[{params: 3, lr: 0.1}, {params: b, lr: 1}]", [["b"]], ["wrong-type"]),
    ],
)
def test_groups_have_patterns_and_options(groups: str, patterns: list[list[str]], codes: list[str]) -> None:
    """One that is wrong costs itself alone; its options are without the patterns."""
    made = spec(f"optimizer: {{Adam: {{lr: 1}}, groups: {groups}}}")
    assert [[text for text, _ in group.patterns] for group in made.groups] == patterns
    assert all(group.options.keys == ["lr"] for group in made.groups)
    assert [problem.code for problem in made.problems] == codes


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ('name: "a\\nb"', "name"),
        ('name: "a\\eb"', "name"),
        ('name: "a\\u202eb"', "name"),
        ('tags: {"a\\tb": 1}', "tags"),
        ('tags: {a: "x\\eb"}', "tags.a"),
        ('tracking: {experiment: "a\\nb"}', "tracking.experiment"),
    ],
)
def test_a_name_is_printable(section: str, path: str) -> None:
    """A terminal obeys some characters, and hides others."""
    (problem,) = spec(section).problems
    assert problem.code == "unprintable-name"
    assert problem.message.startswith(f"`{path}` holds ")


def test_a_description_and_the_value_of_a_tag_may_have_lines() -> None:
    """Letters of all languages and emoji that are joined may stand anywhere."""
    assert spec('description: "a\\nb"', 'tags: {a: "x\\ny"}', "name: größer 한국 👩\u200d🔬").problems == ()


def test_places_are_those_of_the_deepest_node() -> None:
    """That a path leads to."""
    made = spec()
    place = made.place("train", "epochs")
    assert (place.file, place.line, place.column) == ("spec.yaml", 7, 17)
    assert made.place("train", "nothing", "below") == made.place("train")


def test_plugins_start_from_the_folder_of_the_file_that_lists_them(tmp_path: Path) -> None:
    """This spec's own; a base lies elsewhere."""
    made = spec("plugins: [./a.py, 3, b.py]", file=str(tmp_path / "spec.yaml"))
    assert [(text, folder) for text, _, folder in made.plugin_places] == [("./a.py", tmp_path), ("b.py", tmp_path)]
    assert made.folder == tmp_path
