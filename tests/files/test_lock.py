"""One process at a time makes what several may want to make first."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from annpipe.files.lock import locked

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
