"""The kinds of component: what the engine supplies to each, where each may stand, how to know one without a mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annpipe.errors.wording import article
from annpipe.registry.traits import (
    AverageTraits,
    CallbackTraits,
    DataTraits,
    LayerTraits,
    LossTraits,
    MetricTraits,
    OptimizerTraits,
    PlotTraits,
    SchedulerTraits,
    Traits,
    TransformTraits,
    read_traits,
)


@dataclass(frozen=True)
class Kind:
    """A place in a spec where a component may stand.

    `supplied` names the parameters that the engine fills: left out of a spec, or written only where they agree.
    `needs` is the one of them without which a component of this kind can do nothing.
    `section` is the section of a spec that is one component of this kind, or with `many` a list of them; None where
    the kind stands inside other sections. `purpose` says what the section is for.
    `traits` is what the engine must know of such components beyond their options.
    `base`, `methods` and `returned` show a class or function that is one although nothing marks it: torch's class that
    it extends, methods that it has, the types that it returns. `engine_options` are acted on by the engine itself.
    """

    name: str
    gives: str
    supplied: frozenset[str] = frozenset()
    needs: str | None = None
    section: str | None = None
    many: bool = False
    purpose: str = ""
    traits: type[Traits] = Traits
    base: str = ""
    methods: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    engine_options: frozenset[str] = frozenset()


_KINDS = (
    Kind(
        "data",
        "a Dataset of named tensors, or a ChunkedDataset",
        frozenset({"generator", "aside"}),
        section="data",
        purpose="one data component, `transforms` of its columns, and `split` for the rows held out",
        traits=DataTraits,
        returned=("Dataset", "ChunkedDataset"),
    ),
    Kind(
        "transform",
        "a torch.nn.Module with fit(x), fitted on the rows of the train split",
        frozenset({"categories"}),
        traits=TransformTraits,
    ),
    Kind(
        "layer",
        "a torch.nn.Module that takes one tensor",
        frozenset(
            {
                "in_features",
                "in_channels",
                "num_features",
                "num_channels",
                "input_size",
                "normalized_shape",
                "d_model",
                "embed_dim",
                "input_shape",
                "output_shape",
                "output_shapes",
                "stack",
                "tap_shapes",
                "tap_values",
            }
        ),
        traits=LayerTraits,
    ),
    Kind(
        "initializer",
        "a function that fills a tensor with its first values",
        frozenset({"tensor", "generator"}),
        needs="tensor",
    ),
    Kind(
        "loss",
        "a module (prediction, target) -> scalar",
        frozenset({"target_names"}),
        section="loss",
        purpose="what training makes small",
        traits=LossTraits,
    ),
    Kind(
        "optimizer",
        "a torch.optim.Optimizer",
        frozenset({"params"}),
        needs="params",
        section="optimizer",
        purpose="how the parameters are stepped",
        traits=OptimizerTraits,
        base="Optimizer",
    ),
    Kind(
        "scheduler",
        "a learning-rate scheduler",
        frozenset({"optimizer"}),
        needs="optimizer",
        section="scheduler",
        purpose="how the learning rate changes over the run",
        traits=SchedulerTraits,
        base="LRScheduler",
    ),
    Kind(
        "average",
        "a torch.optim.swa_utils.AveragedModel",
        frozenset({"model"}),
        needs="model",
        section="average",
        purpose="which average of the parameters is evaluated and saved",
        traits=AverageTraits,
        base="AveragedModel",
        engine_options=frozenset({"start"}),
    ),
    Kind("distribution", "a torch.distributions.Distribution", base="Distribution"),
    Kind(
        "metric",
        "an accumulator with update(prediction, target) and compute()",
        section="metrics",
        many=True,
        purpose="what is measured on each split",
        traits=MetricTraits,
        methods=("update", "compute"),
    ),
    Kind(
        "callback",
        "an object that acts at looks: on_look(look)",
        section="callbacks",
        many=True,
        purpose="what acts at the looks of the run, as early_stopping does",
        traits=CallbackTraits,
        methods=("on_look",),
    ),
    Kind(
        "plot",
        "a matplotlib figure of a run",
        section="plots",
        many=True,
        purpose="the figures that are drawn",
        traits=PlotTraits,
        returned=("Figure",),
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


def traits_class(kind: str) -> type[Traits]:
    """The class of the traits of a kind; of a word that is no kind, the traits that all have."""
    return KINDS[kind].traits if kind in KINDS else Traits


def traits_of(kind: str, data: Mapping[str, Any]) -> Traits:
    """The traits that JSON or a mark says of a kind; raises TraitFault for a name or a value that it does not have."""
    return read_traits(traits_class(kind), kind, data)


def with_article(kind: str) -> str:
    """The kind in a sentence: "a layer", "an optimizer", "a data component"."""
    if kind == "data":
        return "a data component"
    return article(kind)
