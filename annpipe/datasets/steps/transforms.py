"""The transforms of a run, fitted on the train split: raw columns → features, and targets and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.streams import drawing
from annpipe.contract import Dataset, Fields
from annpipe.datasets.steps.categories import n_categories
from annpipe.datasets.steps.faults import checked_output, faults_at
from annpipe.draft.component import Component
from annpipe.draft.transforms import INVERTIBLE, Groups, Transforming, grouped
from annpipe.errors import Problem, SpecError
from annpipe.portable.columns import Columns, Targets, Whole
from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.traits import TransformTraits


@dataclass(frozen=True)
class Step:
    """One transform of a group: its module, and its component with the options that the engine supplied.

    Of some `leaves_nothing` tells that no column was left of the rows that it was fitted on.
    """

    module: torch.nn.Module
    component: Component
    leaves_nothing: bool = False

    @property
    def is_inside(self) -> bool:
        """Whether it is part of the model, as what is trained or random is; other steps are applied once, before."""
        return bool(getattr(self.module, "only_training", False)) or self._is_trained

    @property
    def _is_trained(self) -> bool:
        return any(True for _ in self.module.parameters())

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """The rows after the step, without gradients."""
        with torch.no_grad():
            out: torch.Tensor = self.module(x.float() if self._is_trained else x)
        return out


@dataclass(frozen=True)
class ColumnGroup:
    """Columns, by their positions in the incoming matrix, and the steps that they go through."""

    positions: tuple[int, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Fitted:
    """All transforms of a run. `before` is applied once to each split, `inside` begins the model, `targets` ends it.

    Each of the three has groups and may be empty. `is_whole` tells that the input has a shape of its own. `shape` is
    that of a row as the first layer gets it, `stacks` has those of each stack of `model.inputs`. `widths` is the number
    of outputs for each target where a target has several, `variances` the position of a variance among them.
    """

    before: tuple[ColumnGroup, ...]
    inside: tuple[ColumnGroup, ...]
    targets: tuple[tuple[Step, ...], ...]
    is_whole: bool
    shape: tuple[int, ...]
    stacks: tuple[tuple[int, ...], ...] = ()
    widths: tuple[int, ...] = ()
    variances: tuple[int | None, ...] = ()

    def columns(self, groups: Sequence[ColumnGroup]) -> torch.nn.Module | None:
        """The module for `before` or `inside`; None where it is empty."""
        if not groups:
            return None
        if self.is_whole:
            return Whole(*(step.module for step in groups[0].steps))
        return Columns([(group.positions, [step.module for step in group.steps]) for group in groups])

    @property
    def target_columns(self) -> Targets | None:
        """The module that transforms targets, and predictions back to the units of the data."""
        if not any(self.targets):
            return None
        return Targets([[step.module for step in steps] for steps in self.targets], self.widths, self.variances)


Learning = Callable[[Any, torch.Tensor], None]
"""How a transform is fitted to the rows that arrive at it."""


def by_fitting(module: Any, x: torch.Tensor) -> None:
    """Fits a transform to all rows at once."""
    module.fit(x)


def fit_columns(
    transforms: Sequence[Transforming],
    fields: Fields,
    train: Dataset,
    seed: int,
    stacks: Sequence[Sequence[str]] = (),
    learn: Learning = by_fitting,
) -> Fitted:
    """Fits every transform on the rows of the train split; raises SpecError at the one that refuses them.

    `stacks` has the inputs of each stack of `model.inputs`, whose columns then follow one another stack by stack.
    `learn` is called for each step: first for those of the targets, then for those of the inputs, in the order of
    `together`.
    """
    groups = grouped(transforms, fields)
    is_whole = not stacks and any(field.stands_alone for field in fields.inputs.values())
    with drawing(seed, "columns"):
        targets = _target_steps(groups, fields, train, learn)
        if is_whole:
            (name, x), *_ = train.inputs.items()
            steps, out = _fitted_steps(_steps_of(groups, name), x.double(), [], (name,), learn)
            if not out.shape[1:].numel():
                raise nothing_left(steps)
            before, inside = ((ColumnGroup((), part),) if part else () for part in _split_at_model(steps))
            return Fitted(before, inside, targets, True, tuple(out.shape[1:]))
        return _fit_table(groups, train, fields, targets, stacks, learn)


def _steps_of(groups: Groups, name: str) -> Sequence[Component]:
    return [step for part, names in groups.inputs if name in names for step in part.steps]


def _fit_table(
    groups: Groups,
    train: Dataset,
    fields: Fields,
    targets: tuple[tuple[Step, ...], ...],
    stacks: Sequence[Sequence[str]],
    learn: Learning,
) -> Fitted:
    """Columns go group by group, first through what is applied once, then through what is part of the model."""
    spans = column_spans(train)
    before: list[ColumnGroup] = []
    inside: list[ColumnGroup] = []
    shapes: list[tuple[int, ...]] = []
    start = 0
    for stack in stacks or [list(train.inputs)]:
        outs: list[tuple[int, ...]] = []
        steps: list[Step] = []
        for components, names in together(groups, stack):
            once, later, size, out = _fit_group(components, names, train, fields, learn)
            before.append(ColumnGroup(tuple(at for name in names for at in range(*spans[name])), once))
            inside.append(ColumnGroup(tuple(range(start, start + size)), later))
            start += size
            outs.append(out)
            steps += [*once, *later]
        shapes.append(outs[0] if len(outs) == 1 else (sum(math.prod(out) for out in outs),))
        if not math.prod(shapes[-1]):
            raise nothing_left(steps)
    in_order = [position for group in before for position in group.positions] == list(range(_width(spans)))
    nothing_before = in_order and not any(group.steps for group in before)
    nothing_inside = not any(group.steps for group in inside)
    return Fitted(
        () if nothing_before else tuple(before),
        () if nothing_inside else tuple(inside),
        targets,
        False,
        (sum(map(math.prod, shapes)),),
        tuple(shapes) if stacks else (),
    )


def nothing_left(steps: Sequence[Step]) -> SpecError:
    """The error at the first transform that leaves no column, where none of any group is left for the model."""
    component = next(step.component for step in steps if step.leaves_nothing)
    message = f"{component.name} leaves no column: the model would have no input"
    return SpecError([Problem("wrong-value", message, component.place, "let it keep a column, or leave it out")])


def together(groups: Groups, stack: Sequence[str]) -> Iterator[tuple[Sequence[Component], tuple[str, ...]]]:
    """The columns of a stack that go through the same steps, in the order in which they follow one another."""
    for steps, inputs in (*((part.steps, inputs) for part, inputs in groups.inputs), ((), groups.rest)):
        if names := tuple(name for name in inputs if name in stack):
            yield steps, names


def _width(spans: Mapping[str, tuple[int, int]]) -> int:
    return max(stop for _, stop in spans.values())


def column_spans(train: Dataset) -> dict[str, tuple[int, int]]:
    """The first column of each input in the matrix of all of them, and the column after its last."""
    spans, start = {}, 0
    for name, tensor in train.inputs.items():
        spans[name] = (start, start := start + math.prod(tensor.shape[1:]))
    return spans


def _fit_group(
    components: Sequence[Component],
    names: Sequence[str],
    train: Dataset,
    fields: Fields,
    learn: Learning,
) -> tuple[tuple[Step, ...], tuple[Step, ...], int, tuple[int, ...]]:
    """The steps before training and inside the model, the numbers of a row between them, its shape after both."""
    shaped = fields.inputs[names[0]].stands_alone
    x = train.inputs[names[0]].double() if shaped else matrix(train.inputs, names)
    steps, out = _fitted_steps(components, x, n_categories(train, names, fields), names, learn)
    once, later = _split_at_model(steps)
    between = x
    for step in once:
        between = step.module(between)
    if shaped:
        once, later = _in_shape(once, tuple(x.shape[1:])), _in_shape(later, tuple(between.shape[1:]))
    return once, later, math.prod(between.shape[1:]), tuple(out.shape[1:])


FLATTEN = Entry("layer", "Flatten", "torch.nn:Flatten", (), "", Origin("torch"))
UNFLATTEN = Entry(
    "layer",
    "Unflatten",
    "torch.nn:Unflatten",
    (Parameter("dim", "int", required=True), Parameter("unflattened_size", "list[int]", required=True)),
    "",
    Origin("torch"),
)


def _in_shape(steps: tuple[Step, ...], shape: tuple[int, ...]) -> tuple[Step, ...]:
    """Steps for an input of a shape of its own, which enters and leaves as numbers side by side."""
    if not steps:
        return ()
    opened = Component("layer", "Unflatten", {"dim": 1, "unflattened_size": list(shape)}, entry=UNFLATTEN)
    first, last = torch.nn.Unflatten(1, shape), torch.nn.Flatten()
    return (Step(first, opened), *steps, Step(last, Component("layer", "Flatten", {}, entry=FLATTEN)))


def matrix(tensors: Mapping[str, torch.Tensor], names: Sequence[str]) -> torch.Tensor:
    """The named columns side by side, (rows,) or (rows, numbers) each -> (rows, numbers), in double precision."""
    columns = [tensors[name].double() for name in names]
    if any(column.ndim > 1 for column in columns):
        return torch.cat([column.reshape(len(column), -1) for column in columns], 1)
    return torch.stack(columns, 1)


def _split_at_model(steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps before training, and from the first one that is part of the model on, those inside it."""
    first = next((number for number, step in enumerate(steps) if step.is_inside), len(steps))
    return tuple(steps[:first]), tuple(steps[first:])


