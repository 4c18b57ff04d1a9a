"""annpipe: a YAML file is a training run.

For plugin authors: the marks (`data`, `layer`, `loss`, `optimizer`, `scheduler`, `distribution`, `metric`, `callback`,
`plot`), what passes between engine and components (`Dataset`, `Field`, `Fields`, `Look`, `RunView`, `Expression`),
and `OptionError` to refuse an option's value. For programs: `Registry`.
"""

from annpipe.contract import Dataset, Field, Fields, Look, RunView
from annpipe.errors import OptionError
from annpipe.expression import Expression
from annpipe.registry.entry import Entry
from annpipe.registry.marks import callback, data, distribution, layer, loss, metric, optimizer, plot, scheduler
from annpipe.registry.registry import Registry
from annpipe.registry.signature import Typing, describe

__all__ = [
    "Dataset",
    "Entry",
    "Expression",
    "Field",
    "Fields",
    "Look",
    "OptionError",
    "Registry",
    "RunView",
    "Typing",
    "callback",
    "data",
    "describe",
    "distribution",
    "layer",
    "loss",
    "metric",
    "optimizer",
    "plot",
    "scheduler",
]
