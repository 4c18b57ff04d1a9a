"""No credential is stored, logged or printed: a canary goes in wherever a URI may stand, and comes out nowhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from annpipe.errors import Place, Problem, StoreError
from annpipe.errors.redact import scrub, scrub_marked
from annpipe.errors.render import render
from annpipe.record.journal import location
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.source import spec_copy
from annpipe.record.journal.state import read_state
from annpipe.record.shipper import follow
from annpipe.record.store.ui import serve
from tests.sampling import sample

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

Cli = Callable[..., subprocess.CompletedProcess[str]]

CANARY = "CANARY-5ab7"
DEAD = f"http://ann:{CANARY}@127.0.0.1:9/?token={CANARY}"
SPEC = """
version: 1
name: canary
description: see DESCRIPTION
tags: {wiki: TAG}
device: {type: cpu, threads: 1}
data: {formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 2}
tracking: {wait_seconds: 0.1, uri: 'URI'}
"""


def written(project: Path, uri: str, spec: str = SPEC) -> Path:
    """A spec with the canary in every text of it."""
    page = f"https://ann:{CANARY}@wiki.example.org/a?sig={CANARY}"
    text = spec.replace("DESCRIPTION", page).replace("TAG", page).replace("URI", uri)
    (project / "spec.yaml").write_text(text, encoding="utf-8")
    return project / "spec.yaml"


@pytest.fixture
def place(tmp_path: Path, empty_store: Path) -> Iterator[Path]:
    """A project that is a git repository with credentials in its remote; its shippers are ended with the test."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(empty_store, project / "mlflow.db")
    remote = f"https://ann:{CANARY}@git.example.org/a.git?private_token={CANARY}"
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    author = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
    for words in (("init", "-q"), ("remote", "add", "origin", remote)):
        subprocess.run(["git", *words], cwd=project, env=quiet, check=True)
    subprocess.run(["git", *author, "commit", "-qm", "a", "--allow-empty"], cwd=project, env=quiet, check=True)
    yield project
    for pid in shippers(project):
        os.kill(pid, signal.SIGKILL)


def shippers(project: Path) -> list[int]:
    """The process ids of the shippers that work in the project."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_one = b"annpipe.record.shipper" in (process / "cmdline").read_bytes()
            if is_one and (process / "cwd").resolve() == project.resolve():
                found.append(int(process.name))
        except OSError:  # it ended meanwhile, or is not ours
            continue
    return found


def hold_no_canary(project: Path, *printed: subprocess.CompletedProcess[str]) -> None:
    """Every file but the spec and git's own, and all that was printed."""
    for done in printed:
        assert CANARY not in done.stdout + done.stderr, done.args
    files = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts]
    leaks = [path for path in files if CANARY.encode() in path.read_bytes() and path != project / "spec.yaml"]
    assert not leaks
    assert files


def until_tried(folder: Path) -> str:
    """The problem that the shipper notes once it has knocked at the dead server."""
    deadline = time.monotonic() + 300
    while not (problem := read_state(folder).problem):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("in_spec", "words", "environment"),
    sample(
        [
            pytest.param(DEAD, [], {}, id="spec"),
            pytest.param("http://127.0.0.1:9", ["--tracking-uri", DEAD], {}, id="flag"),
            pytest.param("http://127.0.0.1:9", [], {"MLFLOW_TRACKING_URI": DEAD}, id="environment"),
            pytest.param("http://127.0.0.1:9", ["--set", f"tracking.uri={DEAD}"], {}, id="set"),
        ],
        3,
        first=2,
    ),
)
def test_a_store_that_is_away_leaves_no_canary(
    in_spec: str, words: list[str], environment: dict[str, str], place: Path, annpipe: Cli
) -> None:
    """The run finishes; journal, state, logs, copies and all output are clean."""
    written(place, in_spec)
    done = annpipe("run", "spec.yaml", *words, cwd=place, **environment)
    assert done.returncode == 0, done.stderr
    [folder] = run_folders(place)
    assert "127.0.0.1" in until_tried(folder)
    assert (folder / "shipper.log").stat().st_size
    hold_no_canary(place, done, annpipe("runs", cwd=place), annpipe("runs", "--json", cwd=place))


