"""A repository's tags are told without running anything that the repository configures."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.record.journal import git as git_module
from annpipe.record.journal.git import git_tags
from tests.conftest import in_seconds

QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
COMMIT, BRANCH, REMOTE, DIRTY = (
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.source.git.repoURL",
    "annpipe.git.dirty",
)


def git(folder: Path, *arguments: str) -> str:
    """Runs git as somebody, with no configuration but the repository's."""
    command = ["git", "-C", str(folder), "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **QUIET})
    return done.stdout.strip()


def repository(folder: Path, *options: str) -> Path:
    """A repository with one commit of a spec and a table."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch", "trunk", *options)
    (folder / "spec.yaml").write_text("version: 1\n")
    (folder / "data.csv").write_text("x,y\n1,2\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def touched(folder: Path) -> None:
    """Makes git compare the contents of all files: their times are not those of the index."""
    for path in folder.glob("*.*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def program(tmp_path: Path) -> tuple[Path, Path]:
    """A program that leaves a mark where it was run, and the mark."""
    mark, file = tmp_path / "mark", tmp_path / "program"
    file.write_text(f"#!/bin/sh\necho run >> '{mark}'\ncat\n")
    file.chmod(0o755)
    return file, mark


HOSTILE: dict[str, tuple[str, bool]] = {  # the configuration, and whether `git status` itself runs the program
    "fsmonitor": ("[core]\n\tfsmonitor = PROGRAM\n", True),
    "filter": ('[filter "evil"]\n\tclean = PROGRAM\n\tsmudge = PROGRAM\n\trequired = true\n', True),
    "filter process": ('[filter "evil"]\n\tprocess = PROGRAM\n', True),
    "include": ("[include]\n\tpath = FOLDER/more\n", True),
    "includeIf": ('[includeIf "gitdir:/**"]\n\tpath = FOLDER/more\n', True),
    "config of a work tree": ("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n", True),
    "hooks": ("[core]\n\thooksPath = FOLDER/hooks\n", True),
    "textconv": ('[diff "evil"]\n\ttextconv = PROGRAM\n\tcommand = PROGRAM\n[diff]\n\texternal = PROGRAM\n', False),
    "promisor": (
        "[core]\n\trepositoryformatversion = 1\n\tsshCommand = PROGRAM\n[extensions]\n\tpartialClone = origin\n"
        '[remote "origin"]\n\turl = ssh://host/x\n\tpromisor = true\n\tuploadpack = PROGRAM\n',
        False,
    ),
    "alias and pager": ("[alias]\n\tstatus = !PROGRAM\n[core]\n\tpager = PROGRAM\n\teditor = PROGRAM\n", False),
    "credential and proxy": ("[credential]\n\thelper = PROGRAM\n[core]\n\tgitProxy = PROGRAM\n", False),
    "summary of submodules": ("[status]\n\tsubmoduleSummary = true\n[core]\n\tfsmonitor = PROGRAM\n", True),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_repository_configures_is_run(name: str, tmp_path: Path) -> None:
    """Each kind of program that a configuration can name; git itself runs those that the table says."""
    folder = repository(tmp_path / "project")
    (folder / ".gitattributes").write_text("*.csv filter=evil diff=evil\n")
    git(folder, "add", ".gitattributes")
    git(folder, "commit", "--quiet", "--message", "attributes")
    commit = git(folder, "rev-parse", "HEAD")
    file, mark = program(tmp_path)
    (tmp_path / "more").write_text(f"[core]\n\tfsmonitor = {file}\n")
    (folder / ".git" / "config.worktree").write_text(f"[core]\n\tfsmonitor = {file}\n")
    (tmp_path / "hooks").mkdir()
    shutil.copy(file, tmp_path / "hooks" / "post-index-change")
    text, is_obeyed = HOSTILE[name]
    with (folder / ".git" / "config").open("a") as config:
        config.write(text.replace("PROGRAM", str(file)).replace("FOLDER", str(tmp_path)))
    if name == "promisor":  # an object that git would fetch
        shutil.rmtree(folder / ".git" / "objects" / git(folder, "rev-parse", "HEAD:data.csv")[:2])
    touched(folder)
    tags = git_tags(folder)
    assert not mark.exists()
    assert tags[COMMIT] == commit
    if name not in ("promisor",):
        assert tags[DIRTY] == "false"
    subprocess.run(["git", "-C", folder, "status"], capture_output=True, timeout=300, env={**os.environ, **QUIET})
    assert mark.exists() == is_obeyed, "the test itself would see it"


def test_a_submodule_is_not_asked(tmp_path: Path) -> None:
    """Git would start another git in it, which obeys the submodule's configuration; its commit still counts."""
    inner = repository(tmp_path / "inner")
    outer = repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(outer, "commit", "--quiet", "--message", "with a submodule")
    file, mark = program(tmp_path)
    git(outer / "sub", "config", "core.fsmonitor", str(file))
    touched(outer / "sub")
    assert git_tags(outer)[DIRTY] == "false"
    assert git_tags(outer / "sub") == {
        COMMIT: git(inner, "rev-parse", "HEAD"),
        BRANCH: "trunk",
        REMOTE: str(inner),
        DIRTY: "false",
    }
    assert not mark.exists()
    git(outer, "status")
    assert mark.exists()
    git(outer / "sub", "-c", "core.fsmonitor=", "commit", "--quiet", "--allow-empty", "--message", "moved on")
    assert git_tags(outer)[DIRTY] == "true"


def staged(folder: Path) -> None:
    (folder / "new.txt").write_text("new\n")
    git(folder, "add", "new.txt")


def untracked(folder: Path) -> None:
    (folder / "new.txt").write_text("new\n")


def changed(folder: Path) -> None:
    (folder / "data.csv").write_text("x,y\n1,3\n")


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (touched, "false"),
    (untracked, "false"),
    (changed, "true"),
    (staged, "true"),
    (lambda folder: (folder / "data.csv").unlink(), "true"),
    (lambda folder: (folder / "data.csv").chmod(0o755), "true"),
    (lambda folder: git(folder, "rm", "--cached", "--quiet", "data.csv"), "true"),
]


