"""A run folder is believed as far as the user made it: code, stores and paths of a stranger's are not obeyed."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import shutil
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import annpipe
from annpipe.cli import outcome
from annpipe.errors import StoreError
from annpipe.record.journal import seal as seals
from annpipe.record.journal.events import RunBegun, TrialEnded
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.location import embedded_uri
from annpipe.record.journal.project import new_run_folder, spec_file
from annpipe.record.journal.seal import MODEL, PLAN, is_own, seal
from annpipe.record.journal.state import Shipped, write_state
from annpipe.record.shipper.follow import store_of
from tests.conftest import unrecorded

SPEC = """
version: 1
name: guest
plugins: [./layers.py]
device: {type: cpu, threads: 1}
data: {csv: {files: rows.csv, target: y}}
model: [Loud, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 2}
"""
LAYERS = """
from pathlib import Path
import torch
from annpipe import layer

if Path("MARK").parent.is_dir():
    with open("MARK", "a") as mark:
        mark.write("run")


@layer
class Loud(torch.nn.Module):
    \"\"\"Gives what it gets.\"\"\"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x
"""
Typed = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished run whose plugin, and so its model, leaves a mark wherever it is imported."""
    project = tmp_path_factory.mktemp("made")
    (project / "rows.csv").write_text("x,y\n" + "".join(f"{n / 10},{n / 5}\n" for n in range(20)))
    (project / "layers.py").write_text(LAYERS.replace("MARK", str(project / "marks" / "mark")))
    (project / "spec.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch, unrecorded():
        patch.chdir(project)
        assert annpipe.run(project / "spec.yaml").status == "FINISHED"
    (project / "marks").mkdir()
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the user now works; whoever made it had the same key."""
    copy = tmp_path / "project"
    shutil.copytree(made, copy)
    shutil.rmtree(made / "marks")
    (made / "marks").mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return copy


@pytest.fixture
def stranger(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, made by somebody else: the user's key is another one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another home"))
    return project


def run_of(project: Path) -> Path:
    [folder] = (project / "runs").iterdir()
    return folder


def marks(made: Path) -> int:
    mark = made / "marks" / "mark"
    return len(mark.read_text()) // 3 if mark.exists() else 0


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Runs `annpipe …` where the test stands: exit code and all that was printed."""

    def call(*words: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["annpipe", *map(str, words)])
        capfd.readouterr()
        with unrecorded():
            code = outcome()
        printed = capfd.readouterr()
        return code, printed.out + printed.err

    return call


def interrupted(folder: Path) -> None:
    """Takes the end out of the journal: the run can be resumed."""
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(line for line in lines if '"event":"end"' not in line))


@pytest.mark.parametrize("words", [["predict", "RUN", "rows.csv"], ["evaluate", "RUN", "rows.csv"], ["resume", "RUN"]])
def test_the_code_of_a_stranger_is_run_when_it_is_trusted_and_from_then_on(
    words: list[str], stranger: Path, made: Path, typed: Typed
) -> None:
    """A wrong usage without --trust; with it the command works, and later without it."""
    folder = run_of(stranger)
    interrupted(folder)
    words = [folder.name if word == "RUN" else word for word in words]
    code, said = typed(*words)
    assert code == 2, said
    assert "is not known as one that you made" in said
    assert "--trust, once" in said
    assert marks(made) == 0
    code, said = typed(*words, "--trust")
    assert code == 0 or "resume" in words, said
    assert marks(made) > 0 or "resume" in words, "a plugin file is imported once in a process"
    before = marks(made)
    code, said = typed(*words)
    assert "is not known" not in said
    assert marks(made) > before or "is finished" in said


def test_runs_of_an_earlier_annpipe_need_trust_once(project: Path, typed: Typed) -> None:
    """They have no seal, whoever made them."""
    folder = run_of(project)
    (folder / "seal.jsonl").unlink()
    code, said = typed("predict", folder.name, "rows.csv")
    assert (code, "it was made elsewhere, or by an earlier annpipe" in said) == (2, True)
    assert typed("resume", folder.name, "--trust") == (0, f"{folder.name} is finished: nothing is left to do\n")
    assert typed("predict", folder.name, "rows.csv")[0] == 0
    assert is_own(folder)
    assert is_own(folder, MODEL)


def planted(folder: Path) -> str:
    """A compiled network.py that Python would take for that of the source."""
    source = folder / "model" / "network.py"
    found = source.stat()
    code = compile(
        f"__import__('pathlib').Path({str(folder.parent.parent / 'planted')!r}).touch()\n" + source.read_text(),
        "x",
        "exec",
    )
    place = Path(importlib.util.cache_from_source(str(source)))
    place.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(found.st_mtime), found.st_size)
    place.write_bytes(head + marshal.dumps(code))
    return ""


def rewritten(name: str, text: str) -> Callable[[Path], str]:
    def change(folder: Path) -> str:
        path = folder / name
        path.write_text((path.read_text() if path.exists() else "") + text)
        return name

    return change


