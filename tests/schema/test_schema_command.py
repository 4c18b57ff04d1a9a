"""`annpipe schema`: the schema of a project's specs, printed or installed beside them."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file

Cli = Callable[..., subprocess.CompletedProcess[str]]
MODELINE = b"# yaml-language-server: $schema=annpipe.schema.json"
SPEC = """\
# a comment of mine
version: 1
name: small
data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}
model: [Linear: 1]
loss: L1Loss
optimizer: Adam
train: {epochs: 1}
"""
PLUGIN = '''\
"""A layer of {folder}."""
from pathlib import Path

import torch

from annpipe import layer

Path(__file__).with_name("imported").touch()


@layer
class Swish(torch.nn.Module):
    """x times sigmoid(beta x)."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a spec, a spec that lists a plugin, and YAML that is neither."""
    (tmp_path / "small.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "compose.yml").write_text("services: {web: {image: a}}\n", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("a: [\n", encoding="utf-8")
    own = tmp_path / "pipelines"
    own.mkdir()
    (own / "own.yaml").write_text(SPEC + "plugins: [./swish.py]\n", encoding="utf-8")
    (own / "own.yaml").write_text((own / "own.yaml").read_text().replace("[Linear: 1]", "[Swish: 2, Linear: 1]"))
    (own / "swish.py").write_text(PLUGIN.format(folder=tmp_path), encoding="utf-8")
    return tmp_path


def parsed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The schema that was printed."""
    assert done.returncode == 0, done.stderr
    schema: dict[str, Any] = json.loads(done.stdout)
    Draft7Validator.check_schema(schema)
    return schema


def is_right(schema: dict[str, Any], spec: Path) -> bool:
    """Whether a spec's file validates."""
    return bool(Draft7Validator(schema).is_valid(plain(read_file(spec))))


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_all_specs_of_the_project_and_their_plugins_are_found(annpipe: Cli, project: Path) -> None:
    """In the working directory and in pipelines/; other YAML is passed over in silence."""
    done = annpipe("schema")
    schema = parsed(done)
    assert done.stderr == ""
    swish = schema["definitions"]["layer.Swish"]
    assert "x times sigmoid(beta x)." in swish["description"]
    assert "A layer from swish.py." in swish["description"]
    assert str(project) not in done.stdout
    assert is_right(schema, project / "small.yaml")
    assert is_right(schema, project / "pipelines" / "own.yaml")


@pytest.mark.slow
def test_only_the_plugins_of_the_specs_named_are_imported(annpipe: Cli, project: Path) -> None:
    """A plugin is imported because a spec lists it, and for no other reason."""
    schema = parsed(annpipe("schema", "small.yaml"))
    assert "layer.Swish" not in schema["definitions"]
    assert not (project / "pipelines" / "imported").exists()
    assert not is_right(schema, project / "pipelines" / "own.yaml")
    assert "layer.Swish" in parsed(annpipe("schema", "--plugin", "pipelines/swish.py", "small.yaml"))["definitions"]
    assert (project / "pipelines" / "imported").exists()


def test_the_same_is_printed_twice(annpipe: Cli, project: Path) -> None:
    """The schema can be kept under version control."""
    assert annpipe("schema").stdout == annpipe("schema").stdout


@pytest.mark.slow
def test_what_is_wrong_with_a_spec_or_a_plugin_is_a_warning(annpipe: Cli, project: Path) -> None:
    """The schema is printed in any case, and refuses no name that the plugin may define."""
    (project / "pipelines" / "swish.py").write_text("1 / 0\n", encoding="utf-8")
    (project / "half.yaml").write_text("model: [\n", encoding="utf-8")
    done = annpipe("schema")
    schema = parsed(done)
    assert "warning[plugin-import]" in done.stderr
    assert "half.yaml:1" in done.stderr
    assert "error" not in done.stderr
    assert "compose.yml" not in done.stderr
    assert "broken.yaml" not in done.stderr
    assert is_right(schema, project / "pipelines" / "own.yaml")
    named = annpipe("schema", "absent.yaml")
    assert parsed(named)
    assert "warning[file-not-found]" in named.stderr


def test_a_plugin_outside_the_specs_folder_is_not_imported(annpipe: Cli, project: Path) -> None:
    """The rule that holds for running a spec holds here."""
    inner = project / "inner"
    inner.mkdir()
    (inner / "spec.yaml").write_text(SPEC + "plugins: [../pipelines/swish.py]\n", encoding="utf-8")
    done = annpipe("schema", "inner")
    parsed(done)
    assert "warning[plugin-outside]" in done.stderr
    assert not (project / "pipelines" / "imported").exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["pipelines/own.yaml"], ["--plugin", "pipelines/swish.py"]])
def test_untrusted_imports_no_plugin_file(annpipe: Cli, project: Path, arguments: list[str]) -> None:
    """It says which were left out, and the schema takes what they may define."""
    done = annpipe("schema", "--untrusted", *arguments)
    schema = parsed(done)
    assert not (project / "pipelines" / "imported").exists()
    left_out = [line for line in done.stderr.splitlines() if "swish.py" in line]
    assert len(left_out) >= 1
    assert all("left out" in line for line in left_out)
    assert is_right(schema, project / "pipelines" / "own.yaml")
    assert "layer.Swish" not in schema["definitions"]