@pytest.mark.slow
def test_a_real_store_holds_no_canary(place: Path, annpipe: Cli) -> None:
    """Tags, note, params, commit and artifacts arrive in SQLite without it; the rest of each address is kept."""
    written(place, "sqlite:///mlflow.db", SPEC.replace("wait_seconds: 0.1", "wait_seconds: 60"))
    done = annpipe("run", "spec.yaml", "--json", cwd=place)
    assert json.loads(done.stdout)["recorded"], done.stderr
    hold_no_canary(place, done)
    store = (place / "mlflow.db").read_bytes()
    assert b"https://***@wiki.example.org/a?sig=***" in store
    assert b"https://git.example.org/a.git?private_token=***" in store
    copies = list((place / "mlartifacts").rglob("spec.yaml"))
    assert len(copies) == 1


@pytest.mark.slow
def test_a_server_with_a_password_gets_the_run_and_nobody_sees_it(place: Path, annpipe: Cli) -> None:
    """MLflow prints a run's address when it ends: not here. A second sync knows the store again."""
    written(place, DEAD)
    annpipe("run", "spec.yaml", cwd=place)
    [folder] = run_folders(place)
    until_tried(folder)
    for pid in shippers(place):
        os.kill(pid, signal.SIGKILL)
    server_home = place.parent / "server"
    server_home.mkdir()
    shutil.copy(place / "mlflow.db", server_home / "mlflow.db")
    with serve(location.embedded_uri(server_home), server_home, None) as server:
        uri = server.address.replace("http://", f"http://ann:{CANARY}@")
        first = annpipe("sync", "--tracking-uri", uri, cwd=place)
        again = annpipe("sync", "--tracking-uri", uri, cwd=place)
    assert "as MLflow run" in first.stdout
    assert "complete already" in again.stdout
    hold_no_canary(place, first, again)
    hold_no_canary(server_home)


@pytest.mark.parametrize(
    "words", sample([["plan"], ["plan", "--yaml"], ["plan", "--json"], ["run", "--dry-run"]], 4, first=1)
)
def test_the_plan_shows_no_canary(words: list[str], place: Path, annpipe: Cli) -> None:
    """Whatever form it is shown in."""
    written(place, DEAD)
    done = annpipe(*words, "spec.yaml", cwd=place)
    assert done.returncode == 0, done.stderr
    hold_no_canary(place, done)
    if len(words) == 2 and words[0] == "plan":
        assert "http://***@127.0.0.1:9/?token=***" in done.stdout


def test_an_error_on_the_line_of_the_uri_shows_no_canary(place: Path, annpipe: Cli) -> None:
    """The excerpt has the line, the carets stand right, and what was found is shown without its secret."""
    written(place, DEAD, SPEC.replace("'URI'}", "'URI', experimentt: a}"))
    unknown = annpipe("validate", "spec.yaml", cwd=place)
    assert unknown.returncode == 3
    lines = unknown.stderr.splitlines()
    excerpt = next(number for number, line in enumerate(lines) if "***@127.0.0.1:9/?token=***" in line)
    assert lines[excerpt].index("experimentt") == lines[excerpt + 1].index("^^^^^^^^^^^")
    hold_no_canary(place, unknown)


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "wrong.yaml"],
        ["validate", "wrong.yaml", "--format", "json"],
        ["validate", "wrong.yaml", "--format", "github"],
        ["run", "spec.yaml", "--set", f"train.epochs={DEAD}"],
        ["validate", "spec.yaml", "--format", "json", "--set", f"train.epochs={DEAD}"],
        ["run", "spec.yaml", "--set", DEAD],
        ["run", "spec.yaml", "--set", f"train.epochs=http://ann:{CANARY}{'x' * 40}@host"],
        ["plan", "spec.yaml", "--device", DEAD],
        ["run", DEAD],
        ["list", DEAD],
    ],
    ids=lambda words: " ".join(words).replace(CANARY, "PASSWORD"),
)
def test_no_error_repeats_the_canary(words: list[str], place: Path, annpipe: Cli) -> None:
    """A URI where none belongs is a mistake; its message does not give the secret away."""
    written(place, DEAD)
    text = (place / "spec.yaml").read_text(encoding="utf-8").replace("MSELoss", f"'{DEAD}'").replace("0.01", DEAD)
    (place / "wrong.yaml").write_text(text, encoding="utf-8")
    done = annpipe(*words, cwd=place)
    (place / "wrong.yaml").unlink()
    assert done.returncode in (2, 3), done.stderr
    hold_no_canary(place, done)


