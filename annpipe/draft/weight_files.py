"""Finds the file of the weights that a spec names: a run of the project, a folder with a model, or a file."""

from __future__ import annotations

from pathlib import Path

from annpipe.errors.suggest import did_you_mean
from annpipe.files.named import NamedFault, real_path, shown
from annpipe.files.run_ids import RUNS, meant_ids, name_in

WEIGHTS = "weights.safetensors"
KEPT = "begun_from.safetensors"  # the copy that a run keeps of the weights that it began with
HELP = "name a run, the folder of a run or of its model, or a file of safetensors"


def find_weights(source: str, base: Path, project: Path) -> tuple[Path, str | None]:
    """The file, and the id of the run that it is of, where it is of one; raises NamedFault.

    A path starts from the folder `base` of the spec. What is no path is a run of the project: its id, its name (the
    latest such run), or the beginning of its id.
    """
    path = Path(real_path(base / source))
    if path.is_file():
        if path.suffix != ".safetensors":
            message = f"{shown(source)} is no file of safetensors, and other files of weights may hold code"
            raise NamedFault(message, HELP)
        return path, _run_of(path)
    inside = [path / WEIGHTS, path / "model" / WEIGHTS]
    file = next((file for file in inside if real_path(file).is_file()), None)
    if file is not None:
        return file, _run_of(file)
    if path.is_dir() and (path.parent.name != RUNS or path.parent.parent != project.resolve()):
        raise NamedFault(f"the folder {shown(source)} holds no weights", HELP)
    run = _run_named(source.rstrip("/").removeprefix(f"{RUNS}/"), project / RUNS)
    file = real_path(run / "model" / WEIGHTS)
    if not file.is_file():
        message = f"the run {run.name} has no model: it did not finish"
        raise NamedFault(message, f"`annpipe resume {run.name}` finishes it")
    return file, run.name


def _run_of(file: Path) -> str | None:
    """The run whose model a file is of."""
    run = file.parent.parent
    return run.name if file.parent.name == "model" and (run / "journal.jsonl").is_file() else None


def _run_named(text: str, runs: Path) -> Path:
    ids = sorted(path.name for path in runs.iterdir() if (path / "journal.jsonl").is_file()) if runs.is_dir() else []
    meant = meant_ids(text, ids)
    if len(meant) == 1:
        return runs / meant[0]
    if meant:
        raise NamedFault(f"'{text}' fits {len(meant)} runs: {', '.join(meant[-3:])}", "write more of the id")
    near = did_you_mean(text, dict.fromkeys([*ids, *map(name_in, ids)]))
    raise NamedFault(f"there is no run, folder or file '{text}'", near or HELP, absent=True)
