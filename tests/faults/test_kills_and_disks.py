"""A short form of `python -m tests.faults`: some kills, disks that refuse, and flipped bits, with hits and losses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from annpipe.record.journal import journal
from tests.faults.injector import Child, Fault, Injector
from tests.faults.scenes import BEGINNINGS, BREAKS, KILLS, REFUSALS, SPEC, Outcome, Stage
from tests.faults.zygote import Zygote


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "faults"),
    [("killed", KILLS[1::5]), ("broke_off", BREAKS[::4]), ("refused", REFUSALS[1::2]), ("not_begun", BEGINNINGS[::2])],
)
def test_what_a_fault_leaves_becomes_the_run_that_never_had_it(stage: Stage, act: str, faults: list[Fault]) -> None:
    """Kills in the phases of a run, a disk that recovers, one that does not, and one that lets no run begin."""
    stage.injector = Injector(*(fault.name for fault in faults))
    for fault in faults:
        getattr(stage, act)(fault)
    print(stage.injector.report())
    stage.injector.check()


@pytest.mark.soak
@pytest.mark.parametrize(
    ("act", "faults"), [("killed", KILLS), ("broke_off", BREAKS), ("refused", REFUSALS), ("not_begun", BEGINNINGS)]
)
def test_all_faults(stage: Stage, act: str, faults: list[Fault]) -> None:
    """The long form."""
    test_what_a_fault_leaves_becomes_the_run_that_never_had_it(stage, act, faults)


@pytest.mark.parametrize("free_kib", [120, *(pytest.param(kib, marks=pytest.mark.slow) for kib in (100, 110, 136))])
def test_a_disk_that_is_truly_full(stage: Stage, zygote: Zygote, tmp_path: Path, free_kib: int) -> None:
    """On a file system of so much room the run ends as what it is; with more it is resumed to the same.

    One that had no room for its first checkpoint is told as such.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system of its own can be mounted by root alone")
    try:
        (disk / "spec.yaml").write_text(SPEC)
        (disk / "filler").write_bytes(b"\0" * (600 - free_kib) * 1024)
        done = zygote.run(disk, "run", "spec.yaml")
        run = next((disk / "runs").iterdir())
        assert done.code == 1, done.said
        assert "No space left on device" in done.said
        assert "Traceback" not in done.said
        assert journal.status(run) == "FAILED"
        (disk / "filler").unlink()
        resumed = zygote.run(disk, "resume", "--last")
        if not (run / "checkpoints" / "last").exists():
            assert (resumed.code, "there is no checkpoint" in resumed.said) == (1, True)
            assert free_kib < 120
            return
        assert resumed.code == 0, resumed.said
        assert Outcome.of(run) == stage.reference
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_without_a_checkpoint_no_resume_is_offered(tmp_path: Path, zygote: Zygote) -> None:
    """A disk so full that neither a checkpoint nor the model found room: a resume would fail."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    injector = Injector("no checkpoint at all", "no room for the model")
    faults = [
        Fault("no checkpoint at all", "write", r"checkpoints/", "ENOSPC", times=0),
        Fault("no room for the model", "annpipe.export.model.save_file", does="ENOSPC"),
    ]
    done = zygote.run(tmp_path, "run", "spec.yaml", faults=faults, injector=injector)
    assert done.code == 1, done.said
    assert "then run its spec again, since there is no checkpoint to go on from" in done.said
    assert "annpipe resume" not in done.said
    injector.check()


@pytest.mark.slow
def test_a_shipper_that_is_killed_or_has_no_disk_leaves_the_rest_to_sync(tmp_path: Path) -> None:
    """In the real process, with a real store."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "spec.yaml").write_text(SPEC.replace("wait_seconds: 0", "wait_seconds: 60"))
    injector = Injector("killed while it ships", "no room for the state")
    faults = [
        Fault("killed while it ships", "rename", r"shipped\.json$", at=2, process="shipper"),
        Fault("no room for the state", "rename", r"shipped\.json$", "ENOSPC", process="sync"),
    ]
    child = Child(injector, project, faults)
    done = child.run("run", "spec.yaml")
    assert done.returncode == 0, done.stderr
    assert "record  not complete" in done.stdout
    refused = child.run("sync")
    assert refused.returncode == 5, refused.stderr
    assert "Traceback" not in refused.stderr
    child.faults = ()
    synced = child.run("sync")
    assert synced.returncode == 0, synced.stderr
    assert "FINISHED, shipped" in synced.stdout
    print(injector.report())
    injector.check()
