"""The address of the schema in a spec: which files get it, and what of them stays as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from annpipe.errors import AnnpipeError, SpecError
from annpipe.schema.install import FILE, MODELINE, add_modeline, is_spec, named_schema, write, yaml_files
from annpipe.spec.yaml.reader import MAX_BYTES


def test_yaml_files_of_a_folder(tmp_path: Path) -> None:
    """By their ending, in order; no folder, and none that is too large to be read."""
    for name in ("b.yml", "a.yaml", "c.yxml", "d.yaml.txt", "e.json"):
        (tmp_path / name).write_text("a: 1\n", encoding="utf-8")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml" / "inner.yaml").touch()
    with open(tmp_path / "large.yaml", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with open(tmp_path / "just.yaml", "wb") as file:
        file.truncate(MAX_BYTES)
    assert [path.name for path in yaml_files(tmp_path)] == ["a.yaml", "b.yml", "just.yaml"]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("data: {}\nmodel: []\n", True),
        ("extends: base.yaml\n", True),
        ("data: {}\n", False),
        ("services: {web: {image: nginx}}\n", False),
    ],
)
def test_a_spec_is_known_by_its_keys(text: str, is_one: bool, tmp_path: Path) -> None:
    """Other YAML lies in a project, too."""
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    assert is_spec(path) is is_one


def test_what_is_no_yaml_is_an_error(tmp_path: Path) -> None:
    """Which the command tells."""
    (tmp_path / "a.yaml").write_text("data: [\n", encoding="utf-8")
    with pytest.raises(SpecError):
        is_spec(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (f"{MODELINE}\nname: a\n", FILE),
        ("# yaml-language-server: $schema=./other.json\n", "./other.json"),
        ("#   yaml-language-server :  $schema=a.json b\n", "a.json"),
        ("# $schema: https://example.org/a.json\nname: a\n", "https://example.org/a.json"),
        ("\n%YAML 1.2\n---\n# words\n# $schema: a.json\n", "a.json"),
        ("name: a\n# $schema: a.json\n", None),
        ("#$schema: a.json\n", None),
        ("# the $schema: is not here\n", None),
        ("", None),
    ],
)
def test_a_schema_is_named_above_the_content(text: str, schema: str | None) -> None:
    """In the ways in which the language server reads it."""
    assert named_schema(text) == schema


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_the_line_is_added_once_and_ends_as_the_others(ending: bytes, tmp_path: Path) -> None:
    """The rest is kept byte by byte."""
    path = tmp_path / "a.yaml"
    content = "name: größer".encode() + ending + b"seed: 1"
    path.write_bytes(content)
    assert add_modeline(path) is None
    assert path.read_bytes() == MODELINE.encode() + ending + content
    assert add_modeline(path) == ""
    assert path.read_bytes() == MODELINE.encode() + ending + content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# $schema: ./annpipe.schema.json\n", ""),
        (b"# $schema: other.json\n", "it names another schema, other.json"),
        (b"\xef\xbb\xbfname: a\n", "it begins with a byte order mark, before which nothing can stand"),
        (b"\xef\xbb\xbf# $schema: other.json\n", "it names another schema, other.json"),
    ],
)
def test_a_file_is_left_alone_with_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    """Empty where nothing needs to be done."""
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert add_modeline(path) == reason
    assert path.read_bytes() == content


def test_writing_keeps_permissions_and_links(tmp_path: Path) -> None:
    """And leaves no file beside it."""
    path, link = tmp_path / "a.json", tmp_path / "link.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    assert write(link, b"new")
    assert not write(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["a.json", "link.json"]


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """In words, and nothing half-written stays."""
    with pytest.raises(AnnpipeError, match="cannot be written: No such file or directory"):
        write(tmp_path / "nowhere" / "a.json", b"x")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(AnnpipeError, match="cannot be written: Is a directory"):
        write(folder, b"x")
    assert os.listdir(tmp_path) == ["folder"]
