"""Every file that a spec names is opened in one way: whoever names it, wherever in a spec, and whatever stands there.

The options are all of the type path in the registry, with one of a plugin; beside them the files of `data.split`,
`extends` and `plugins`.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import annpipe as public
from annpipe.errors import SpecError
from annpipe.files.limits import BOUNDS, Stance, held_to
from annpipe.files.named import NamedFault, content, named_files, opened
from annpipe.registry.entry import Parameter
from annpipe.registry.registry import Registry
from annpipe.runs.spec_source import SpecSource
from tests.conftest import CliHere, in_seconds
from tests.files.odd_paths import ODD, OUTSIDE, SECRET, laid_out

TAIL = """model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""
HEAD = "version: 1\nname: strange\n"
TABLE = "table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [1, 3, 5, 7]}}"


def values_of_path_options() -> dict[str, str]:
    """For each option of the type path in the registry a spec with PATH in its place."""
    found = {}
    for kind in ("data",):  # asserted below: no other kind has any
        for entry in Registry.installed().entries(kind):
            for option in entry.options:
                if not re.search(r"\bpath\b", option.type):
                    continue
                others = [f"{o.name}: {_any(o)}" for o in entry.options if o.required and o.name != option.name]
                for shape in ["PATH", "[PATH]"] if "list[path]" in option.type else ["PATH"]:
                    given = ", ".join([f"{option.name}: {shape}", *others])
                    name = f"{entry.name}.{option.name}{' in a list' if shape != 'PATH' else ''}"
                    found[name] = f"{HEAD}data: {{{entry.name}: {{{given}}}}}\n{TAIL}"
    return found


def _any(option: Parameter) -> str:
    name = "x" if option.name == "inputs" else "y"
    return f"[{name}]" if "list[str]" in option.type else name


NAMED = {
    **values_of_path_options(),
    "csv.files in blocks": f"{HEAD}data: {{csv: {{files: PATH, target: y, in_memory: false}}}}\n{TAIL}",
    "data.split.val_rows": f"{HEAD}data: {{{TABLE}, split: {{val_rows: PATH}}}}\n{TAIL}",
    "data.split.test_rows": f"{HEAD}data: {{{TABLE}, split: {{test_rows: PATH}}}}\n{TAIL}",
    "extends": f"extends: PATH\n{HEAD}data: {{{TABLE}}}\n{TAIL}",
    "plugins": f"{HEAD}data: {{{TABLE}}}\nplugins: [PATH]\n{TAIL}",
}


def test_no_kind_but_data_has_options_of_paths() -> None:
    """Were there one, it would have to be walked as well."""
    registry = Registry.installed()
    kinds = ["layer", "loss", "optimizer", "scheduler", "transform", "metric", "plot", "callback"]
    kinds += ["average", "initializer", "distribution"]
    with_paths = [e.name for kind in kinds for e in registry.entries(kind) for o in e.options if "path" in o.type]
    assert with_paths == []
    assert {"csv.files", "csv.files in a list", "parquet.files", "npz.file"} <= set(NAMED)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's folder; the home, too, is outside of it."""
    folder = laid_out(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "outside"))
    return folder


def told(annpipe_here: CliHere, folder: Path, spec: str, paths: dict[str, str], *options: str) -> dict[str, list[Any]]:
    """The errors that `validate` tells of the spec with each of these paths; nothing that it says is a secret."""
    files = {what: folder / f"spec{number}.yaml" for number, what in enumerate(paths)}
    for what, file in files.items():
        file.write_text(spec.replace("PATH", paths[what]), encoding="utf-8")
    with in_seconds(60):
        code, out, err = annpipe_here("validate", "--format", "json", *options, *files.values())
    assert code == 3, err
    assert not err
    for secret in (SECRET, "root:", "HOME="):
        assert secret not in out
    found = {one["spec"]: one["problems"] for one in json.loads(out)}
    return {what: [p for p in found[str(file)] if p["severity"] == "error"] for what, file in files.items()}


@pytest.mark.parametrize("named", NAMED)
def test_nothing_outside_the_folder_of_a_strangers_spec_is_read(
    named: str, folder: Path, annpipe_here: CliHere
) -> None:
    for what, problems in told(annpipe_here, folder, NAMED[named], OUTSIDE, "--untrusted").items():
        assert problems, what


