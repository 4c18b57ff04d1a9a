"""The kinds of component, and what the engine supplies to each."""

from __future__ import annotations

from dataclasses import dataclass

from annpipe.errors.wording import article


@dataclass(frozen=True)
class Kind:
    """A place in a spec where a component may stand.

    `supplied` names the parameters that the engine fills: left out of a spec, or written only where they agree.
    `needs` is the one of them without which a component of this kind can do nothing.
    `section` is the section of a spec that is one component of this kind, or with `many` a list of them; None where
    the kind stands inside other sections. `purpose` says what the section is for.
    """

    name: str
    gives: str
    supplied: frozenset[str] = frozenset()
    needs: str | None = None
    section: str | None = None
    many: bool = False
    purpose: str = ""


_KINDS = (
    Kind(
        "data",
        "a Dataset of named tensors, or a ChunkedDataset",
        frozenset({"generator", "aside"}),
        section="data",
        purpose="one data component, `transforms` of its columns, and `split` for the rows held out",
    ),
    Kind(
        "transform", "a torch.nn.Module with fit(x), fitted on the rows of the train split", frozenset({"categories"})
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
    ),
    Kind(
        "optimizer",
        "a torch.optim.Optimizer",
        frozenset({"params"}),
        needs="params",
        section="optimizer",
        purpose="how the parameters are stepped",
    ),
    Kind(
        "scheduler",
        "a learning-rate scheduler",
        frozenset({"optimizer"}),
        needs="optimizer",
        section="scheduler",
        purpose="how the learning rate changes over the run",
    ),
    Kind(
        "average",
        "a torch.optim.swa_utils.AveragedModel",
        frozenset({"model"}),
        needs="model",
        section="average",
        purpose="which average of the parameters is evaluated and saved",
    ),
    Kind("distribution", "a torch.distributions.Distribution"),
    Kind(
        "metric",
        "an accumulator with update(prediction, target) and compute()",
        section="metrics",
        many=True,
        purpose="what is measured on each split",
    ),
    Kind(
        "callback",
        "an object that acts at looks: on_look(look)",
        section="callbacks",
        many=True,
        purpose="what acts at the looks of the run, as early_stopping does",
    ),
    Kind(
        "plot",
        "a matplotlib figure of a run",
        section="plots",
        many=True,
        purpose="the figures that are drawn",
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


def with_article(kind: str) -> str:
    """The kind in a sentence: "a layer", "an optimizer", "a data component"."""
    if kind == "data":
        return "a data component"
    return article(kind)
