"""The seal of a run folder: by it annpipe knows the runs that it made for this user on this machine.

A run folder holds what is run as code: plan.yaml names plugin files, and the model's folder has network.py and copies
of plugin files. It also names the store that it is shipped to. So each run that annpipe begins gets a file seal.jsonl:
digests of those files, the facts that say where things go, and a message authentication code (HMAC-SHA256) of both
under a random key that lies in the user's state folder and in no project. An archive that somebody sends has no valid
seal: whoever made it has not the key, and what was changed in a folder of the user's own no longer fits it.

The last line of the file that a key has sealed counts; a folder may carry the seals of several users. It may be moved,
alone or with its project: no path of its own is sealed as its identity.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from annpipe.errors import NotTrusted
from annpipe.files.descriptors import open_descriptor, place_new
from annpipe.files.private import PRIVATE_FILE, private_folder
from annpipe.record.journal import journal
from annpipe.record.journal.inside import check_inside, is_file
from annpipe.record.journal.location import scrub

FILE = "seal.jsonl"
PLAN = "plan.yaml"
MODEL = "model"
WEIGHTS = ".safetensors"
COMPILED = "__pycache__"
_KEY_BYTES = 32
_TAGS = ("annpipe.spec", "mlflow.source.name")


@dataclass(frozen=True)
class Seal:
    """What is sealed of a run: its project's folder when it was made, facts of its first event, digests by file, and
    the stores that the user named for it later."""

    project: str
    facts: dict[str, str]
    files: dict[str, str]
    stores: tuple[str, ...] = ()


def seal(folder: Path) -> None:
    """Seals a run folder as it is now: its first event, its plan, and its model where it has one.

    A folder or a key that cannot be written costs the seal alone: the run then is one that has to be trusted by hand.
    """
    before = read_seal(folder)
    project, stores = (before.project, before.stores) if before else (str(_project(folder)), ())
    _write(folder, Seal(project, _facts(folder), _digests(folder, (PLAN, MODEL)), stores))


def seal_plan(folder: Path) -> None:
    """Seals the plan of a run as it is now, and leaves its model as it was sealed; without a seal nothing is done."""
    known = read_seal(folder)
    if known is not None:
        _write(folder, replace(known, files={**known.files, **_digests(folder, (PLAN,))}))


def seal_store(folder: Path, uri: str) -> None:
    """Adds a store that the user named on the command line to the seal of a run; without a seal nothing is done."""
    known = read_seal(folder)
    if known is not None and scrub(uri) not in known.stores:
        _write(folder, replace(known, stores=(*known.stores, scrub(uri))))


def trust(folder: Path) -> None:
    """Takes a run folder for one of the user's own from now on, as it is; raises BadRunFolder."""
    check_inside(folder)
    with suppress(FileNotFoundError):
        (folder / FILE).unlink()  # a seal that did not fit tells nothing
    seal(folder)


def check_own(folder: Path, part: str, *, trusted: bool = False) -> None:
    """Whether code in a run folder may be run: raises BadRunFolder, or NotTrusted where the user's seal is not on it.

    `part` is what is about to be run, PLAN or MODEL. With `trusted` the folder is sealed as it is.
    """
    check_inside(folder)
    if trusted:
        trust(folder)
        return
    why = _unlike(folder, part)
    if why is not None:
        runs = "its plan may name plugin files" if part == PLAN else "its model is Python code"
        raise NotTrusted(
            f"the run {folder.name} is not known as one that you made with annpipe here ({why}), and {runs}, which "
            f"would be run. Read {PLAN} and {MODEL}/*.py in {folder}; where you trust them, say --trust, once"
        )


def is_own(folder: Path, part: str = PLAN) -> bool:
    """Whether the user's seal is on that part of a run folder."""
    return _unlike(folder, part) is None


def read_seal(folder: Path) -> Seal | None:
    """The seal of the user's key, whose facts are those of the run; None where there is none that fits."""
    valid = _valid(folder)
    return valid if valid is not None and valid.facts == _facts(folder) else None


def _unlike(folder: Path, part: str) -> str | None:
    """In what a run folder is not as it was sealed; None where it is."""
    if _key(make=True) is None:
        key = f"{_where()}/key"
        if os.path.lexists(key):
            return f"the key that seals runs, {key}, is damaged or closed to you: delete it, and a new one is made"
        return f"no key for seals can be kept in {_where()}: XDG_STATE_HOME may name a folder that can be written"
    if not is_file(folder / FILE):
        return "it has no seal: it was made elsewhere, or by an earlier annpipe"
    valid = _valid(folder)
    if valid is None:
        return "its seal is not yours: it was made by somebody else, or on another machine"
    if valid.facts != _facts(folder):
        return "the first line of its journal is not the one that was sealed"
    now = _digests(folder, (part,))
    changed = [name for name, digest in now.items() if valid.files.get(name) != digest]
    return f"{changed[0]} is not the file that was sealed" if changed else None