def _target_steps(groups: Groups, fields: Fields, train: Dataset, learn: Learning) -> tuple[tuple[Step, ...], ...]:
    by_target = []
    for name in fields.targets:
        part = groups.targets.get(name)
        y = train.targets[name].double()
        components = part.steps if part and y.ndim == 1 else ()
        steps = _fitted_steps(components, y[:, None], [0], (name,), learn)[0]
        for step in steps:
            if getattr(step.module, "inverse", None) is None:
                message = f"{step.component.name} has no inverse, which predictions of the target '{name}' need"
                raise SpecError([Problem("column-type", message, step.component.place, INVERTIBLE)])
        by_target.append(tuple(steps))
    return tuple(by_target) if groups.targets else ()


def _fitted_steps(
    components: Sequence[Component],
    x: torch.Tensor,
    counts: Sequence[int],
    names: Sequence[str],
    learn: Learning,
) -> tuple[list[Step], torch.Tensor]:
    """The steps, each fitted to the rows after the one before, and the rows after the last one."""
    steps = []
    for component in components:
        with faults_at(component, names):
            step = make_step(component, counts)
            learn(step.module, x)
            step.apply(x[:2])
        x = checked_output(component, x, step.apply(x), names)
        counts = counts if keeps_categories(component) else [0] * x.shape[1]
        steps.append(replace(step, leaves_nothing=not x.numel()))
    return steps, x


def make_step(component: Component, counts: Sequence[int]) -> Step:
    """A step that is not fitted; `counts` are the numbers of categories of the columns that arrive at it."""
    if component.entry.parameter("categories"):
        component = component.with_options(categories=list(counts))
    module: torch.nn.Module = instantiate(component)
    return Step(module.eval(), component)


def keeps_categories(component: Component) -> bool:
    """Whether a step leaves categories as they are."""
    return component.traits(TransformTraits).gives == "same"
