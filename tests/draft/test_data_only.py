"""The data component of a spec alone, though the rest of the spec is not written yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.data_only import draft_data
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.reader import read_text

HEAD = "version: 1\nname: small\n"
TABLE = "data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}\n"


def codes(text: str, registry: Registry, project: Path) -> list[str]:
    """The codes of what is wrong; empty where the data can be made."""
    spec = read_spec(read_text(text, str(project / "spec.yaml")), str(project / "spec.yaml"))
    try:
        drafted = draft_data(spec, registry.copy(), project=project)
    except SpecError as error:
        return [problem.code for problem in error.problems]
    assert drafted.data.name == "table"
    assert drafted.data.options["inputs"] == {"x": [0, 1]}
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + TABLE, []),
        (HEAD + TABLE + "model: [NoSuchLayer]\nloss: 3\ntrain: {epoch: 1}\nmetrics: 7\n", []),
        (TABLE, ["missing-section", "missing-section"]),
        (HEAD, ["missing-section"]),
        (HEAD + TABLE.replace("table", "tabel"), ["unknown-component"]),
        (HEAD + TABLE.replace("inputs", "inptus"), ["unknown-option"]),
        (HEAD + TABLE.replace("[0, 1]}}}", "[0, 1]}}, split: {vla: 0.1}}"), ["unknown-option"]),
        (HEAD + "seed: fast\n" + TABLE, ["wrong-type"]),
        (HEAD + "plugins: [./gone.py]\n" + TABLE, ["plugin-not-found"]),
        (HEAD + TABLE.replace("}}}", "}}, split: {val_rows: /dev/zero}}"), ["wrong-value"]),
    ],
)
def test_only_what_the_data_need_is_checked(
    text: str, expected: list[str], registry_entries: Registry, tmp_path: Path
) -> None:
    """The head, the seed, plugins, the component and its split."""
    assert codes(text, registry_entries, tmp_path) == expected


def test_no_plugin_of_an_untrusted_spec_is_imported(registry_entries: Registry, tmp_path: Path) -> None:
    """The component must be an installed one."""
    (tmp_path / "own.py").write_text(
        "from pathlib import Path\nfrom annpipe import initializer\nPath(__file__).with_name('imported').touch()\n"
        "@initializer\ndef own_(tensor): ...\n"
    )
    file = str(tmp_path / "spec.yaml")
    spec = read_spec(read_text(HEAD + "plugins: [./own.py]\n" + TABLE, file), file)
    drafted = draft_data(spec, registry_entries.copy(), project=tmp_path, untrusted=True)
    assert not (tmp_path / "imported").exists()
    assert drafted.stance is not None
    assert draft_data(spec, registry_entries.copy(), project=tmp_path).stance is None
    assert (tmp_path / "imported").exists()
