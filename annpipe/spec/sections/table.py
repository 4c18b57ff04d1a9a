"""The sections of a spec in their order, the kind of the components in each, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS = (
    *("version", "name", "description", "tags", "plugins", "seed", "device", "data", "blocks", "model", "loss"),
    *("optimizer", "scheduler", "average", "train", "metrics", "plots", "callbacks", "sweep", "tracking"),
)
ONE_COMPONENT: Mapping[str, str] = {
    "data": "data",
    "loss": "loss",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
    "average": "average",
}
"""The kinds of sections that are one component, by the names of the sections."""

MANY_COMPONENTS: Mapping[str, str] = {"metrics": "metric", "plots": "plot", "callbacks": "callback"}
"""The kinds of sections that are a list of components."""

LIST_SECTIONS = frozenset({"plugins", "model", *MANY_COMPONENTS})

DESCRIPTIONS: Mapping[str, str] = {
    "device": "where and how the run computes",
    "data": "one data component, `transforms` of its columns, and `split` for the rows held out",
    "blocks": "stacks of layers by name, to be used as layers in the model",
    "model": "the layers, in order; sizes are filled in; `inputs`, `outputs`, `init` and `freeze` where more is said",
    "loss": "what training makes small",
    "optimizer": "how the parameters are stepped",
    "scheduler": "how the learning rate changes over the run",
    "average": "which average of the parameters is evaluated and saved",
    "train": "how long, in what batches, and when the run looks",
    "metrics": "what is measured on each split",
    "plots": "the figures that are drawn",
    "callbacks": "what acts at the looks of the run, as early_stopping does",
    "sweep": "what `annpipe sweep` tries; a single run does not look at it",
    "tracking": "where the record goes",
}
"""What a section is for, where its own fields do not say it."""