def test_the_run_knows_its_password_from_the_spec_or_the_environment(
    begin: Callable[..., follow.Shipped], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record keeps none: who ships later finds it where the user wrote it, for this very store."""
    spec = written(tmp_path, DEAD)
    run = begin(tracking_uri=scrub(DEAD), tags={"mlflow.source.name": str(spec)})
    assert follow.store_of(run.folder) == DEAD
    written(tmp_path, DEAD.replace("127.0.0.1", "127.0.0.2"))
    assert follow.store_of(run.folder) == scrub(DEAD)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    assert follow.store_of(run.folder) == DEAD


@pytest.mark.slow
def test_who_ships_without_the_password_is_told_how_to_give_it(place: Path, annpipe: Cli) -> None:
    """The spec has changed, the environment is empty: one line says what to do, at once."""
    written(place, DEAD)
    annpipe("run", "spec.yaml", cwd=place)
    [folder] = run_folders(place)
    until_tried(folder)
    for pid in shippers(place):
        os.kill(pid, signal.SIGKILL)
    written(place, "http://127.0.0.1:9")
    done = annpipe("sync", folder.name, cwd=place)
    assert done.returncode == StoreError.exit_code
    assert "needs its credentials, which no record keeps: `annpipe sync --tracking-uri URI` gives them" in done.stderr
    hold_no_canary(place, done)


def test_an_address_from_a_record_is_no_address(tmp_path: Path) -> None:
    """A plan.yaml run as a spec has *** for credentials: that is said before anything starts."""
    with pytest.raises(StoreError, match="write the whole address"):
        location.resolve_tracking_uri(None, tmp_path, scrub(DEAD))


@pytest.mark.parametrize(
    "value",
    [
        f'"http:\\x2f\\x2fann:{CANARY}@host"',
        f'"http:\\/\\/ann:{CANARY}@host"',
        f'"http://ann:{CANARY[:4]}\\\n    {CANARY[4:]}@host"',
        f"'http://ann:it''s-{CANARY}@host'",
        f">-\n    http://ann:{CANARY}@host\n",
        f"|\n    see\n    http://ann:{CANARY}@host\n",
        f"['http://host?x=1&api_key={CANARY}', {{a: 'http://host?token={CANARY}'}}]",
    ],
)
def test_the_copy_of_a_spec_is_clean_however_the_uri_is_written(value: str, tmp_path: Path) -> None:
    """Escaped, folded, quoted or nested; the copy stays YAML, the rest of it as it was."""
    import yaml

    spec = tmp_path / "spec.yaml"
    spec.write_text(f"# 한국어 http://ann:{CANARY}@host\nname: 이름\na: {value}\nb: [1, 'x']\n", encoding="utf-8")
    copy = spec_copy(spec, None)
    known = yaml.safe_load(copy)
    assert CANARY not in copy
    assert CANARY not in json.dumps(known)
    assert (known["name"], known["b"]) == ("이름", [1, "x"])
    assert "***" in json.dumps(known["a"])


def test_a_password_put_together_from_variables_is_not_copied(tmp_path: Path) -> None:
    """It is a word like any other in the spec; the run's own address tells which."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"variables: {{word: {CANARY}, other: kept}}\nuri: http://ann:${{word}}@host\n", encoding="utf-8")
    copy = spec_copy(spec, f"http://ann:{CANARY}@host")
    assert CANARY not in copy
    assert "other: kept" in copy


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:p@ss@db/x", "postgresql://***@db/x"),
        ("postgresql://ann:p/a?s#s@db/x", "postgresql://***@db/x"),
        ("http://host:5000/users/@ann", "http://host:5000/users/@ann"),
        ("http://[::1]:5000/@ann", "http://[::1]:5000/@ann"),
        ("there is no file 'http:/ann:pw@host'", "there is no file 'http:/***@host'"),
        ("C:/users/ann@home:/a:/b", "C:/users/ann@home:/a:/b"),
        ("ann@example.org and s3://bucket/key", "ann@example.org and s3://bucket/key"),
        ("url: /api?x=1&X-Amz-Signature=a%2Fb&page=2", "url: /api?x=1&X-Amz-Signature=***&page=2"),
        ("(see http://host?token=abc)", "(see http://host?token=***)"),
        ("['http://host?token=a,b', 1]", "['http://host?token=***', 1]"),
        ("http://host?design=x&monkeys=2", "http://host?design=x&monkeys=***"),
        ("http://host?auth=abc&x=1", "http://host?auth=***&x=1"),
        ("http://host?pat=abc&jwt=a.b.c&session_id=7", "http://host?pat=***&jwt=***&session_id=***"),
        ("http://host?author=ann&path=a&pattern=b", "http://host?author=ann&path=a&pattern=b"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic YWJj'}", "{'Authorization': 'Basic ***'}"),
        ("proxy-authorization=abc123", "proxy-authorization=***"),
        ("authorization: see the docs", "authorization: see the docs"),
        ("sent with bearer eyJh.eyJ1", "sent with bearer ***"),
        ("a bearer of good news", "a bearer of good news"),
        ("host=db user=ann password=a1 dbname=x", "host=db user=ann password=*** dbname=x"),
        ("host=db password='it\\'s a' dbname=x", "host=db password='***' dbname=x"),
        ("Driver={ODBC};UID=ann;PWD=a1", "Driver={ODBC};UID=ann;PWD=***"),
        ("Password={a;b};Database=x", "Password={***};Database=x"),
    ],
)
def test_only_what_is_secret_is_hidden(text: str, shown: str) -> None:
    """Passwords with careless characters are; ports, paths and mail addresses are not; twice is as once."""
    assert scrub(text) == shown
    assert scrub(shown) == shown


