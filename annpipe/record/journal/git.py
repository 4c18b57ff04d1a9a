"""Commit, branch, remote and dirtiness of a folder's git repository; nothing of its configuration is obeyed.

A repository's own configuration names programs that git then runs: `core.fsmonitor`, `filter.*`, `diff.*.textconv`,
`core.sshCommand`, hooks, includes of further files. So git never sees it. Each question is asked of a repository that
is made for it: an empty folder with a configuration of annpipe's, whose objects, references and index are links into
the true one. What the answer needs of the true configuration is listed as data, from its file, and a few words of it
are taken over, each of which can only be one of those named here.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors.redact import scrub
from annpipe.files.descriptors import stand_in

GIT_SECONDS = 5.0
POINTER_BYTES = 4096  # of HEAD, and of a file `.git` or `commondir` that names another folder
CONFIG_BYTES = 2**20
INDEX_BYTES = 2**28
ANSWER_BYTES = 2**20
MEMORY_BYTES = 2**32  # of a git process, where the system can hold one to it

_BOOLEANS = ("true", "false", "yes", "no", "on", "off", "1", "0")
# How the files of this work tree are compared with the index, and how its objects are written. No word names a program.
_TAKEN_OVER: Mapping[str, tuple[str, ...]] = {
    "core.repositoryformatversion": ("0", "1"),
    "core.filemode": _BOOLEANS,
    "core.symlinks": _BOOLEANS,
    "core.ignorecase": _BOOLEANS,
    "core.trustctime": _BOOLEANS,
    "core.checkstat": ("default", "minimal"),
    "core.autocrlf": (*_BOOLEANS, "input"),
    "core.eol": ("lf", "crlf", "native"),
    "extensions.objectformat": ("sha1", "sha256"),
    "extensions.refstorage": ("files", "reftable"),
}
# Few windows of large packs are open at once, so that the limit of memory does not hit large repositories.
_OWN_CONFIG = {"core.packedgitwindowsize": "32m", "core.packedgitlimit": "512m"}
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",  # asking for the status must not disturb somebody's rebase in the same repository
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


@dataclass(frozen=True)
class _Repository:
    """Where the parts of a repository lie: `work_tree` is None for a bare one, `common` is shared by its work trees."""

    work_tree: Path | None
    private: Path
    common: Path


def git_tags(folder: Path) -> dict[str, str]:
    """Commit, branch, remote (without credentials) and dirtiness of the repository that `folder` is in, if any.

    Runs nothing that the repository configures. What cannot be told, in time and in bounds, is left out.
    """
    with suppress(OSError, ValueError):  # an unreadable folder, or a name with NUL in it
        repository = _repository(folder.resolve())
        if repository is not None:
            with tempfile.TemporaryDirectory(prefix="annpipe-git-") as scratch:
                return dict(_tags(repository, Path(scratch)))
    return {}


def without_user(url: str) -> str:
    """A repository's address without user and password.

    >>> without_user("https://ann:token@example.org/a.git")
    'https://example.org/a.git'
    """
    return scrub(url).replace("***@", "")


def _tags(repository: _Repository, scratch: Path) -> Iterator[tuple[str, str]]:
    config = _config(repository, scratch)
    environment = _stand_in(repository, config, scratch)
    commit = _git(scratch, environment, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return
    yield "mlflow.source.git.commit", commit
    if branch := _git(scratch, environment, "symbolic-ref", "--quiet", "--short", "HEAD"):
        yield "mlflow.source.git.branch", branch
    if remote := config.get("remote.origin.url"):
        yield "mlflow.source.git.repoURL", without_user(remote)
    if repository.work_tree is not None and _is_regular(repository.private / "index", INDEX_BYTES):
        # The commit of a submodule counts, what lies in it does not: a git of its own would obey its configuration.
        status = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames")
        changes = _git(scratch, environment, *status)
        if changes is not None:
            yield "annpipe.git.dirty", "true" if changes else "false"


def _repository(folder: Path) -> _Repository | None:
    """The repository that `folder` is in, looked for from it upwards."""
    for above in (folder, *folder.parents):
        entry = above / ".git"
        if entry.is_dir():
            return _parts(above, entry)
        if _is_regular(entry, POINTER_BYTES):  # of a linked work tree or a submodule
            pointer = entry.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("gitdir:").strip()
            return _parts(above, above / pointer)
        if all((above / name).exists() for name in ("HEAD", "objects", "refs")):
            return _parts(None, above)
    return None


def _parts(work_tree: Path | None, private: Path) -> _Repository:
    common = private
    if _is_regular(private / "commondir", POINTER_BYTES):
        common = private / (private / "commondir").read_text(encoding="utf-8", errors="surrogateescape").strip()
    return _Repository(work_tree, private.resolve(), common.resolve())


def _config(repository: _Repository, scratch: Path) -> dict[str, str]:
    """The repository's configuration as data: without what it includes, and without anything that obeys it."""
    file = repository.common / "config"
    if not _is_regular(file, CONFIG_BYTES):
        return {}
    nowhere = {"GIT_DIR": str(scratch / "none"), **_clean_environment(scratch)}
    listed = _git(scratch, nowhere, "config", "--file", str(file), "--no-includes", "--null", "--list") or ""
    entries = (entry.partition("\n") for entry in listed.split("\0"))
    # Keys are in lower case but for the names in the middle; of several values the last one counts.
    return {key: value for key, _, value in entries if key}


