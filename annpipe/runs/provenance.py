"""The provenance of a run: tags, plugins, files and the dataset; and whether it may be resumed.

`run_facts` has all that decides a run's results. Where two runs have the same facts they are the same run: a resume is
held to those that its checkpoint has, and a sweep takes a finished run for its own where all are those of the trial.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from annpipe.contract import ChunkedDataset, Dataset
from annpipe.datasets.steps.make import beside_digest, dataset_digest
from annpipe.draft.component import Component, at_every_depth
from annpipe.errors import RunError
from annpipe.plan.plan import Plan
from annpipe.record.journal.source import FROM
from annpipe.record.journal.state import read_state
from annpipe.registry.entry import installed_version
from annpipe.registry.index import package_sources, sources_digest
from annpipe.registry.types import ListOf, MappingOf, Named, OptionType, TupleOf, alternatives

NUMERICS = 2  # raised by each change of annpipe after which the same plan gives other numbers
OWN = ("annpipe", "torch")  # distributions whose versions stand for their sources


def run_facts(plan: Plan, data: DataDigests) -> dict[str, Any]:
    """All that decides the results of a plan's run, by name, as plain data.

    `plan` and `plugins` with the digests of their `sources`; `dataset`, the rows, and `beside`, what else the data
    have; `files` that the plan names elsewhere, and those of callbacks, which a run may write itself; versions.
    """
    outermost = list(plan.components())
    watching = list(at_every_depth(component for path, component in outermost if path.startswith("callbacks.")))
    deciding = list(at_every_depth(component for path, component in outermost if _decides(path)))
    components = list(at_every_depth(component for _, component in outermost))
    return {
        "plan": plan.digest,
        "plugins": _versions(components),
        "sources": _sources(components),
        "dataset": data.dataset,
        "beside": data.beside,
        "files": file_digests([*plan.split.files.values(), *named_files(deciding)]),
        "files of callbacks": file_digests(named_files(watching)),
        "torch": installed_version("torch"),
        "numerics": NUMERICS,
    }


@dataclass(frozen=True)
class DataDigests:
    """Digests of a dataset: of its rows, and of what else it has: columns for the split, categories, the truth."""

    dataset: str
    beside: str

    @classmethod
    def of(cls, dataset: Dataset | ChunkedDataset) -> DataDigests:
        """Those of a dataset, every byte of which is read; blocks tell that of their rows."""
        return cls(dataset_digest(dataset), beside_digest(dataset))


def facts_key(facts: Mapping[str, Any]) -> str:
    """Facts as a text that begins with the plan's digest; the same for facts that are the same."""
    rest = {name: value for name, value in facts.items() if name not in ("plan", "threads")}
    return f"{facts['plan']}/{hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:32]}"


def plan_tags(plan: Plan) -> dict[str, str]:
    """Seed, digest, spec and plugins of a plan as tags."""
    tags = {"annpipe.seed": str(plan.head.seed), "annpipe.plan": plan.digest, "annpipe.spec": plan.file}
    return tags | {f"annpipe.plugin.{name}": version for name, version in plugin_versions(plan).items()}


def begun_from_tags(plan: Plan, folder: Path) -> dict[str, str]:
    """What the run in `folder` began with, where it began with weights: the run that they are of, and its MLflow run.

    It has no parent in MLflow, whose page would hide it below a run that is over: only trials have one.
    """
    if plan.weights is None:
        return {}
    source = folder.parent / plan.weights.run if plan.weights.run else None
    known = read_state(source).run_id if source is not None and source.is_dir() else None
    return {FROM: plan.weights.source, "annpipe.from.digest": plan.weights.digest or ""} | (
        {"annpipe.from.mlflow_run": known} if known else {}
    )


def plugin_versions(plan: Plan) -> dict[str, str]:
    """Every plugin that the plan takes a component from: a distribution's version, a file's digest."""
    return _versions(at_every_depth(component for _, component in plan.components()))


def _decides(path: str) -> bool:
    """Whether the component at a path decides the numbers of a run, and its files are not those of the data."""
    return path != "data" and not path.startswith(("callbacks.", "plots."))


def _versions(components: Iterable[Component]) -> dict[str, str]:
    entries = (component.entry for component in components)
    origins = dict.fromkeys(entry.origin for entry in entries if entry.origin.distribution != "annpipe")
    versions: dict[str, str] = {}
    for origin in origins:
        name = origin.distribution or Path(origin.file).name
        name = name if name not in versions else origin.file  # two files of one name, in two folders
        versions[name] = origin.version or _file_digest(origin.file)
    return versions


def _sources(components: Iterable[Component]) -> dict[str, str]:
    """The digests of the sources of installed plugins: one that is being written keeps its version."""
    entries = (component.entry for component in components)
    return {
        entry.origin.distribution: _package_digest(entry.target.partition(":")[0].partition(".")[0])
        for entry in entries
        if entry.origin.distribution and entry.origin.distribution not in OWN
    }