def first_line(folder: Path) -> str:
    journal = folder / "journal.jsonl"
    first, _, rest = journal.read_text().partition("\n")
    event = json.loads(first)
    del event["crc"]  # as an earlier version wrote it
    event["tags"]["annpipe.spec"] = "/tmp/x/spec.yaml"
    journal.write_text(json.dumps(event, separators=(",", ":")) + "\n" + rest)
    return "the first line of its journal"


def copied_seal(folder: Path) -> str:
    other = new_run_folder(folder.parent.parent, "other")
    journal = Journal.create(other)
    journal.write(RunBegun(id=other.name, tags={}))
    journal.close()
    seal(other)
    shutil.copy(other / "seal.jsonl", folder / "seal.jsonl")
    shutil.rmtree(other)
    return "the first line of its journal"


def edited_seal(folder: Path) -> str:
    path = folder / "seal.jsonl"
    path.write_text(path.read_text().replace('"files": {', '"files": {"model/x.py": "1", '))
    return "its seal is not yours"


def linked_package(folder: Path) -> str:
    """A folder elsewhere in the run, which Python takes before the file of its name."""
    (folder / "more").mkdir()
    (folder / "more" / "__init__.py").write_text("raise SystemExit('planted')")
    (folder / "model" / "columns_model").symlink_to("../more")
    return "model/columns_model"


@pytest.mark.parametrize(
    "change",
    [
        linked_package,
        rewritten("plan.yaml", "\n# more\n"),
        rewritten("model/network.py", "\n"),
        rewritten("model/json.py", "\n"),
        rewritten("model/model.json", " "),
        first_line,
        copied_seal,
        edited_seal,
    ],
)
def test_what_was_changed_in_a_sealed_folder_is_not_run(
    change: Callable[[Path], str], project: Path, made: Path, typed: Typed
) -> None:
    """One that the user gave away comes back with other code: its seal no longer fits."""
    folder = run_of(project)
    what = change(folder)
    code, said = typed("evaluate", folder.name, "rows.csv")
    assert code == 2, said
    assert what in said
    assert marks(made) == 0 or what == "plan.yaml"  # the model was its own


def test_compiled_files_beside_a_model_are_not_read(project: Path, typed: Typed) -> None:
    """Python would run them in the place of the sources that are sealed."""
    folder = run_of(project)
    planted(folder)
    spec = importlib.util.spec_from_file_location("network", folder / "model" / "network.py")
    assert spec is not None
    assert spec.loader is not None
    code = spec.loader.get_code("network")  # type: ignore[attr-defined]  # the loader of sources
    assert str(project / "planted") in code.co_consts, "Python itself would take it"
    assert typed("predict", folder.name, "rows.csv")[0] == 0
    assert not (project / "planted").exists()


LINKS = ["shipper.log", "shipped.json.new", "artifacts/history", "checkpoints", "plan.yaml", "model/model.json"]


@pytest.mark.parametrize("name", [*LINKS, "pipe"])
@pytest.mark.parametrize("command", ["sync", "resume", "predict", "evaluate", "compare"])
def test_no_link_leads_out_of_a_run_folder(
    command: str, name: str, project: Path, tmp_path: Path, typed: Typed
) -> None:
    """Neither what is read nor what is written goes through one, sealed or trusted or not; a pipe is no file."""
    folder, secret = run_of(project), tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("private")
    place = folder / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    if name == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(secret if "." not in name else secret / "file")
    more = {"predict": ["rows.csv"], "evaluate": ["rows.csv"], "compare": [folder.name]}.get(command, [])
    code, said = typed(command, folder.name, *more, *(["--trust"] if command in ("resume", "predict") else []))
    assert code == 3, said
    assert ("leads out of its folder" if name != "pipe" else "neither a file nor a folder") in said
    assert [path.name for path in secret.iterdir()] == ["file"]
    assert (secret / "file").read_text() == "private"


def test_a_link_within_the_folder_is_its_own(project: Path, typed: Typed) -> None:
    """Nothing leaves by it."""
    folder = run_of(project)
    (folder / "again").symlink_to("journal.jsonl")
    assert typed("compare", folder.name, folder.name)[0] == 2  # one run is not two, and no fault of the folder
    assert typed("predict", folder.name, "rows.csv")[0] == 0


