"""The files that a spec names: plugins below its folder or the project's, and row numbers of a split."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.named_files import file_faults, plugin_files
from annpipe.files.limits import Stance
from annpipe.spec.sections.spec import Spec, read_spec
from annpipe.spec.yaml.reader import read_text

TEXT = """
version: 1
name: small
data: {{table: {{inputs: {{x: [0, 1]}}, targets: {{y: [0, 1]}}}}, split: {split}}}
model: [Linear: 1]
loss: L1Loss
optimizer: Adam
train: {{epochs: 1}}
plugins: {plugins}
"""


def spec(folder: Path, plugins: str = "[]", split: str = "{}") -> Spec:
    file = str(folder / "spec.yaml")
    return read_spec(read_text(TEXT.format(plugins=plugins, split=split), file), file)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a folder of specs, plugins of its own and a file outside."""
    for name in ("specs/own.py", "specs/deep/inner.py", "plugins/shared.py", "elsewhere/other.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1 / 0\n", encoding="utf-8")
    return tmp_path


def test_plugins_of_the_spec_and_of_the_project_are_allowed(project: Path) -> None:
    """Each by its real path; nothing of them is run."""
    made = spec(project / "specs", "[./own.py, deep/inner.py, ../plugins/shared.py]")
    files, problems = plugin_files(made, project)
    assert problems == []
    assert [(path.relative_to(project).as_posix(), text) for path, text, _ in files] == [
        ("specs/own.py", "./own.py"),
        ("specs/deep/inner.py", "deep/inner.py"),
        ("plugins/shared.py", "../plugins/shared.py"),
    ]


@pytest.mark.parametrize(
    ("plugin", "code", "help_"),
    [
        ("../elsewhere/other.py", "plugin-outside", "move it below"),
        ("./link.py", "plugin-outside", "move it below"),
        ("./onw.py", "plugin-not-found", "did you mean './own.py'?"),
        ("./deep", "plugin-not-found", "paths are relative to the spec"),
        ("numpy.linalg", "plugin-not-found", "name a file, as in ./layers.py"),
    ],
)
def test_a_plugin_elsewhere_or_nowhere_is_a_problem(plugin: str, code: str, help_: str, project: Path) -> None:
    """Where it is a link that leads out, too."""
    (project / "specs" / "link.py").symlink_to(project / "elsewhere" / "other.py")
    files, (problem,) = plugin_files(spec(project / "specs", f"[{plugin}, ./own.py]"), project)
    assert [text for _, text, _ in files] == ["./own.py"]
    assert problem.code == code
    assert help_ in (problem.help or "")
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (9, 11)


def test_files_of_a_split_are_checked_by_name(project: Path) -> None:
    """Those that are missing, and those that an untrusted spec may not read."""
    for name in ("specs/val.txt", "elsewhere/test.txt"):
        (project / name).write_text("0\n", encoding="utf-8")
    made = spec(
        project / "specs", split=f"{{val_rows: {project}/specs/val.txt, test_rows: {project}/elsewhere/test.txt}}"
    )
    assert made.problems == ()
    assert list(file_faults(made, None)) == []
    (problem,) = file_faults(made, Stance(project / "specs"))
    assert (problem.code, problem.place) == ("wrong-value", made.place("data", "split", "test_rows"))
