"""The kinds of component, and what the engine supplies to each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A place in a spec where a component may stand.

    `supplied` names the parameters that the engine fills: left out of a spec, or written only where they agree.
    """

    name: str
    gives: str
    supplied: frozenset[str] = frozenset()


_KINDS = (
    Kind("data", "a Dataset of named tensors, or a ChunkedDataset", frozenset({"generator", "aside"})),
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
    Kind("initializer", "a function that fills a tensor with its first values", frozenset({"tensor", "generator"})),
    Kind("loss", "a module (prediction, target) -> scalar", frozenset({"target_names"})),
    Kind("optimizer", "a torch.optim.Optimizer", frozenset({"params"})),
    Kind("scheduler", "a learning-rate scheduler", frozenset({"optimizer"})),
    Kind("average", "a torch.optim.swa_utils.AveragedModel", frozenset({"model"})),
    Kind("distribution", "a torch.distributions.Distribution"),
    Kind("metric", "an accumulator with update(prediction, target) and compute()"),
    Kind("callback", "an object that acts at looks: on_look(look)"),
    Kind("plot", "a matplotlib figure of a run"),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


def with_article(kind: str) -> str:
    """The kind in a sentence: "a layer", "an optimizer", "a data component"."""
    if kind == "data":
        return "a data component"
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