def test_the_store_of_a_stranger_is_used_when_it_is_said(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's own, a flag and the environment may be meant; the journal and the state of another may not."""
    folder, elsewhere = run_of(stranger), "http://attacker.example.org"
    journal = folder / "journal.jsonl"
    own = embedded_uri(stranger)
    first, _, rest = journal.read_text().partition("\n")
    event = {key: value for key, value in json.loads(first).items() if key != "crc"} | {"tracking_uri": elsewhere}
    journal.write_text(json.dumps(event) + "\n" + rest)
    with pytest.raises(StoreError, match=r"attacker.*give --tracking-uri"):
        store_of(folder)
    assert store_of(folder, elsewhere) == elsewhere
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    assert store_of(folder) == elsewhere
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    write_state(folder, Shipped(store=own, run_id="1"))
    assert store_of(folder) == own
    (folder / "shipped.json").unlink()
    write_state(folder, Shipped(store=elsewhere + "/other", run_id="1"))
    seals.trust(folder)
    with pytest.raises(StoreError, match="attacker"):
        store_of(folder)  # trusted is what the journal says, not what lies beside it
    seals.seal_store(folder, elsewhere + "/other")
    assert store_of(folder) == elsewhere + "/other"


def test_a_moved_project_goes_on(project: Path, tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Specs, stores and models are found where they are now, and the seal still fits."""
    folder = run_of(project)
    assert is_own(folder, MODEL)
    assert store_of(folder) == embedded_uri(project)
    assert spec_file(folder) == project / "spec.yaml"
    project.rename(tmp_path / "moved")
    folder = run_of(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert is_own(folder, PLAN)
    assert store_of(folder) == embedded_uri(tmp_path / "moved")
    assert spec_file(folder) == tmp_path / "moved" / "spec.yaml"


def test_a_folder_carries_the_seals_of_several_users(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who share a project each trust the run once."""
    folder = run_of(project)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "another home"))
        assert not is_own(folder)
        seal(folder)
        assert is_own(folder)
    assert is_own(folder)


def test_many_that_come_at_once_share_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key appears whole, once, and for its owner alone; without a place for it nothing fails."""
    for turn in range(20):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / str(turn)))
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(lambda _: seals._key(make=True), range(8)))
        assert len(set(keys)) == 1
        assert keys[0] is not None
        assert [path.name for path in seals.state_folder().iterdir()] == ["key"]
        assert (seals.state_folder() / "key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert seals._key(make=True) is None


def test_a_sweep_takes_no_run_of_a_stranger_for_its_trial(
    project: Path, tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers are claims: the trial is trained, and the sweep says why."""
    words = ["sweep", "spec.yaml", "--over", "optimizer.SGD.lr=0.03,0.04"]
    assert typed(*words)[0] == 0
    code, said = typed(*words)
    assert (code, said.count("(made before)")) == (0, 2)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another home"))
    code, said = typed(*words)
    assert (code, said.count("(made before)")) == (0, 0)
    assert said.count("could be one of the trials, but is not known as a run that you made") == 2


def test_a_journal_leads_to_no_file_outside(stranger: Path, tmp_path: Path, typed: Typed) -> None:
    """A sweep of a stranger names as trials what is none, and its best spec is a link to a private file."""
    for number, name in enumerate(("../..", "/tmp", "a/b")):
        folder = new_run_folder(stranger, "sweep")
        journal = Journal.create(folder)
        journal.write(RunBegun(id=folder.name, name="sweep", time=2 * 10**12 + number, tags={"annpipe.sweep": "true"}))
        journal.write(TrialEnded(run=name, time=0))
        journal.close()
        code, said = typed("compare", folder.name)
        assert (code, "is not the id of one" in said) == (3, True), said
    (tmp_path / "private").write_text("private")
    (folder / "best.yaml").symlink_to(tmp_path / "private")
    for words in (["best", folder.name], ["best", "--last"], ["compare", "--last", "2"]):
        code, said = typed(*words)
        assert code == 3, said
        assert "leads out of its folder" in said or "is not the id of one" in said


def test_without_a_place_for_a_key_trust_is_said_each_time(
    project: Path, tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that cannot be written costs no run; the message says what to set."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    folder = run_of(project)
    code, said = typed("predict", folder.name, "rows.csv")
    assert (code, "XDG_STATE_HOME may name a folder that can be written" in said) == (2, True)
    assert typed("evaluate", folder.name, "rows.csv", "--trust")[0] == 0
    assert typed("run", "spec.yaml")[0] == 0


def test_a_damaged_key_is_named_and_made_anew_when_it_is_deleted(
    project: Path, tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file, such as a power cut leaves."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key = seals.state_folder() / "key"
    key.parent.mkdir(parents=True)
    key.touch()
    code, said = typed("predict", run_of(project).name, "rows.csv")
    assert (code, f"the key that seals runs, {key}, is damaged or closed to you: delete it" in said) == (2, True)
    key.unlink()
    assert typed("predict", run_of(project).name, "rows.csv", "--trust")[0] == 0
    assert typed("predict", run_of(project).name, "rows.csv")[0] == 0


def test_a_torn_line_of_the_seal_costs_nothing(project: Path) -> None:
    """The line before it counts, and the next one begins anew."""
    folder = run_of(project)
    with open(folder / "seal.jsonl", "a") as file:
        file.write('{"key": "')
    assert is_own(folder, MODEL)
    seal(folder)
    assert is_own(folder, MODEL)