def _valid(folder: Path) -> Seal | None:
    """The last line of the file that the user's key has sealed."""
    key = _key(make=False)
    if key is None or not is_file(folder / FILE):
        return None
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError:
        return None
    return next((read for line in reversed(lines) if (read := _read(line, key)) is not None), None)


def _read(line: bytes, key: bytes) -> Seal | None:
    try:
        data = json.loads(line)
        content = data["content"]
        if data["key"] != _key_name(key) or not hmac.compare_digest(str(data["hmac"]), _code(key, content)):
            return None
        return Seal(**{**content, "stores": tuple(content["stores"])})
    except (ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, content: Seal) -> None:
    """Appends a line: replacing a file makes the disk wait, and a kill in between would cost the seal."""
    with suppress(OSError):
        key = _key(make=True)
        if key is not None:
            data = json.loads(json.dumps(asdict(content)))
            line = json.dumps({"key": _key_name(key), "content": data, "hmac": _code(key, data)}) + "\n"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = open_descriptor(folder / FILE, flags, PRIVATE_FILE, follow_links=False)
            with open(descriptor, "ab", buffering=0) as file:
                file.write(b"\n" * bool(file.tell()) + line.encode())  # a torn line ends before this one begins


def _facts(folder: Path) -> dict[str, str]:
    """Whose run it is, where its record goes, and where its paths start, as its journal says first."""
    if not is_file(folder / journal.FILE):
        return {}
    first = journal.run_begun(folder)
    facts = {"id": first.id, "tracking_uri": first.tracking_uri, "parent": first.parent}
    return {name: str(fact) for name, fact in (facts | {tag: first.tags.get(tag) for tag in _TAGS}).items()}


def _digests(folder: Path, parts: Iterable[str]) -> dict[str, str]:
    """SHA-256 of what is run or obeyed: the plan, and every file of a model but its weights; of a link to a folder,
    through which Python would import what lies elsewhere, where it leads.

    What Python compiled of a model earlier is left out: nothing reads it (see `annpipe.saved.model`).
    """
    digests = {}
    for file in (file for part in parts for file in _files(folder / part)):
        name = file.relative_to(folder).as_posix()
        if file.is_dir():
            digests[name] = f"leads to {os.readlink(file)}"
            continue
        with open(file, "rb") as opened:
            digests[name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return digests


def _files(path: Path) -> list[Path]:
    """The file, or all files and all links to folders below a folder."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    paths = []
    for above, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name != COMPILED)
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        paths += [Path(above, name) for name in links]
        paths += [Path(above, name) for name in files if Path(name).suffix != WEIGHTS]
    return [path_below for path_below in sorted(paths) if path_below.is_dir() or path_below.is_file()]


def _project(folder: Path) -> Path:
    return folder.absolute().parent.parent.resolve()


def _code(key: bytes, content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key_name(key: bytes) -> str:
    """Tells keys apart without telling anything of them."""
    return hashlib.sha256(b"annpipe seal\0" + key).hexdigest()[:16]


def state_folder() -> Path:
    """Where annpipe keeps what it cannot make again: `$XDG_STATE_HOME/annpipe` or `~/.local/state/annpipe`."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "annpipe"


def _where() -> str:
    with suppress(RuntimeError):
        return str(state_folder())
    return "a home that is not there"


def _key(*, make: bool) -> bytes | None:
    """The user's key; with `make`, a new one where there is none. None where none can be read or kept."""
    try:
        file = state_folder() / "key"
        if not file.exists():
            if not make:
                return None
            _make_key(file)
        key = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: there is no home
        return None
    return key if len(key) == _KEY_BYTES else None


def _make_key(file: Path) -> None:
    """Writes a key; of several processes that come at once one writes, and its file appears whole."""
    private_folder(file.parent)
    descriptor, name = tempfile.mkstemp(dir=file.parent)
    try:
        with open(descriptor, "w", encoding="ascii", newline="\n") as opened:
            opened.write(secrets.token_hex(_KEY_BYTES))
            opened.flush()
            os.fsync(opened.fileno())  # a power cut would else leave an empty one under its name
        os.chmod(name, PRIVATE_FILE)
        place_new(Path(name), file)
    finally:
        os.unlink(name)
