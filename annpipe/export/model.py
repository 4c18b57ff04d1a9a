"""A trained model as plain PyTorch that needs no annpipe: `network.py`, `weights.safetensors`, `model.json`."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from annpipe.contract import Dataset, Field, OutputRoles
from annpipe.draft.component import to_data
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.losses import expected, takes_classes
from annpipe.export.network_source import model_entries, network_source
from annpipe.export.plugin_copies import copy_plugins, distributions
from annpipe.files.whole import whole_folder
from annpipe.plan.checks.thresholds import raw_targets_of
from annpipe.plan.output_roles import plan_roles
from annpipe.plan.plan import Plan
from annpipe.portable import columns
from annpipe.portable.cell_dates import date_text
from annpipe.portable.description import ModelColumn, ModelDescription, ModelTarget, TargetRoles
from annpipe.portable.network import DATE
from annpipe.train.loop.figures import output_parts
from annpipe.train.losses import with_weights
from annpipe.train.parts import Parts

# Options by which data components say how they read tables.
READING = ("delimiter", "decimal", "thousands", "units", "missing", "names", "encoding", "dates", "skip_rows")
OF_TWO = ("logits", "probabilities")


def export_model(plan: Plan, parts: Parts, folder: Path) -> None:
    """Writes the three files, a copy of each plugin file that a layer comes from, and the digests of all of them.

    The folder is there when all of it is on the disk. Raises OSError where it cannot be written.
    """
    with whole_folder(folder) as new:
        write_model(plan, parts, new)


def write_model(plan: Plan, parts: Parts, folder: Path) -> None:
    """Writes the files into a folder that is there, without their digests; a model that is kept has them."""
    (folder / "network.py").write_text(network_source(plan, parts.fitted), encoding="utf-8", newline="\n")
    libraries = copy_plugins(plan, folder)
    if parts.fitted:
        shutil.copy(columns.__file__, folder / "columns_model.py")
    state = saved_model(parts).state_dict()
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    save_file(weights, folder / "weights.safetensors")
    of_loss = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in parts.loss.state_dict().items()}
    if of_loss:  # a loss may have weights, and parameters of its own
        save_file(of_loss, folder / "loss.safetensors")
    _description(plan, parts, libraries).write(folder)


def saved_model(parts: Parts) -> torch.nn.Module:
    """The trained network, between its transforms where it has some: raw rows in, predictions in the data's units."""
    if parts.fitted is None:
        return parts.model
    dtype = parts.rows["train"].dtype
    return columns.Model(parts.transformed.columns, parts.model, parts.transformed.targets, dtype).eval()


def _description(plan: Plan, parts: Parts, libraries: Collection[str]) -> ModelDescription:
    train = parts.splits.train
    inputs = plan.fields.inputs.items()
    return ModelDescription(
        inputs=tuple(_input(name, field, train.categories.get(name, ())) for name, field in inputs),
        outputs=outputs(plan),
        targets=model_targets(plan, train),
        loss=described_loss(plan, parts),
        reading={name: plan.data.options[name] for name in READING if name in plan.data.options},
        precision=plan.device.precision,
        transforms=bool(plan.transforms),
        requirements=_requirements(plan, libraries),
        inputs_example=_example(plan, train),
    )


def _input(name: str, field: Field, categories: Sequence[str]) -> ModelColumn:
    """A raw column; one of categories or of booleans comes as their words."""
    if not categories:
        return _column(name, field)
    type_ = "any" if field.type == "boolean" else "string"
    return ModelColumn(name=name, type=type_, categories=tuple(categories))


def _example(plan: Plan, train: Dataset) -> dict[str, list[Any]]:
    """Three rows, those without a missing value first."""
    lost = torch.zeros(train.rows, dtype=torch.bool)
    for tensor in train.inputs.values():
        lost |= tensor.reshape(train.rows, -1).isnan().any(1)
    rows = torch.argsort(lost.int(), stable=True)[:3]
    return {
        name: _cells(name, plan.fields.inputs[name], tensor[rows], train.categories.get(name, ()))
        for name, tensor in train.inputs.items()
    }


def _cells(name: str, field: Field, values: torch.Tensor, words: Sequence[str]) -> list[Any]:
    """Values of a column as a file has them; of a text, which is not kept, a word that stands for it."""
    if field.type == "text":
        return [f"a text of {name}"] * len(values)
    cells = values.tolist()
    if words:
        return [words[int(cell)] if cell == cell else None for cell in cells]
    return [date_text(cell) if cell == cell else None for cell in cells] if field.type == "date" else cells


