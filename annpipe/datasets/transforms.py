"""The transforms of a plan, fitted on the rows of the train split: raw columns → features, and targets and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.streams import drawing
from annpipe.contract import Dataset, Fields
from annpipe.datasets.splits import Splits
from annpipe.draft.component import Component
from annpipe.draft.transforms import INVERTIBLE, Groups, Transforming, grouped
from annpipe.errors import OptionError, Problem, SpecError
from annpipe.portable.columns import Columns, Targets, Whole
from annpipe.registry import Entry, Origin, Parameter
from annpipe.registry.discovery import PluginFault
from annpipe.registry.traits import TransformTraits


@dataclass(frozen=True)
class Step:
    """One transform of a group: its module, and the component with what the engine supplied to it."""

    module: torch.nn.Module
    component: Component

    @property
    def is_inside(self) -> bool:
        """Whether it goes with each batch, as what is trained or random does; the others are applied once."""
        return bool(getattr(self.module, "only_training", False)) or self._is_trained

    @property
    def _is_trained(self) -> bool:
        return any(True for _ in self.module.parameters())

    def given(self, x: torch.Tensor) -> torch.Tensor:
        """What it gives of rows that arrive."""
        with torch.no_grad():
            out: torch.Tensor = self.module(x.float() if self._is_trained else x)
        return out


@dataclass(frozen=True)
class Group:
    """Columns by their positions in the matrix that arrives, and what they go through."""

    positions: tuple[int, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Fitted:
    """All transforms of a plan. `before` is applied once to each split, `inside` begins the model, `targets` ends it.

    Each of the three is groups, empty where it has nothing to do; `is_whole` where the input has a shape of its own.
    `shape` is that of a row as the first layer meets it, `stacks` has those that each stack of inputs then takes,
    `widths` how many numbers predict each target where these are several, `variances` which of them is a variance.
    """

    before: tuple[Group, ...]
    inside: tuple[Group, ...]
    targets: tuple[tuple[Step, ...], ...]
    is_whole: bool
    shape: tuple[int, ...]
    stacks: tuple[tuple[int, ...], ...] = ()
    widths: tuple[int, ...] = ()
    variances: tuple[int | None, ...] = ()

    def columns(self, groups: Sequence[Group]) -> torch.nn.Module | None:
        """The module of `before` or `inside`, None where there is nothing to do."""
        if not groups:
            return None
        if self.is_whole:
            return Whole(*(step.module for step in groups[0].steps))
        return Columns([(group.positions, [step.module for step in group.steps]) for group in groups])

    @property
    def target_columns(self) -> Targets | None:
        """The module that scales targets and leads predictions back."""
        if not any(self.targets):
            return None
        return Targets([[step.module for step in steps] for steps in self.targets], self.widths, self.variances)


def known_categories(splits: Splits, fields: Fields) -> Splits:
    """The splits with the categories that the train split has: a row of another one has -1, as the unseen has later."""
    train = splits.train
    names = [name for name, field in fields.inputs.items() if field.type == "category" and name in train.categories]
    if not names:
        return splits
    kept = {name: new_positions(present(train.inputs[name], len(train.categories[name]))) for name in names}
    parts = {name: recoded(part, kept) for name, part in splits.by_name.items()}
    return Splits(parts["train"], parts.get("val"), parts.get("test"))


def present(codes: torch.Tensor, n_categories: int) -> torch.Tensor:
    """(rows,) positions, NaN where missing -> (categories,) whether a row has each."""
    has = torch.zeros(n_categories, dtype=torch.bool)
    has[codes[~codes.isnan()].long()] = True
    return has


def new_positions(has: torch.Tensor) -> torch.Tensor:
    """The position of each category among those that are there, -1 for the others."""
    return torch.where(has, has.cumsum(0) - 1, -1)


def recoded(part: Dataset, kept: Mapping[str, torch.Tensor]) -> Dataset:
    """The rows with the new positions of their categories."""
    inputs, categories = dict(part.inputs), dict(part.categories)
    for name, positions in kept.items():
        if not len(positions):  # the column is missing in all rows
            continue
        codes = inputs[name]
        new = positions[codes.nan_to_num(nan=0.0).long()].to(codes.dtype)
        inputs[name] = torch.where(codes.isnan(), codes, new)
        categories[name] = tuple(word for word, at in zip(categories[name], positions, strict=True) if at >= 0)
    return replace(part, inputs=inputs, categories=categories)


Learning = Callable[[Any, torch.Tensor], None]
"""How a transform learns from the rows that arrive at it."""


def by_fitting(module: Any, x: torch.Tensor) -> None:
    """A transform learns from all rows at once."""
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

    `stacks` has the inputs of each stack of `model.inputs`: their columns are then laid out stack by stack. `learn` is
    asked for each step in turn: those of the targets first, then those of the inputs, as `together` tells them.
    """
    groups = grouped(transforms, fields)
    is_whole = not stacks and any(field.shape for field in fields.inputs.values())
    with drawing(seed, "columns"):
        targets = _target_steps(groups, fields, train, learn)
        if is_whole:
            (name, x), *_ = train.inputs.items()
            steps, out = _fitted_steps(_steps_of(groups, name), x.double(), [], (name,), learn)
            before, inside = ((Group((), part),) if part else () for part in _cut(steps))
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
    """Columns first through what is applied once, group by group; then through what belongs to the model."""
    places = column_places(train)
    before: list[Group] = []
    inside: list[Group] = []
    shapes: list[tuple[int, ...]] = []
    start = 0
    for stack in stacks or [list(train.inputs)]:
        outs: list[tuple[int, ...]] = []
        for components, taken in together(groups, stack):
            once, later, size, out = _fit_group(components, taken, train, fields, learn)
            before.append(Group(tuple(at for name in taken for at in range(*places[name])), once))
            inside.append(Group(tuple(range(start, start + size)), later))
            start += size
            outs.append(out)
        shapes.append(outs[0] if len(outs) == 1 else (sum(math.prod(out) for out in outs),))
    in_order = [position for group in before for position in group.positions] == list(range(_width(places)))
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