def _stand_in(repository: _Repository, config: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Makes a repository with a configuration of annpipe's in `scratch`; gives the environment in which git sees it."""
    home = scratch / "repository"
    home.mkdir()
    for folder, names in (
        (repository.common, ("objects", "refs", "packed-refs", "reftable")),
        (repository.private, ("index",)),
    ):
        for name in names:
            if (folder / name).exists():
                stand_in(home / name, folder / name)
    for shared in list(repository.private.glob("sharedindex.*"))[:8]:  # the larger part of an index that is split
        stand_in(home / shared.name, shared)
    if _is_regular(repository.private / "HEAD", POINTER_BYTES):
        (home / "HEAD").write_bytes((repository.private / "HEAD").read_bytes())
    taken = {key: config[key].lower() for key, words in _TAKEN_OVER.items() if config.get(key, "").lower() in words}
    lines = [f"[{key.partition('.')[0]}]\n\t{key.partition('.')[2]} = {value}" for key, value in taken.items()]
    lines += [f"[core]\n\t{key.partition('.')[2]} = {value}" for key, value in _OWN_CONFIG.items()]
    (home / "config").write_text("\n".join([*lines, "[core]\n\tbare = false\n"]), encoding="ascii", newline="\n")
    environment = _clean_environment(scratch) | {"GIT_DIR": str(home)}
    return environment | ({"GIT_WORK_TREE": str(repository.work_tree)} if repository.work_tree is not None else {})


def _clean_environment(scratch: Path) -> dict[str, str]:
    """The environment without anything of git's, and with a home that has no configuration."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "LC_"))}
    return {**kept, "HOME": str(scratch), "XDG_CONFIG_HOME": str(scratch), **_ENVIRONMENT}


def _is_regular(path: Path, most_bytes: int) -> bool:
    """Whether there is a file, no device or pipe that would never end, of no more than so many bytes."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes


def _git(scratch: Path, environment: Mapping[str, str], *arguments: str) -> str | None:
    """What git prints, of a long text the beginning; None when there is no git, no answer or none in time."""
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            cwd=scratch,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    _limit_memory(process.pid)
    timer = threading.Timer(GIT_SECONDS, process.kill)
    timer.start()
    assert process.stdout is not None
    try:
        printed = process.stdout.read(ANSWER_BYTES)
        is_cut = len(printed) == ANSWER_BYTES
        if is_cut:
            process.kill()
        code = process.wait()
    finally:
        timer.cancel()
        process.stdout.close()
    return printed.decode("utf-8", "replace").strip() if code == 0 or is_cut else None


def _limit_memory(pid: int) -> None:
    """A damaged or hostile pack may declare any size."""
    if sys.platform == "linux":
        import resource

        with suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