@pytest.mark.parametrize(("change", "dirty"), CHANGES)
@pytest.mark.parametrize("options", [[], ["--object-format=sha256"]], ids=["sha1", "sha256"])
def test_dirty_is_what_git_says(
    change: Callable[[Path], object], dirty: str, options: list[str], tmp_path: Path
) -> None:
    """Changes in the index and in files count, files that git does not know do not."""
    folder = repository(tmp_path / "project", *options)
    change(folder)
    tags = git_tags(folder)
    assert tags == {COMMIT: git(folder, "rev-parse", "HEAD"), BRANCH: "trunk", DIRTY: dirty}
    assert bool(git(folder, "status", "--porcelain", "--untracked-files=no")) == (dirty == "true")


def packed(folder: Path) -> Path:
    git(folder, "gc", "--quiet")
    assert not (folder / ".git" / "refs" / "heads" / "trunk").exists()
    return folder


def detached(folder: Path) -> Path:
    git(folder, "checkout", "--quiet", "--detach")
    return folder


def linked(folder: Path) -> Path:
    git(folder, "worktree", "add", "--quiet", "-b", "other", str(folder.parent / "linked"))
    return folder.parent / "linked"


def split(folder: Path) -> Path:
    git(folder, "update-index", "--split-index")
    return folder


def version_4(folder: Path) -> Path:
    git(folder, "update-index", "--index-version", "4")
    return folder


def below(folder: Path) -> Path:
    (folder / "a" / "b").mkdir(parents=True)
    return folder / "a" / "b"


def elsewhere(folder: Path) -> Path:
    (folder / ".git").rename(folder.parent / "its.git")
    (folder / ".git").symlink_to(folder.parent / "its.git")
    return folder


@pytest.mark.parametrize("layout", [packed, detached, linked, split, version_4, below, elsewhere])
def test_every_layout_of_a_repository_is_read(layout: Callable[[Path], Path], tmp_path: Path) -> None:
    """Packed references, a detached HEAD, linked work trees, indexes of all versions, a linked `.git`."""
    place = layout(repository(tmp_path / "project"))
    tags = git_tags(place)
    assert tags[COMMIT] == git(place, "rev-parse", "HEAD")
    assert tags.get(BRANCH) == {detached: None, linked: "other"}.get(layout, "trunk")
    assert tags[DIRTY] == "false"
    top = Path(git(place, "rev-parse", "--show-toplevel"))
    (top / "data.csv").write_text("changed\n")
    assert git_tags(place)[DIRTY] == "true"


def test_a_bare_repository_has_a_commit_and_no_work_tree(tmp_path: Path) -> None:
    """There is nothing that could be dirty, and nothing of its configuration is obeyed."""
    folder = repository(tmp_path / "project")
    git(tmp_path, "clone", "--quiet", "--bare", str(folder), "bare.git")
    tags = git_tags(tmp_path / "bare.git")
    assert tags == {COMMIT: git(folder, "rev-parse", "HEAD"), BRANCH: "trunk", REMOTE: str(folder)}


def test_work_trees_of_other_systems_are_compared_by_their_rules(tmp_path: Path) -> None:
    """A file system without modes, and line ends that git translates, are said in the configuration."""
    folder = repository(tmp_path / "project")
    git(folder, "config", "core.filemode", "false")
    git(folder, "config", "core.autocrlf", "true")
    (folder / "data.csv").chmod(0o755)
    (folder / "spec.yaml").unlink()
    git(folder, "checkout", "spec.yaml")
    assert (folder / "spec.yaml").read_bytes() == b"version: 1\r\n"
    touched(folder)
    assert git_tags(folder)[DIRTY] == "false"


def test_no_file_of_a_repository_takes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipes in the place of files, an index beyond all bounds, pointers in a circle: the tags are left out."""
    monkeypatch.setattr(git_module, "GIT_SECONDS", 0.5)
    with in_seconds(300):
        for name in ("HEAD", "index", "config", "packed-refs", "refs/heads/trunk"):
            folder = repository(tmp_path / name.replace("/", "-"))
            (folder / ".git" / name).unlink(missing_ok=True)
            os.mkfifo(folder / ".git" / name)
            assert DIRTY not in git_tags(folder) or name in ("config", "packed-refs")
        huge = repository(tmp_path / "huge")
        os.truncate(huge / ".git" / "index", 2**40)
        assert set(git_tags(huge)) == {COMMIT, BRANCH}
        for name, target in (("circle", ".git"), ("nowhere", "/nowhere")):
            (tmp_path / name).mkdir()
            (tmp_path / name / ".git").symlink_to(target)
            assert git_tags(tmp_path / name) == {}
        (tmp_path / "pointer").mkdir()
        (tmp_path / "pointer" / ".git").write_bytes(b"gitdir: a\0b")
        assert git_tags(tmp_path / "pointer") == {}


def test_the_environment_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a hook of another repository git's variables point there."""
    folder, other = repository(tmp_path / "project"), repository(tmp_path / "other")
    git(other, "commit", "--quiet", "--allow-empty", "--message", "more")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
    tags = git_tags(folder)
    monkeypatch.undo()
    assert tags == {COMMIT: git(folder, "rev-parse", "HEAD"), BRANCH: "trunk", DIRTY: "false"}
