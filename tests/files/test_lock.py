"""One process at a time makes what several may want to make first."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from annpipe.files import lock
from annpipe.files.lock import is_held, locked, sole, try_hold

COUNTS = """
    import sys
    from pathlib import Path
    from annpipe.files.lock import locked

    counter = Path(sys.argv[1])
    for _ in range(50):
        with locked(counter):
            number = int(counter.read_text()) if counter.exists() else 0
            counter.write_text("")  # whoever reads now finds no number
            counter.write_text(str(number + 1))
"""


def test_processes_at_one_file_wait_for_one_another(tmp_path: Path) -> None:
    """Four processes raise a number in a file, 50 times each, and none is lost."""
    counter = tmp_path / "counter"
    command = [sys.executable, "-c", textwrap.dedent(COUNTS), str(counter)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(300) for process in processes] == [0] * 4
    assert counter.read_text() == "200"


def test_a_lock_is_let_go_where_its_holder_was_killed(tmp_path: Path) -> None:
    """A process that dies inside hinders nobody, though its lock file stays."""
    holds = "import os, sys; from pathlib import Path; from annpipe.files.lock import locked\n"
    holds += "with locked(Path(sys.argv[1])): print('in', flush=True); os.kill(os.getpid(), 9)"
    dead = subprocess.run([sys.executable, "-c", holds, str(tmp_path / "made")], capture_output=True, timeout=300)
    assert (dead.stdout, dead.returncode) == (b"in\n", -9)
    assert (tmp_path / "made-lock").exists()
    with locked(tmp_path / "made", timeout_seconds=10):
        pass


def test_a_lock_that_another_holds_runs_into_its_time_limit(tmp_path: Path) -> None:
    """A second one does not get in, and says so after its time."""
    with locked(tmp_path / "made"), pytest.raises(TimeoutError), locked(tmp_path / "made", timeout_seconds=0.1):
        pytest.fail("two hold it at once")


def test_a_lock_where_no_file_can_be_is_an_error_of_the_system(tmp_path: Path) -> None:
    """Folders above are made; where one of them is a file, an OSError says so."""
    with locked(tmp_path / "deep" / "down" / "made"):
        assert (tmp_path / "deep" / "down" / "made-lock").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "made"):
        pass


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="it is Linux's")
def test_a_folder_that_takes_no_file_is_told_at_once() -> None:
    """Without a limit of time nobody would ever hear of it."""
    with pytest.raises(PermissionError, match="no file can be made there"), locked(Path("/proc/rows.db")):
        pass


HOLDS = """
import os, sys
from pathlib import Path
from annpipe.files import lock

if sys.argv[2] == "beside":
    lock.fcntl = None  # as on Windows
path = Path(sys.argv[1])
descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
let_go = lock.try_hold(path, descriptor)
print(let_go is not None, flush=True)
if input() == "let go":
    let_go()
    print("free", flush=True)
    input()
os.kill(os.getpid(), 9)
"""
EARLIER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
print(True, flush=True)
input()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("holder", "way", "ends"),
    [
        (HOLDS, "itself", "let go"),
        (HOLDS, "itself", "die"),
        (HOLDS, "beside", "let go"),
        (HOLDS, "beside", "die"),
        (EARLIER, "itself", "die"),
    ],
)
def test_a_file_is_held_by_one_process_while_it_lives(
    holder: str, way: str, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a lock on the file itself, as earlier versions have it; on Windows by one on a file beside it."""
    if way == "beside":
        monkeypatch.setattr(lock, "fcntl", None)
    path = tmp_path / "journal"
    assert not is_held(path)
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(path), way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert is_held(path)
        with sole(path) as is_sole:
            assert not is_sole
        process.stdin.write(f"{ends}\n")
        process.stdin.flush()
        if ends == "let go":
            assert process.stdout.readline() == "free\n"
        else:
            process.wait(300)
        with open(path, "rb") as file, sole(path) as is_sole:
            assert is_sole
            assert is_held(path)
            assert try_hold(path, file.fileno()) is None
        assert not is_held(path)
        process.kill()


def test_one_who_asks_whether_a_file_is_held_does_not_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the question itself takes the lock for a moment, another one who asks waits for that."""
    monkeypatch.setattr(lock, "fcntl", None)
    path = tmp_path / "journal"
    answers = iter([None, None, lambda: None])
    monkeypatch.setattr(lock, "_try_beside", lambda _: next(answers))
    assert not is_held(path)  # there is no file to lock
    (tmp_path / "journal-lock").touch()
    assert not is_held(path)
    monkeypatch.setattr(lock, "_try_beside", lambda _: None)
    assert is_held(path)