def test_carets_move_with_what_was_hidden(tmp_path: Path) -> None:
    """Behind a secret they move, inside one they cover what stands in its place, before one they stay."""
    line = f"a: http://ann:{CANARY}@한국/?token={CANARY} # end"
    for word in ("a", "한국", "end"):
        start = line.index(word)
        shown, begin, end = scrub_marked(line, start, start + len(word))
        assert shown[begin:end] == word
    start = line.index(CANARY)
    shown, begin, end = scrub_marked(line, start, start + 3)
    assert shown[begin:end] == "***"
    (tmp_path / "s.yaml").write_text(line, encoding="utf-8")
    place = Place(str(tmp_path / "s.yaml"), 1, line.index("한국") + 1, 2)
    drawn = render(Problem("wrong-value", "no", place)).splitlines()
    assert drawn[-1] == "  │ " + " " * len("a: http://***@") + "^^^^"


LONG = ["password='" * 10_000, "password='" + "\\" * 20_000, "authorization:" * 8_000, "bearer " * 16_000]


@pytest.mark.parametrize(
    "text", ["://a" * 20_000, "?key" * 20_000, "a://b:" * 20_000, "?token=" + "'," * 50_000, *LONG]
)
def test_no_text_takes_long(text: str) -> None:
    """The patterns do not run away, whatever an error message or a spec holds."""
    began = time.process_time()
    scrub(text)
    assert time.process_time() - began < 2