def _column(name: str, field: Field) -> ModelColumn:
    if field.type == "date":
        return ModelColumn(name=name, type=DATE)
    if field.counted is not None:
        return ModelColumn(name=name, type="string", counted=field.counted)
    return ModelColumn(name=name, type="double" if field.dtype == "float" else "long", shape=tuple(field.shape))


def outputs(plan: Plan) -> tuple[ModelColumn, ...]:
    """What the model gives: the targets by name, or a score for each class, `label_0`, `label_1`, …"""
    if plan.outputs:
        spans = plan.loss.options["spans"]
        return tuple(column for head in plan.outputs for column in _outputs_of_head(head, spans[head.name], plan))
    shape = plan.model[-1].output_shape
    if takes_classes(plan.loss) and len(shape) == 1:
        return _scores(next(iter(plan.fields.targets)), shape[0])
    roles, targets = plan_roles(plan), plan.fields.targets.items()
    return tuple(column for name, field in targets for column in _outputs_of_target(name, field.shape, roles[name]))


def _outputs_of_head(head: OutputHead, span: Sequence[int], plan: Plan) -> tuple[ModelColumn, ...]:
    if takes_classes(head.loss):
        return _scores(head.name, span[1] - span[0])
    return _outputs_of_target(head.name, (), plan_roles(plan)[head.name])


def _outputs_of_target(name: str, shape: Sequence[int], roles: OutputRoles | None) -> tuple[ModelColumn, ...]:
    """One for the target's value; of several each by what it is, `y_mean` and `y_variance`."""
    if roles is None or len(roles.names) == 1:
        return (replace(_column(name, Field(tuple(shape))), link="exp" if roles and roles.is_log else None),)
    return tuple(_column(f"{name}_{role}", Field()) for role in roles.names)


def _scores(name: str, n_classes: int) -> tuple[ModelColumn, ...]:
    return tuple(_column(f"{name}_{number}", Field()) for number in range(n_classes))


def _requirements(plan: Plan, libraries: Collection[str]) -> tuple[str, ...]:
    """What must be installed where the model is used, with versions; `libraries` are those that plugin files import."""
    names = {"torch", "safetensors", "numpy", "pandas"}
    names |= {distribution for library in libraries for distribution in distributions(library)}
    names |= {entry.origin.distribution for entry in model_entries(plan)}
    return tuple(f"{name}=={_version(name)}" for name in sorted(names - {"", "annpipe"}))


@cache
def _version(distribution: str) -> str:
    """The version that is installed; reading it takes milliseconds, and a sweep asks for it with each trial."""
    return metadata.version(distribution).partition("+")[0]


def model_targets(plan: Plan, train: Dataset) -> tuple[ModelTarget, ...]:
    """Each target of the plan, with the words of its values and the columns of the output that predict it."""
    parts, roles = output_parts(plan), plan_roles(plan)
    losses = {head.name: head.loss for head in plan.outputs}
    raw, targets = raw_targets_of(plan), []
    for name, field in plan.fields.targets.items():
        loss, span = losses.get(name, plan.loss), parts[name].span
        gives, labels = expected(loss, name), takes_classes(loss)
        if gives == "logits" and name not in raw:  # the last layer gives probabilities
            gives = "probabilities"
        words = tuple(train.categories.get(name, field.categories))
        classes: tuple[str, ...] | None = None
        if labels:
            width = plan.model[-1].output_shape[0] if span is None else span[1] - span[0]
            classes = (*words[:width], *map(str, range(len(words), width)))
        elif gives in OF_TWO:
            classes = words or ("0", "1")
        target = ModelTarget(
            name=name,
            type=field.type,
            shape=tuple(field.shape),
            span=None if span is None else (span[0], span[1]),
            labels=labels,
            words=words,
            classes=classes,
            gives=gives,
            roles=TargetRoles(**asdict(role)) if (role := roles[name]) else None,
        )
        targets.append(target)
    return tuple(targets)


def described_loss(plan: Plan, parts: Parts) -> dict[str, Any]:
    """What a spec says of the loss by the path at which it does, with the numbers that the train split gave for
    `balanced`: `loss`, or that of each head.
    """
    loss = with_weights(plan, parts.rows["train"].y)
    if not plan.outputs:
        return {"loss": to_data(loss)}
    return {f"model.outputs.{head.name}.loss": to_data(loss.options["losses"][head.name]) for head in plan.outputs}
