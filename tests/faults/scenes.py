"""A small run under faults, held against the same run without any: its weights, its points and its status."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from annpipe.record.journal import journal
from tests.faults.injector import Fault, Injector
from tests.faults.zygote import Zygote

SPEC = """
version: 1
name: struck
seed: 3
device: {type: cpu, threads: 1}
data:
  formula: {rows: 60, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: sin(3*x)}}
  split: {val: 0.25}
model: [Linear: 8, Tanh, Dropout: 0.1, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 60, batch_size: 9, evaluate_every: 1, checkpoint_seconds: 1.0e-3}
callbacks: [{checkpoint: {best: val/loss}}]
plots: [learning_curve]
tracking: {wait_seconds: 0}
"""
JOURNAL, STATE = r"journal\.jsonl$", r"checkpoints/\.last\.new/state"

KILLS = [
    Fault("before the first line", "write", JOURNAL),
    Fault("half a first line", "write", JOURNAL, half=True),
    Fault("before the plan", "write", r"plan\.yaml"),
    Fault("while data are made", "annpipe.runs.trainer.build"),
    Fault("before the first checkpoint", "write", STATE),
    Fault("while training", "write", JOURNAL, at=40),
    Fault("half a line while training", "write", JOURNAL, at=41, half=True),
    Fault("half of the tensors", "write", STATE + r"\.safetensors", at=9, half=True),
    Fault("half of the JSON", "write", STATE + r"\.json", at=9, half=True),
    Fault("between the renames", "rename", r"checkpoints/last$", at=9),
    Fault("before the older one is kept", "rename", r"checkpoints/\.last\.old$", at=9),
    Fault("half of a callback's checkpoint", "write", r"checkpoints/\.best.*\.new/state", at=5, half=True),
    Fault("while evaluating at the end", "annpipe.runs.run.evaluate", at=2),
    Fault("while the model is written", "annpipe.export.model.save_file"),
    Fault("before the model takes its place", "rename", r"/model$"),
    Fault("while the model is checked", "annpipe.runs.run.check_saved_model"),
    Fault("half of a figure", "write", r"plots/", half=True),
    Fault("after the last line", "annpipe.runs.run.drop_older"),
]
BREAKS = [  # the disk recovers
    Fault("no room for checkpoints", "write", STATE, "ENOSPC", at=5, times=7, half=True),
    Fault("no room for a callback's", "write", r"checkpoints/\.best.*\.new", "ENOSPC", at=3, times=9),
    Fault("no room for lines", "write", JOURNAL, "ENOSPC", at=40, times=30),
    Fault("room for half a line", "write", JOURNAL, "ENOSPC", at=40, times=30, half=True),
    Fault("checkpoints read-only", "mkdir", r"checkpoints/\.last\.new", "EROFS", at=4, times=5),
    Fault("a journal that fails", "write", JOURNAL, "EIO", at=30, times=5),
    Fault("a journal not brought to the disk", "fsync", JOURNAL, "EIO", at=2, times=4),
    Fault("checkpoints not brought to the disk", "fsync", STATE, "EIO", at=5, times=4),
    Fault("no rename", "rename", r"checkpoints/last$", "ENOSPC", at=5, times=3),
]
REFUSALS = [  # the disk does not recover before the end
    Fault("no room for the model", "annpipe.export.model.save_file", does="ENOSPC"),
    Fault("no room for the model's text", "open", r"\.model\.new/model\.json", "ENOSPC"),
    Fault("no place for the model", "rename", r"/model$", "EROFS"),
    Fault("no room for figures", "write", r"plots/", "ENOSPC", times=0),
    Fault("no line any more", "write", JOURNAL, "EROFS", at=50, times=0),
    Fault("no checkpoint any more", "write", STATE, "ENOSPC", at=4, times=0),
]
BEGINNINGS = [
    Fault("no folder for runs", "mkdir", r"/runs$", "EROFS"),
    Fault("no room for a run folder", "mkdir", r"/runs/", "ENOSPC"),
    Fault("no room for the plan", "write", r"plan\.yaml", "ENOSPC"),
    Fault("no journal", "open", JOURNAL, "EACCES"),
]


@dataclass(frozen=True)
class Outcome:
    """What a run came to: digests of its model's files, and its points by key and step."""

    model: tuple[str, ...]
    points: dict[tuple[str, int], float]

    @classmethod
    def of(cls, run: Path) -> Outcome:
        """Of a run folder."""
        files = [run / "model" / name for name in ("weights.safetensors", "network.py", "model.json")]
        points: dict[tuple[str, int], float] = {}
        for event in journal.read(run):
            for key, step, value, _ in journal.points(event):
                assert (key, step) not in points, f"{key} of step {step} twice"
                points[key, step] = value
        return cls(tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files), points)