def together(groups: Groups, stack: Sequence[str]) -> Iterator[tuple[Sequence[Component], tuple[str, ...]]]:
    """The columns of a stack that go through the same steps, in the order in which they are laid out."""
    for steps, taken in (*((part.steps, taken) for part, taken in groups.inputs), ((), groups.rest)):
        if own := tuple(name for name in taken if name in stack):
            yield steps, own


def _width(places: Mapping[str, tuple[int, int]]) -> int:
    return max(stop for _, stop in places.values())


def column_places(train: Dataset) -> dict[str, tuple[int, int]]:
    """Where the numbers of each input begin and end in the matrix of all of them."""
    places, start = {}, 0
    for name, tensor in train.inputs.items():
        places[name] = (start, start := start + math.prod(tensor.shape[1:]))
    return places


def _fit_group(
    components: Sequence[Component],
    taken: Sequence[str],
    train: Dataset,
    fields: Fields,
    learn: Learning,
) -> tuple[tuple[Step, ...], tuple[Step, ...], int, tuple[int, ...]]:
    """The steps that are applied once and those with each batch, the numbers between them, the shape after both."""
    first = train.inputs[taken[0]].double()
    shaped = first.ndim > 1
    x = first if shaped else matrix(train.inputs, taken)
    steps, out = _fitted_steps(components, x, n_categories(train, taken, fields), taken, learn)
    once, later = _cut(steps)
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
    """Steps for an input of a shape of its own, which arrives and leaves as numbers side by side."""
    if not steps:
        return ()
    opened = Component("layer", "Unflatten", {"dim": 1, "unflattened_size": list(shape)}, entry=UNFLATTEN)
    first, last = torch.nn.Unflatten(1, shape), torch.nn.Flatten()
    return (Step(first, opened), *steps, Step(last, Component("layer", "Flatten", {}, entry=FLATTEN)))


def matrix(tensors: Mapping[str, torch.Tensor], names: Sequence[str]) -> torch.Tensor:
    """The named columns side by side, (rows,) each -> (rows, names), in double precision."""
    return torch.stack([tensors[name].double() for name in names], 1)


def n_categories(train: Dataset, names: Sequence[str], fields: Fields) -> list[int]:
    """How many categories each column has, 0 where it holds numbers; a boolean has names too, and stays 0 and 1."""
    coded = [fields.inputs[name].type == "category" for name in names]
    return [len(train.categories.get(name, ())) if is_coded else 0 for name, is_coded in zip(names, coded, strict=True)]


def _cut(steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """What is applied once, and what goes with each batch: from the first such step on."""
    first = next((number for number, step in enumerate(steps) if step.is_inside), len(steps))
    return tuple(steps[:first]), tuple(steps[first:])


def _target_steps(groups: Groups, fields: Fields, train: Dataset, learn: Learning) -> tuple[tuple[Step, ...], ...]:
    found = []
    for name in fields.targets:
        part = groups.targets.get(name)
        y = train.targets[name].double()
        components = part.steps if part and y.ndim == 1 else ()
        steps = _fitted_steps(components, y[:, None], [0], (name,), learn)[0]
        for step in steps:
            if not hasattr(step.module, "inverse"):
                message = f"{step.component.name} has no way back, which predictions of the target '{name}' need"
                raise SpecError([Problem("column-type", message, step.component.place, INVERTIBLE)])
        found.append(tuple(steps))
    return tuple(found) if groups.targets else ()


def _fitted_steps(
    components: Sequence[Component],
    x: torch.Tensor,
    counts: Sequence[int],
    names: Sequence[str],
    learn: Learning,
) -> tuple[list[Step], torch.Tensor]:
    """Each step fitted on what the one before gives, and what the last one gives of the rows."""
    steps = []
    for component in components:
        with faults_at(component, names):
            step = made_step(component, counts)
            learn(step.module, x)
            step.given(x[:2])
        x = step.given(x)
        counts = counts if keeps(component) else [0] * x.shape[1]
        steps.append(step)
    return steps, x


def made_step(component: Component, counts: Sequence[int]) -> Step:
    """A step that has learnt nothing yet; `counts` are the numbers of categories of the columns that arrive at it."""
    if component.entry.parameter("categories"):
        component = component.with_options(categories=list(counts))
    module: torch.nn.Module = instantiate(component)
    return Step(module.eval(), component)


def keeps(component: Component) -> bool:
    """Whether a step leaves categories as they are."""
    return component.traits(TransformTraits).gives == "same"


@contextmanager
def faults_at(component: Component, names: Sequence[str]) -> Iterator[None]:
    """What a transform refuses when it is built, fitted or tried is a fault at its line."""
    try:
        yield
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except OptionError as error:
        node = component.given.get(error.option)
        message = f"`{component.name}.{error.option}`: {error.message}"
        raise SpecError(
            [Problem("wrong-value", message, node.place if node else component.place, error.help)]
        ) from error
    except Exception as error:  # a transform may refuse columns with anything
        what = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        message = f"{component.name} cannot be fitted on {what}: {error}"
        raise SpecError([Problem("wrong-value", message, component.place)]) from error