@cache  # a process has imported one state of a package
def _package_digest(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return ""
    folder = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
    return sources_digest(package_sources(folder), folder.parent)


def named_files(components: Iterable[Component]) -> Iterator[str]:
    """What the components say in options of the type path, wherever in an option it stands."""
    for component in components:
        for option in component.entry.options:
            if option.name in component.options:
                yield from _paths(option.option_type, component.options[option.name])


def _paths(type_: OptionType, value: Any) -> Iterator[str]:
    for member in alternatives(type_):
        match member, value:
            case Named("path"), str():
                yield value
            case ListOf(item), list() | tuple():
                for inner in value:
                    yield from _paths(item, inner)
            case TupleOf(items), list() | tuple():
                for item, inner in zip(items, value, strict=False):
                    yield from _paths(item, inner)
            case MappingOf(item), Mapping():
                for inner in value.values():
                    yield from _paths(item, inner)


def file_digests(paths: Iterable[str]) -> dict[str, str]:
    """Digests of the contents of files, of those that a pattern finds, and of all in a folder; "" for what is no file.

    A file is read again only where its size or its time is another.
    """
    return {path: _content_digest(path) for path in sorted(set(paths))}


def _content_digest(path: str) -> str:
    matches = [Path(path)] if Path(path).exists() else list(map(Path, sorted(glob.glob(path))))
    inside = [sorted(match.rglob("*")) if match.is_dir() else [match] for match in matches]
    files = [file for group in inside for file in group if file.is_file()]
    digests = [_digest_of_file(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:16] * bool(files)


@cache
def _digest_of_file(file: str, size: int, time_ns: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def _file_digest(file: str) -> str:
    path = Path(file)
    return sources_digest([path], path.parent) if path.is_file() else ""


def check_facts(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Whether a checkpoint's facts are those of now, as far as it has them; gives what a person should be warned of.

    Raises RunError where going on would not give the same run.
    """
    is_whole = "files" in before  # earlier versions overlooked some components
    for what in ("plugins", "sources"):
        later = {name: digest for name, digest in now[what].items() if is_whole or name in before.get(what, {})}
        _check_each("the plugin {} is not the one this run began with", before.get(what), later)
    meanings = {"plan": "the run's plan.yaml changed", "dataset": "the data changed"}
    meanings["beside"] = "the columns for the split, or the names of categories, changed"
    meanings["torch"] = "other versions add in another order; install that one"
    names = {"beside": "data beside inputs and targets", "torch": "version of torch"}
    for name, meaning in meanings.items():
        if name in before and before[name] != now[name]:
            raise RunError(
                f"the {names.get(name, name)} is not the one this run began with ({_digest_said(name)}{now[name]}, "
                f"was {before[name]}): {meaning}; start a new run"
            )
    _check_each("the file {} is not what it was when this run began", before.get("files"), now["files"])
    return list(_doubts(before, now))


def _check_each(message: str, before: Mapping[str, str] | None, now: Mapping[str, str]) -> None:
    """Whether each by its name is the same; what an old checkpoint does not know is not compared."""
    if before is None:
        return
    changed = next((name for name in {**now, **before} if now.get(name) != before.get(name)), None)
    if changed is not None:
        paths_found, was = now.get(changed) or "not there", before.get(changed) or "not there"
        raise RunError(
            f"{message.format(changed)} (now {paths_found}, was {was}): "
            "going on would not give the same run; put it back, or start a new run"
        )


def _digest_said(name: str) -> str:
    return "now " if name == "torch" else "digest "


def _doubts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What is another than it was, and need not make another run."""
    for file, digest in before.get("files of callbacks", {}).items():
        if digest and now["files of callbacks"].get(file) != digest:
            yield f"the file {file}, which a callback names, is not what it was when this run began"
    if before.get("numerics", now["numerics"]) != now["numerics"]:
        yield "this version of annpipe computes some numbers otherwise than the one that this run began with"


def dataset_facts(
    dataset: Dataset | ChunkedDataset,
    name: str,
    source: Mapping[str, Any],
    *,
    context: str = "train",
    digest: str | None = None,
) -> dict[str, str]:
    """A dataset as the journal describes it: `source` tells where its rows are from, `context` what they serve."""
    head = dataset.head() if isinstance(dataset, ChunkedDataset) else dataset
    columns = [
        {"name": name, "role": role, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape[1:])}
        for role, tensors in (("input", head.inputs), ("target", head.targets))
        for name, tensor in tensors.items()
    ]
    return {
        "name": name,
        "digest": digest or dataset_digest(dataset),
        "source_type": "annpipe",
        "source": json.dumps(dict(source)),
        "schema": json.dumps({"columns": columns}),
        "profile": json.dumps({"rows": dataset.rows}),
        "context": context,
    }
