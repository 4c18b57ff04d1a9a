"""Damaged files: flipped bits, lines and checkpoints that are not what was written, and files of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.record.journal import journal
from tests.faults.flips import STREAMED, flip, flipped
from tests.faults.injector import Fault
from tests.faults.scenes import Outcome, Stage
from tests.faults.zygote import Zygote

FLIPS = 60  # of each kind of file


@pytest.mark.slow
def test_a_flipped_bit_is_seen_or_harmless(stage: Stage, zygote: Zygote, tmp_path: Path) -> None:
    """In checkpoints, journals, models and kept rows."""
    injector = flipped(stage, zygote, tmp_path, FLIPS)
    print(injector.report())
    injector.check()


@pytest.mark.slow
def test_a_damaged_checkpoint_falls_back_to_the_one_before(stage: Stage, zygote: Zygote) -> None:
    """Loudly, and to the same weights in the end; with both damaged the run is not resumed to others."""
    kill = Fault("kill", "annpipe.runs.run.evaluate", at=2)
    for files in ("state.safetensors", "state.json"):
        project = stage.project()
        assert zygote.run(project, "run", "spec.yaml", faults=[kill]).code == -9
        run = stage.run_of(project)
        flip(run / "checkpoints" / "last" / files, 999)
        done = zygote.run(project, "resume", "--last")
        assert done.code == 0, done.said
        assert f"the checkpoint checkpoints/last is damaged: {files}" in done.said
        assert "going on from the one before it" in done.said
        assert Outcome.of(run) == stage.reference
    project = stage.project()
    assert zygote.run(project, "run", "spec.yaml", faults=[kill]).code == -9
    for name in ("last", ".last.old"):
        flip(stage.run_of(project) / "checkpoints" / name / "state.safetensors", 999)
    before = (stage.run_of(project) / journal.FILE).read_bytes()
    done = zygote.run(project, "resume", "--last")
    assert done.code == 1, done.said
    assert "is damaged" in done.said
    assert (stage.run_of(project) / journal.FILE).read_bytes() == before


@pytest.mark.slow
def test_damaged_rows_are_made_anew(stage: Stage, zygote: Zygote) -> None:
    """A bit flipped in the kept rows changes no result: the run says so and writes them again."""
    project = stage.project()
    (project / "spec.yaml").write_text(STREAMED.replace("seed: 1", "seed: 2"))
    (project / "rows.csv").write_text("x,y\n" + "".join(f"{i / 7},{i / 5}\n" for i in range(40)))
    known = set((zygote.cache / "rows").glob("*"))
    assert zygote.run(project, "run", "spec.yaml").code == 0
    (kept,) = set((zygote.cache / "rows").glob("*")) - known
    first = Outcome.of(stage.run_of(project))
    flip(kept / "train.x", 77)
    (project / "runs").rename(project / "before")
    done = zygote.run(project, "run", "spec.yaml")
    assert done.code == 0, done.said
    assert "are damaged; they are written again" in done.said
    assert Outcome.of(stage.run_of(project)) == first


def test_damaged_lines_are_told(stage: Stage, zygote: Zygote) -> None:
    """By `runs` and by `resume`, with their numbers; the other lines are read."""
    project = stage.project()
    kill = Fault("kill", "annpipe.runs.run.evaluate", at=2)
    assert zygote.run(project, "run", "spec.yaml", faults=[kill]).code == -9
    run = stage.run_of(project)
    lines = (run / journal.FILE).read_bytes().splitlines(keepends=True)
    lines[9] = lines[9].replace(b'"event"', b'"evenT"')
    lines[11] = b"\n"
    (run / journal.FILE).write_bytes(b"".join(lines))
    assert journal.damaged_lines(run) == (10, 12)
    assert len(list(journal.read(run))) == len(lines) - 2
    for command in ("runs", "resume --last"):
        done = zygote.run(project, *command.split())
        assert done.code == 0, done.said
        assert "lines 10, 12 of its journal are damaged" in done.said


@pytest.mark.slow
def test_a_sweep_makes_a_damaged_trial_anew(stage: Stage, zygote: Zygote) -> None:
    """A finished trial whose journal has a damaged line, or that is no run any more, is not taken for its result."""
    project = stage.project()
    sweep = ("sweep", "spec.yaml", "--over", "optimizer.Adam.lr=0.01,0.02,0.03", "--set", "train.epochs=2")
    first = zygote.run(project, *sweep)
    assert first.code == 0, first.said
    trials = [run for run in (project / "runs").iterdir() if "sweep" not in run.name]
    assert len(trials) == 3
    lines = (trials[0] / journal.FILE).read_bytes().splitlines(keepends=True)
    (place,) = [place for place, line in enumerate(lines) if b"final/" in line]
    lines[place] = lines[place].replace(b"final/val/loss", b"final/val/lass")
    (trials[0] / journal.FILE).write_bytes(b"".join(lines))
    (trials[1] / journal.FILE).write_bytes(b"")
    again = zygote.run(project, *sweep)
    assert again.code == 0, again.said
    assert again.said.count("(made before)") == 1, again.said


def test_files_of_earlier_versions_are_read(stage: Stage, zygote: Zygote) -> None:
    """Journals without check sums, checkpoints without digests, models without sums.json."""
    project = stage.project()
    kill = Fault("kill", "annpipe.runs.run.evaluate", at=2)
    assert zygote.run(project, "run", "spec.yaml", faults=[kill]).code == -9
    run = stage.run_of(project)
    lines = [json.loads(line) for line in (run / journal.FILE).read_text().splitlines()]
    old = [{key: value for key, value in line.items() if key != "crc"} for line in lines]
    (run / journal.FILE).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in old))
    for place in (run / "checkpoints").iterdir():
        state = json.loads((place / "state.json").read_text())
        kept = {key: value for key, value in state.items() if key not in ("crc", "$format", "$tensors")}
        (place / "state.json").write_text(json.dumps(kept))
    assert journal.damaged_lines(run) == ()
    done = zygote.run(project, "resume", "--last")
    assert done.code == 0, done.said
    assert "damaged" not in done.said
    assert Outcome.of(run) == stage.reference
    (run / "model" / "sums.json").unlink()
    (project / "rows.csv").write_text("x\n0.5\n")
    done = zygote.run(project, "predict", run.name, "rows.csv")
    assert done.code == 0, done.said


def test_a_damaged_model_answers_nothing(stage: Stage, zygote: Zygote) -> None:
    """`annpipe predict` names the file, with exit code 1."""
    project = stage.project()
    assert zygote.run(project, "run", "spec.yaml").code == 0
    (project / "rows.csv").write_text("x\n0.5\n")
    run = stage.run_of(project)
    assert zygote.run(project, "predict", run.name, "rows.csv").code == 0
    flip(run / "model" / "weights.safetensors", 8 * 300)
    done = zygote.run(project, "predict", run.name, "rows.csv")
    assert done.code == 1, done.said
    assert "weights.safetensors is not the file that was saved" in done.said


@pytest.mark.soak
def test_many_flipped_bits(stage: Stage, zygote: Zygote, tmp_path: Path) -> None:
    """The long form: 300 of each kind."""
    flipped(stage, zygote, tmp_path, 300).check()