@pytest.mark.parametrize("options", [("--untrusted",), ()], ids=["untrusted", "trusted"])
@pytest.mark.parametrize("named", NAMED)
def test_what_is_no_file_is_refused_at_once(
    named: str, options: tuple[str, ...], folder: Path, annpipe_here: CliHere
) -> None:
    """Nothing waits for a pipe or reads a device, and each name has its error with a place: never exit code 4."""
    for what, problems in told(annpipe_here, folder, NAMED[named], ODD, *options).items():
        assert problems, what
        assert all(problem["place"]["line"] for problem in problems), what


@pytest.mark.parametrize("named", [name for name in NAMED if name != "plugins"])
def test_a_huge_file_of_a_stranger_is_refused_unread(named: str, folder: Path, annpipe_here: CliHere) -> None:
    """Its size is looked at before any of it is read; a spec, which has a limit for everybody, is read up to there."""
    (problem,) = told(annpipe_here, folder, NAMED[named], {"huge": "huge"}, "--untrusted")["huge"]
    assert problem["code"] == "untrusted-limit"


@pytest.mark.parametrize("named", [name for name in NAMED if name != "plugins"])
def test_a_file_that_may_not_be_read_is_told(
    named: str, folder: Path, annpipe_here: CliHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system says it to whoever is not root, who may run this."""
    (folder / "mine.csv").write_text("x,y\n1,2\n")
    true = os.open

    def shut(path: Any, *arguments: Any, **options: Any) -> int:
        if os.path.basename(path) == "mine.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return true(path, *arguments, **options)

    monkeypatch.setattr("annpipe.files.named.os.open", shut)
    (problem,) = told(annpipe_here, folder, NAMED[named], {"shut": "mine.csv"})["shut"]
    assert "cannot be read" in problem["message"]
    assert problem["help"] == "see who may read it"


def test_a_plugins_option_of_the_type_path_is_held_to_the_same(folder: Path) -> None:
    """The engine looks at the path before the component gets it, whatever the component then does."""
    registry = Registry.installed()
    asked: list[object] = []

    @public.data(fields=lambda **options: asked.append(options))
    def mine(*, where: Path, others: dict[str, list[Path]] | None = None) -> public.Dataset:
        raise AssertionError("never made")

    registry.add(mine)
    for path in [*OUTSIDE.values(), *(path for what, path in ODD.items() if what not in HARMLESS)]:
        for given in (f"where: {path}", f"where: spec.yaml, others: {{a: [{path}]}}"):
            (folder / "spec.yaml").write_text(f"{HEAD}data: {{mine: {{{given}}}}}\n{TAIL}", encoding="utf-8")
            if any(sign in path for sign in "*[") and not path.startswith(("..", "/")):
                continue  # a pattern is a name until somebody looks for files that fit it
            with in_seconds(60), pytest.raises(SpecError):
                SpecSource(folder / "spec.yaml", untrusted=True).draft(registry.copy())
    assert asked == []


HARMLESS = ("a folder", "a link to nothing", "nothing", "a name of blanks", "a bad pattern")


@pytest.mark.parametrize("name", ["--set x.yaml", "--base.yaml", "--over seed.yaml"])
def test_a_file_that_is_called_like_an_option_is_no_command_line(
    name: str, folder: Path, annpipe_here: CliHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command line names may lie anywhere; the base of a stranger's spec may not, whatever its name."""
    (folder / name).write_text(NAMED["csv.files"].replace("PATH", "/etc/passwd"), encoding="utf-8")
    (folder / "spec.yaml").write_text(f"extends: '{name}'\n", encoding="utf-8")
    true = os.chdir
    monkeypatch.setattr(os, "chdir", lambda _: true(folder))
    for spec in ("spec.yaml", f"./{name}"):
        code, _, err = annpipe_here("validate", "--untrusted", spec)
        assert code == 3
        assert "lies outside the folder of an untrusted spec" in err


@pytest.mark.parametrize(
    "more",
    [
        "sweep: {over: {data.csv.files: [mine.csv, /etc/passwd]}}",
        f"sweep: {{over: {{data: [{{{TABLE}, split: {{val_rows: ../outside/secret.csv}}}}]}}}}",
        "variables: {file: /etc/passwd}",
        "sweep: {over: {data: [{npz: {file: away/secret.csv, inputs: [x], targets: [y]}}]}}",
    ],
)
def test_a_path_that_comes_by_another_way_is_held_to_the_same(more: str, folder: Path, annpipe_here: CliHere) -> None:
    """Values of a sweep, and variables."""
    (folder / "mine.csv").write_text("x,y\n1,2\n2,3\n3,5\n")
    spec = NAMED["csv.files"].replace("PATH", "'${file}'" if "variables" in more else "mine.csv") + more + "\n"
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    code, out, err = annpipe_here("validate", "--untrusted", folder / "spec.yaml")
    assert code == 3, err
    assert "lies outside the folder of an untrusted spec" in err
    assert SECRET not in out + err
    assert "root:" not in out + err


# --- the opener itself


def test_what_the_command_line_names_is_the_users_own(folder: Path, annpipe_here: CliHere) -> None:
    (folder / "spec.yaml").write_text(f"{HEAD}data: {{{TABLE}, split: {{val_rows: gone.txt}}}}\n{TAIL}")
    (folder.parent / "outside" / "rows.txt").write_text("1\n")
    rows = folder.parent / "outside" / "rows.txt"
    code, _, err = annpipe_here("validate", "--untrusted", folder / "spec.yaml", "--set", f"data.split.val_rows={rows}")
    assert code == 0, err


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    (folder / "rows.csv").write_text("x\n")
    (folder / "other").symlink_to("rows.csv")
    with held_to(Stance.below(folder)):
        assert content(folder / "other") == b"x\n"


def test_a_name_that_becomes_a_link_is_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Swapped after the look at it and before it is opened, as a stranger's other process could."""
    file = folder / "rows.csv"
    file.write_text("x\n")
    stat = _swapping(lambda: (file.unlink(), file.symlink_to(folder.parent / "outside" / "secret.csv")))
    monkeypatch.setattr("annpipe.files.named.os.stat", stat)
    with held_to(Stance.below(folder)), pytest.raises(NamedFault):
        opened(file)


def test_a_folder_that_becomes_a_link_is_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = folder / "below"
    below.mkdir()
    (below / "secret.csv").write_text("x\n")

    def swap() -> None:
        (below / "secret.csv").unlink()
        below.rmdir()
        below.symlink_to(folder.parent / "outside")

    monkeypatch.setattr("annpipe.files.named.os.stat", _swapping(swap))
    with held_to(Stance.below(folder)), pytest.raises(NamedFault):
        opened(below / "secret.csv")


def _swapping(swap: Callable[[], object]) -> Callable[..., object]:
    true = os.stat

    def stat(path: object, *arguments: object, **options: object) -> object:
        found = true(path, *arguments, **options)  # type: ignore[arg-type]
        swap()
        return found

    return stat


def test_a_pattern_gives_each_file_once_and_enters_no_circle(tmp_path: Path) -> None:
    """A link to the folder above would give each file forty times, and two such links without an end."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "one.csv").write_text("x")
    (tmp_path / "two.csv").write_text("x")
    (tmp_path / ".hidden.csv").write_text("x")
    (below / "up").symlink_to(tmp_path), (below / "again").symlink_to(tmp_path / "a")
    with in_seconds(60):
        found = named_files(f"{tmp_path}/**/*.csv", option="files")
    assert found == [f"{below}/one.csv", f"{tmp_path}/two.csv"]
    assert named_files(f"{tmp_path}/a/*/one.csv", option="files") == [f"{below}/one.csv"]
    assert named_files(f"{tmp_path}/[!x]*.csv", option="files") == [f"{tmp_path}/two.csv"]
    assert named_files(f"{tmp_path}/*.txt", option="files") == []


def test_a_folder_of_many_entries_is_not_walked_for_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number}.csv").touch()
    monkeypatch.setitem(BOUNDS, "entries", type(BOUNDS["entries"])(20, "entries"))
    assert len(named_files(f"{tmp_path}/*.csv", option="files")) == 30
    with held_to(Stance.below(tmp_path)), pytest.raises(public.OptionError, match="too many entries"):
        named_files(f"{tmp_path}/*.csv", option="files")
