"""Runs a spec: plan, shipper, training and record in their order, for the command line and for Python.

    import annpipe

    registry = annpipe.Registry.installed()
    registry.add(MyLayer)
    result = annpipe.run("spec.yaml", registry=registry, overrides=["optimizer.Adam.lr=1e-3"])
    print(result.status, result.values["train/loss"], result.folder)

The order is the point: what can be checked without torch comes first, and the shipper is started before torch is
imported, so that it imports MLflow meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.errors import AnnpipeError, RunError
from annpipe.observer import Observer
from annpipe.runs.finished import Finished
from annpipe.runs.notebook import default_observer
from annpipe.runs.plans import complete as complete
from annpipe.runs.plans import defaults
from annpipe.runs.plans import plan_of as plan_of
from annpipe.runs.spec_source import SpecSource

if TYPE_CHECKING:
    from annpipe.draft.sections import Draft
    from annpipe.record.shipper.recorder import Recorder
    from annpipe.registry.registry import Registry
    from annpipe.runs.run import Run
    from annpipe.runs.trainer import Trainer


def run(
    spec: str | Path,
    *,
    registry: Registry | None = None,
    overrides: Iterable[str] = (),
    unset: Iterable[str] = (),
    device: str | None = None,
    name: str | None = None,
    tracking_uri: str | None = None,
    observer: Observer | None = None,
) -> Finished:
    """Runs a spec and waits for its record; raises SpecError when the spec is wrong.

    `registry` is one with components of your own; left out, it holds all installed ones. `overrides` and `unset` are
    what `--set` and `--unset` take. Without an `observer` a notebook shows a progress bar, and nothing is shown
    elsewhere. The result is as `annpipe.load` gives it.
    """
    source = SpecSource(Path(spec), tuple(overrides), tuple(unset), device, name)
    return launch(source.draft(registry), observer or default_observer(), tracking_uri)


def launch(
    drafted: Draft, observer: Observer, tracking_uri: str | None = None, trainer: Trainer | None = None
) -> Finished:
    """Runs a draft in a new run folder of the project, and waits a bounded time for its record.

    `trainer` prepares the training where it is not the run's own.
    """
    from annpipe.record.journal.location import artifact_root, resolve_tracking_uri
    from annpipe.record.journal.project import find_project, new_run_folder

    project = find_project()
    uri = resolve_tracking_uri(tracking_uri, project, drafted.spec.tracking.uri)
    with shipping() as recorder, defaults():
        plan = complete(drafted, observer)

        from annpipe.backend.device import find_device
        from annpipe.runs.begin import begin

        find_device(plan.device.type, drafted.spec.place("device"))  # before a folder is made
        folder = new_run_folder(project, plan.head.name)
        root = artifact_root(uri, project)
        run = begin(plan, folder, observer, tracking_uri=uri, artifact_root=root, trainer=trainer)
        recorder.attach(folder, uri, system=plan.tracking.system)
        return _go(run, recorder)


def go_on(
    folder: Path,
    observer: Observer,
    tracking_uri: str | None = None,
    *,
    trust: bool = False,
    epochs: int | None = None,
    steps: int | None = None,
) -> Finished:
    """Resumes the run in `folder` from its last checkpoint; raises RunError when it has none or is still running.

    With `epochs` or `steps` it is so long in all from now on, also where it had finished; raises LengthError where it
    cannot be. Its plan may name plugin files, which are imported: raises NotTrusted where the run is not known as the
    user's own, unless `trust` says that it is.
    """
    from annpipe.record.journal.seal import PLAN, check_own, seal_store

    check_own(folder, PLAN, trusted=trust)
    if tracking_uri:
        seal_store(folder, tracking_uri)
    with shipping() as recorder, defaults():
        from annpipe.runs.begin import latest_checkpoint, reopen
        from annpipe.runs.further import plan_to_go_on

        try:
            checkpoint = latest_checkpoint(folder, observer)
            plan, further = plan_to_go_on(folder, checkpoint, epochs, steps, observer)
            run = reopen(plan, folder, observer, checkpoint, further)
        except AnnpipeError:
            raise
        except Exception as error:  # the files of a checkpoint or journal that were changed or cut may hold anything
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise RunError(f"the run {folder.name} cannot be resumed, since its files are damaged: {reason}") from error
        recorder.attach(folder, tracking_uri, system=plan.tracking.system)
        return _go(run, recorder)


@contextmanager
def shipping() -> Iterator[Recorder]:
    """A shipper, started now; let go where what follows fails."""
    from annpipe.record.shipper.recorder import Recorder

    recorder = Recorder.start_shipper()
    try:
        yield recorder
    except BaseException:
        recorder.release()
        raise


def _go(run: Run, recorder: Recorder) -> Finished:
    outcome = run.go()
    return Finished(run.plan, run.folder, outcome, recorder.finish(run.plan.tracking.wait_seconds))
