"""A spec is run: plan, shipper, training and record in their order, for the command line and for Python.

    import annpipe

    registry = annpipe.Registry.installed()
    registry.add(MyLayer)
    result = annpipe.run("spec.yaml", registry=registry, overrides=["optimizer.Adam.lr=1e-3"])
    print(result.status, result.values["train/loss"], result.folder)

The order is the point: what can be checked without torch comes first, and the shipper is started before torch is
imported, so that it imports MLflow meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.errors import AnnpipeError, Place, Problem, RunError, SpecError, one_line
from annpipe.observer import Silent, Watcher

if TYPE_CHECKING:
    from annpipe.datasets.on_disk.passes import PassCache
    from annpipe.draft.data_only import DataDraft
    from annpipe.draft.types import Draft
    from annpipe.plan.plan import Plan
    from annpipe.plan.resolve.shape_cache import ShapeCache
    from annpipe.record.shipper.recorder import Recorder, ShipState
    from annpipe.registry import Registry
    from annpipe.runs.run import Outcome, Run
    from annpipe.spec.yaml.nodes import Node, ScalarNode


@dataclass(frozen=True)
class Finished:
    """A run that has ended: its folder, how it ended and with which values, and the state of its record."""

    plan: Plan
    folder: Path
    outcome: Outcome
    record: ShipState

    @property
    def status(self) -> str:
        """FINISHED, FAILED or KILLED."""
        return self.outcome.status

    @property
    def values(self) -> Mapping[str, float]:
        """The final values by metric key."""
        return self.outcome.values


def run(
    spec: str | Path,
    *,
    registry: Registry | None = None,
    overrides: Iterable[str] = (),
    unset: Iterable[str] = (),
    device: str | None = None,
    name: str | None = None,
    tracking_uri: str | None = None,
    watcher: Watcher | None = None,
) -> Finished:
    """Runs a spec and waits for its record; raises SpecError when the spec is wrong.

    `registry` is one with components of your own; left out, it holds all installed ones. `overrides` and `unset` are
    what `--set` and `--unset` take.
    """
    drafted = read(Path(spec), registry=registry, overrides=overrides, unset=unset, device=device, name=name)
    return launch(drafted, watcher or Silent(), tracking_uri)


def read(
    spec: Path,
    *,
    registry: Registry | None = None,
    overrides: Iterable[str] = (),
    unset: Iterable[str] = (),
    device: str | None = None,
    name: str | None = None,
    untrusted: bool = False,
    over: Sequence[tuple[ScalarNode, Node]] = (),
    values: Iterable[tuple[str, Node]] | None = None,
) -> Draft:
    """The draft of a spec: everything that can be checked without torch; raises SpecError.

    `over` are more values of its sweep, `values` those of one trial of it.
    """
    from annpipe.draft.draft import draft
    from annpipe.record.journal.project import find_project
    from annpipe.registry import Registry
    from annpipe.spec import load_spec
    from annpipe.spec.sections.names import HELP as NAME_HELP
    from annpipe.spec.sections.names import fault_of

    loaded = load_spec(spec, overrides, unset_paths=unset, device=device, untrusted=untrusted, over=over, values=values)
    if name is not None:
        if found := fault_of(name):
            place = Place(f"--name {one_line(name)}", 1, len("--name ") + 1, len(one_line(name)))
            raise SpecError([Problem("unprintable-name", f"the run's name holds {found}", place, NAME_HELP)])
        # a run of another name stays in the experiment of its spec, beside the runs it is compared with
        experiment = loaded.tracking.experiment or loaded.head.name
        tracking = loaded.tracking.model_copy(update={"experiment": experiment})
        loaded = replace(loaded, head=loaded.head.model_copy(update={"name": name}), tracking=tracking)
    return draft(loaded, registry or Registry.installed(), project=find_project(), untrusted=untrusted)


def read_data(
    spec: Path, *, overrides: Iterable[str] = (), unset: Iterable[str] = (), untrusted: bool = False
) -> DataDraft:
    """The data component of a spec, whatever the rest of it is; raises SpecError."""
    from annpipe.draft.data_only import draft_data
    from annpipe.record.journal.project import find_project
    from annpipe.registry import Registry
    from annpipe.spec import load_spec

    loaded = load_spec(spec, overrides, unset_paths=unset, untrusted=untrusted)
    return draft_data(loaded, Registry.installed(), project=find_project(), untrusted=untrusted)


def complete(
    drafted: Draft, watcher: Watcher, shape_cache: ShapeCache | None = None, passes: PassCache | None = None
) -> Plan:
    """The plan of a draft, its warnings shown; imports torch; raises SpecError. The rest is as in `plan.resolve`."""
    from annpipe.plan.resolve.resolve import resolve

    with _defaults():
        plan = resolve(drafted, shape_cache, passes)
    for warning in plan.warnings:
        watcher.warn(warning)
    return plan


def launch(drafted: Draft, watcher: Watcher, tracking_uri: str | None = None) -> Finished:
    """Runs a draft in a new run folder of the project, and waits a bounded time for its record."""
    from annpipe.record.journal.location import artifact_root, resolve_tracking_uri
    from annpipe.record.journal.project import find_project, new_run_folder

    project = find_project()
    uri = resolve_tracking_uri(tracking_uri, project, drafted.spec.tracking.uri)
    with shipping() as recorder, _defaults():
        plan = complete(drafted, watcher)

        from annpipe.backend.device import find_device
        from annpipe.runs.run import begin

        find_device(plan.device.type, drafted.spec.place("device"))  # before a folder is made
        folder = new_run_folder(project, plan.head.name)
        begun = begin(plan, folder, watcher, tracking_uri=uri, artifact_root=artifact_root(uri, project))
        recorder.attach(folder, uri)
        return _go(begun, recorder, watcher)


def go_on(folder: Path, watcher: Watcher, tracking_uri: str | None = None, *, trust: bool = False) -> Finished:
    """Resumes the run in `folder` from its last checkpoint; raises RunError when it has none or is still running.

    Its plan may name plugin files, which are imported: raises NotTrusted where the run is not known as the user's own,
    unless `trust` says that it is.
    """
    from annpipe.record.journal.seal import PLAN, check_own, seal_store

    check_own(folder, PLAN, trusted=trust)
    if tracking_uri:
        seal_store(folder, tracking_uri)
    with shipping() as recorder, _defaults():
        plan = plan_of(folder, watcher)

        from annpipe.runs.run import reopen

        try:
            reopened = reopen(plan, folder, watcher)
        except AnnpipeError:
            raise
        except Exception as error:  # the files of a checkpoint or journal that were changed or cut may hold anything
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise RunError(
                f"the run {folder.name} cannot be gone on with, since its files are broken: {said}"
            ) from error
        recorder.attach(folder, tracking_uri)
        return _go(reopened, recorder, watcher)


def plan_of(folder: Path, watcher: Watcher) -> Plan:
    """The plan that the run in `folder` was begun with."""
    from annpipe.draft.draft import draft
    from annpipe.record.journal.project import find_project, spec_file
    from annpipe.registry import Registry
    from annpipe.spec import load_spec

    if not (folder / "plan.yaml").is_file():
        raise RunError(f"the run {folder.name} has no plan.yaml: it was killed as it began; run its spec again")
    file = spec_file(folder)
    spec = load_spec(folder / "plan.yaml", base=file.resolve().parent)
    plan = complete(draft(spec, Registry.installed(), project=find_project()), watcher)
    return replace(plan, file=str(file))


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


def _defaults() -> AbstractContextManager[None]:
    """Inside, no setting of torch's that the caller changed changes what a spec means; imports torch."""
    from annpipe.backend.torch_globals import torch_defaults

    return torch_defaults()


def _go(run: Run, recorder: Recorder, watcher: Watcher) -> Finished:
    outcome = run.go(lambda steps, _, done: watcher.start(steps.total_steps, steps.steps_per_epoch, done))
    return Finished(run.plan, run.folder, outcome, recorder.finish(run.plan.tracking.wait_seconds))
