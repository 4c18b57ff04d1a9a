"""What is known of a run beside its numbers: tags, versions of plugins, the dataset; and whether it may be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from annpipe.contract import Blocks, Dataset
from annpipe.errors import RunError
from annpipe.plan.component import Component, components_in
from annpipe.plan.plan import Plan
from annpipe.registry.index import sources_digest
from annpipe.train.data import dataset_digest


def plan_tags(plan: Plan) -> dict[str, str]:
    """Seed, digest, spec and plugins of a plan as tags."""
    tags = {"annpipe.seed": str(plan.head.seed), "annpipe.plan": plan.digest, "annpipe.spec": plan.file}
    return tags | {f"annpipe.plugin.{name}": version for name, version in plugin_versions(plan).items()}


def plugin_versions(plan: Plan) -> dict[str, str]:
    """Every plugin that the plan takes a component from: a distribution's version, a file's digest."""
    versions = {}
    for component in _all_components(plan):
        entry = plan.registry.find(component.kind, component.name)
        if entry and entry.origin.distribution != "annpipe":
            name = entry.origin.distribution or Path(entry.origin.file).name
            versions[name] = entry.origin.version or _file_digest(entry.origin.file)
    return versions


def _all_components(plan: Plan) -> Iterator[Component]:
    top = [plan.data, plan.loss, plan.optimizer, *(layer.component for layer in plan.model)]
    top += [*plan.init.values(), *(step for part in plan.transforms for step in part.steps)]
    top += [metric for head in plan.outputs for metric in head.metrics]
    top += [*plan.metrics, *plan.plots, *plan.callbacks, *(c for c in (plan.scheduler, plan.average) if c)]
    for component in top:
        yield from _with_nested(component)


def _with_nested(component: Component) -> Iterator[Component]:
    yield component
    for inner in components_in(dict(component.options)):
        yield from _with_nested(inner)


def _file_digest(file: str) -> str:
    path = Path(file)
    return sources_digest([path], path.parent) if path.is_file() else ""


def check_facts(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Whether a checkpoint's facts are those of now; raises RunError where going on would not give the same run."""
    known = before["plugins"]
    changed = [name for name, version in now["plugins"].items() if known.get(name) != version]
    if changed:
        raise RunError(
            f"the plugin {changed[0]} is not the one this run began with (now {now['plugins'][changed[0]]}, "
            f"was {known.get(changed[0])}): going on would not give the same run; put it back, or start a new run"
        )
    for name, meaning in (("plan", "the run's plan.yaml changed"), ("dataset", "the data changed")):
        if before[name] != now[name]:
            raise RunError(
                f"the {name} is not the one this run began with (digest {now[name]}, was {before[name]}): "
                f"{meaning}; start a new run"
            )


def dataset_facts(
    dataset: Dataset | Blocks,
    name: str,
    source: Mapping[str, Any],
    *,
    context: str = "train",
    digest: str | None = None,
) -> dict[str, str]:
    """A dataset as the journal describes it: `source` tells where its rows are from, `context` what they serve."""
    head = dataset.head() if isinstance(dataset, Blocks) else dataset
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