def test_untrusted_stays_strict_where_nothing_is_left_out(annpipe: Cli, project: Path) -> None:
    """Specs without plugins have only names that are known."""
    done = annpipe("schema", "--untrusted", "small.yaml")
    assert done.stderr == ""
    assert not is_right(parsed(done), project / "pipelines" / "own.yaml")


@pytest.mark.slow
def test_install_writes_a_schema_beside_the_specs_and_names_it_in_them(annpipe: Cli, project: Path) -> None:
    """One schema a folder, one new first line a spec, and no other file touched; a second time changes nothing."""
    before = files(project)
    done = annpipe("schema", "--install")
    assert done.returncode == 0, done.stderr
    after = files(project)
    changed = {name for name in after if after[name] != before.get(name)} - {"pipelines/imported"}
    schemas = {"annpipe.schema.json", "pipelines/annpipe.schema.json"}
    assert changed == {"small.yaml", "pipelines/own.yaml"} | schemas
    assert after["small.yaml"] == MODELINE + b"\n" + before["small.yaml"]
    assert len(done.stdout.splitlines()) == 4
    assert all(str(Path(name)) in done.stdout for name in changed)
    assert "layer.Swish" not in json.loads(after["annpipe.schema.json"])["definitions"]
    assert is_right(json.loads(after["pipelines/annpipe.schema.json"]), project / "pipelines" / "own.yaml")
    again = annpipe("schema", "--install")
    assert again.returncode == 0
    assert again.stdout == ""
    assert files(project) == after


@pytest.mark.slow
def test_install_takes_files_and_folders(annpipe: Cli, project: Path) -> None:
    """Only what is named, and only what is a spec."""
    done = annpipe("schema", "--install", "pipelines", "compose.yml", "broken.yaml")
    assert done.returncode == 0, done.stderr
    assert "compose.yml: left as it is: it is no spec" in done.stderr
    assert "broken.yaml:1" in done.stderr
    assert not (project / "annpipe.schema.json").exists()
    assert (project / "compose.yml").read_bytes() == b"services: {web: {image: a}}\n"
    assert (project / "broken.yaml").read_bytes() == b"a: [\n"
    assert (project / "small.yaml").read_bytes() == SPEC.encode()


def test_install_without_a_spec_says_so(annpipe: Cli, tmp_path: Path) -> None:
    """Nothing is written where there is nothing to serve."""
    done = annpipe("schema", "--install")
    assert done.returncode == 2
    assert "there is no spec here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_install_keeps_line_endings_and_permissions(annpipe: Cli, project: Path) -> None:
    """The new line ends as the others do."""
    spec = project / "small.yaml"
    spec.write_bytes(SPEC.replace("\n", "\r\n").encode())
    spec.chmod(0o640)
    assert annpipe("schema", "--install", "small.yaml").returncode == 0
    assert spec.read_bytes() == MODELINE + b"\r\n" + SPEC.replace("\n", "\r\n").encode()
    assert stat.S_IMODE(spec.stat().st_mode) == 0o640
    assert not [path for path in project.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("# yaml-language-server: $schema=https://example.org/other.json\n", "it names another schema"),
        ("# mine\n# $schema: other.json\n", "it names another schema, other.json"),
        ("\ufeff", "byte order mark"),
    ],
)
def test_install_leaves_a_spec_alone_that_names_another_schema(
    annpipe: Cli, project: Path, head: str, reason: str
) -> None:
    """So too one that begins with a byte order mark; it says why."""
    spec = project / "small.yaml"
    spec.write_bytes((head + SPEC).encode())
    done = annpipe("schema", "--install", "small.yaml")
    assert done.returncode == 0
    assert reason in done.stderr
    assert spec.read_bytes() == (head + SPEC).encode()


@pytest.mark.parametrize("named", ["annpipe.schema.json", "./annpipe.schema.json"])
def test_a_modeline_of_ones_own_is_enough(annpipe: Cli, project: Path, named: str) -> None:
    """Wherever it stands above the content."""
    spec = project / "small.yaml"
    spec.write_text(f"# mine\n# yaml-language-server: $schema={named}\n{SPEC}", encoding="utf-8")
    before = spec.read_bytes()
    assert annpipe("schema", "--install", "small.yaml").returncode == 0
    assert spec.read_bytes() == before


@pytest.mark.slow
def test_a_linked_spec_stays_a_link(annpipe: Cli, project: Path) -> None:
    """The file behind the link gets the line."""
    (project / "pipelines" / "linked.yaml").symlink_to(project / "small.yaml")
    assert annpipe("schema", "--install", "pipelines").returncode == 0
    assert (project / "pipelines" / "linked.yaml").is_symlink()
    assert (project / "small.yaml").read_bytes().startswith(MODELINE)


def test_neither_torch_nor_mlflow_is_imported(annpipe: Cli, project: Path) -> None:
    """The schema comes from the index alone."""
    done = annpipe("schema", "small.yaml", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "annpipe.schema.root" in imported
    assert not imported & {"torch", "mlflow"}