@dataclass
class Stage:
    """Plays scenes in a folder below `place`, and counts what they hit and lose."""

    place: Path
    zygote: Zygote
    injector: Injector
    spec: str = SPEC
    _number: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        project = self.project()
        done = self.zygote.run(project, "run", "spec.yaml")
        assert done.code == 0, done.said
        self.reference = Outcome.of(self.run_of(project))

    def project(self) -> Path:
        """A new project with the spec."""
        self._number += 1
        folder = self.place / f"project{self._number}"
        folder.mkdir(parents=True)
        (folder / "spec.yaml").write_text(self.spec)
        return folder

    def run_of(self, project: Path) -> Path:
        """Its only run folder."""
        (folder,) = (project / "runs").iterdir()
        return folder

    def killed(self, fault: Fault) -> None:
        """The run is killed; every command goes on, and `annpipe resume` makes the run that never was killed."""
        project, lost = self.project(), self._losing(fault)
        done = self.zygote.run(project, "run", "spec.yaml", faults=[fault], injector=self.injector)
        lost(done.code != -9, f"was not killed: {done.code}: {done.said}")
        self._finishes(project, lost, may_be_begun_anew=True)

    def broke_off(self, fault: Fault) -> None:
        """The disk refuses for a while: the run goes on, and says so."""
        project, lost = self.project(), self._losing(fault)
        done = self.zygote.run(project, "run", "spec.yaml", faults=[fault], injector=self.injector)
        lost(done.code != 0, f"exit code {done.code}: {done.said}")
        lost("warning:" not in done.said and fault.call != "fsync", f"not a word of it: {done.said}")
        if done.code == 0:
            self._is_whole(project, lost)

    def refused(self, fault: Fault) -> None:
        """The disk refuses to the end: the run tells what it is, and `annpipe resume` makes the rest."""
        project, lost = self.project(), self._losing(fault)
        done = self.zygote.run(project, "run", "spec.yaml", faults=[fault], injector=self.injector)
        lost(done.code not in (0, 1), f"exit code {done.code}: {done.said}")
        told = ("annpipe resume" in done.said and "warning:" in done.said + "warning:") or fault.name.endswith("more")
        lost(not told, f"no remedy: {done.said}")
        status = journal.status(self.run_of(project))
        lost((done.code == 0) != (status == "FINISHED"), f"{status} with exit code {done.code}")
        self._finishes(project, lost)

    def not_begun(self, fault: Fault) -> None:
        """There is no room to begin: exit code 1 with the reason, and nothing is left behind."""
        project, lost = self.project(), self._losing(fault)
        done = self.zygote.run(project, "run", "spec.yaml", faults=[fault], injector=self.injector)
        lost(done.code != 1 or "no run can begin" not in done.said, f"{done.code}: {done.said}")
        left = list((project / "runs").iterdir()) if (project / "runs").exists() else []
        lost(bool(left), f"left behind: {left}")

    def _finishes(self, project: Path, lost: _Losing, *, may_be_begun_anew: bool = False) -> None:
        listed = self.zygote.run(project, "runs")
        lost(listed.code != 0, f"annpipe runs: {listed.said}")
        run = self.run_of(project)
        has_checkpoint = (run / "checkpoints").is_dir() and any((run / "checkpoints").glob("*last*/state.json"))
        resumed = self.zygote.run(project, "resume", run.name)
        if may_be_begun_anew and not has_checkpoint:
            lost(resumed.code not in (1, 2) or "Traceback" in resumed.said, f"resume: {resumed.code}: {resumed.said}")
            return
        lost(resumed.code != 0, f"resume: {resumed.code}: {resumed.said}")
        if resumed.code == 0:
            self._is_whole(project, lost)

    def _is_whole(self, project: Path, lost: _Losing) -> None:
        run = self.run_of(project)
        lost(journal.status(run) != "FINISHED", f"status {journal.status(run)}")
        found = Outcome.of(run)
        lost(found.model != self.reference.model, "other weights")
        lost(found.points != self.reference.points, f"points: {_difference(found.points, self.reference.points)}")
        lost(bool(journal.damaged_lines(run)), "damaged lines")
        lost(not (run / "artifacts" / "plots" / "learning_curve.svg").is_file(), "a figure")
        strays = [path.name for path in run.rglob("*") if ".new" in path.name and "checkpoints" not in path.parts]
        lost(bool(strays), f"halves left: {strays}")

    def _losing(self, fault: Fault) -> _Losing:
        return _Losing(self.injector, fault.name)


@dataclass(frozen=True)
class _Losing:
    injector: Injector
    fault: str

    def __call__(self, is_lost: bool, what: str) -> None:
        if is_lost:
            self.injector.lost(self.fault, what)


def _difference(found: dict[tuple[str, int], float], wanted: dict[tuple[str, int], float]) -> str:
    missing, more = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    other = [key for key in found.keys() & wanted.keys() if found[key] != wanted[key]]
    return f"{len(missing)} missing {missing[:3]}, {len(more)} more {more[:3]}, {len(other)} others {other[:3]}"


def play(stage: Stage, acts: Sequence[tuple[str, Sequence[Fault]]]) -> None:
    """Plays each fault of each act once."""
    for act, faults in acts:
        for fault in faults:
            getattr(stage, act)(fault)


ACTS: Sequence[tuple[str, Sequence[Fault]]] = (
    ("killed", KILLS),
    ("broke_off", BREAKS),
    ("refused", REFUSALS),
    ("not_begun", BEGINNINGS),
)
