"""What passes between the engine and components: fields, datasets, views of a run, looks.

**Data.** A data component returns a `Dataset`: named tensors whose first dimension is rows. Inputs of shape (rows,)
become the columns of one (rows, inputs) matrix; a single input of another shape goes to the model as it is. Rows that
do not fit into memory come as a `ChunkedDataset`, whose chunks are such datasets.
**Looks.** A callback sees a `Look`, never a step. **Plots.** A plot sees a `RunView` and returns a matplotlib figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Remark:
    """What makes it doubtful that a column is what it is taken for: a warning to whoever trains on it.

    `is_leak` tells that it gives away what the model is asked for, as the number of a row may.
    """

    message: str
    help: str
    is_leak: bool = False


@dataclass(frozen=True)
class Field:
    """One named tensor of a dataset: the shape of a row (`()` for a number), its dtype, and the number of classes.

    `dtype` is "float" (the run's precision) or "int" (int64: tokens, class labels). `type` is "number", "category",
    "boolean", "date" or "text". The values of a category are positions in `categories`, NaN where there is none; those
    of a date are days since 1970-01-01; a text comes as the counts that `counted` describes, a row of them. `missing`
    counts the rows whose value is NaN. `remarks` are warnings of whoever read the column.
    """

    shape: tuple[int, ...] = ()
    dtype: str = "float"
    classes: int | None = None
    type: str = "number"
    categories: tuple[str, ...] = ()
    missing: int = 0
    remarks: tuple[Remark, ...] = ()
    counted: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def stands_alone(self) -> bool:
        """Whether its rows have a shape that cannot stand beside other columns, as that of an image."""
        return bool(self.shape) and self.type != "text"


@dataclass(frozen=True)
class Fields:
    """The inputs and targets of a dataset by name, and the number of rows where it is known before they are made.

    `features` is the shape of a row as the first layer meets it, where transforms make it another than the inputs' own;
    `stacks` those that each stack of `model.inputs` then meets. `in_blocks` tells that the data are a `ChunkedDataset`.
    """

    inputs: Mapping[str, Field]
    targets: Mapping[str, Field]
    rows: int | None = None
    features: tuple[int, ...] | None = None
    stacks: tuple[tuple[int, ...], ...] = ()
    in_blocks: bool = False


@dataclass(frozen=True)
class Dataset:
    """Named tensors with rows first: `inputs`, `targets`, and where they are known the noiseless targets, `truth`.

    Every tensor is (rows, …) and on the CPU; floats are kept in double precision until the run casts them.
    `categories` names what the values of a column stand for: those of a column of categories are positions in it, NaN
    where missing, of a boolean 0 and 1. `aside` has columns that are neither, kept for `data.split`.
    """

    inputs: Mapping[str, torch.Tensor]
    targets: Mapping[str, torch.Tensor]
    truth: Mapping[str, torch.Tensor] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aside: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True, init=False)
class ChunkedDataset:
    """Rows that do not fit into memory: `iter_chunks()` yields them in order, from the first row, at each call.

    Each chunk is a `Dataset` of some ten thousand rows with the same columns, (rows,) each, and the same categories.
    `digest` changes when any row does; `fields` are those of all rows, with their number.
    """

    fields: Fields
    digest: str
    iter_chunks: Callable[[], Iterator[Dataset]]

    def __init__(
        self,
        fields: Fields,
        digest: str,
        iter_chunks: Callable[[], Iterator[Dataset]] | None = None,
        *,
        passage: Callable[[], Iterator[Dataset]] | None = None,
    ) -> None:
        """`passage` is the earlier name of `iter_chunks`, which plugins may still use."""
        chunks = iter_chunks or passage
        if chunks is None:
            raise TypeError("ChunkedDataset needs `iter_chunks`, a function that yields the chunks")
        for name, value in (("fields", fields), ("digest", digest), ("iter_chunks", chunks)):
            object.__setattr__(self, name, value)

    @property
    def passage(self) -> Callable[[], Iterator[Dataset]]:
        """The earlier name of `iter_chunks`, which plugins may still use."""
        return self.iter_chunks

    @property
    def rows(self) -> int:
        """The number of rows."""
        assert self.fields.rows is not None  # whoever makes chunks has counted their rows
        return self.fields.rows

    def head(self) -> Dataset:
        """The first chunk."""
        return next(self.iter_chunks())


Blocks = ChunkedDataset  # the earlier name, which plugins may still use


@dataclass(frozen=True)
class OutputRoles:
    """What a loss takes the outputs of a network for that belong to one target, where that is not the target's value.

    `names` says what each of them is, as ("mean", "variance"): a target has that many outputs, side by side. The one
    at `point` is the prediction that metrics and figures hold against the target. `variance` is the position of a
    variance, which is in squared units. `is_log` tells that the prediction is the exponential of the output. `layer`
    names the layer that makes such outputs of any numbers; a model that ends with a linear one instead is refused.
    """

    names: tuple[str, ...]
    point: int = 0
    variance: int | None = None
    is_log: bool = False
    layer: str | None = None


@dataclass(frozen=True)
class RunPreview:
    """What is known of a run before it trains, for the `check` of a plot or callback that does not fit every run.

    `loss` is the name of the loss, `takes_classes` tells whether it compares with class labels, `has_val` whether rows
    are held out for validation. `dataset` makes the data, and is None where they must not be made: ask it only where
    the fields do not tell. `options` are those of the plot or callback. `heads` has for each target of a model with
    several outputs its loss and whether this compares with class labels.
    """

    fields: Fields
    loss: str
    takes_classes: bool
    has_val: bool = False
    dataset: Callable[[], Dataset] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, tuple[str, bool]] = field(default_factory=dict)

    def of(self, target: str) -> RunPreview:
        """The preview as if this target, which has a head, were the only one; the same for a model of one output."""
        if target not in self.heads:
            return self
        loss, takes_classes = self.heads[target]
        fields = replace(self.fields, targets={target: self.fields.targets[target]})
        return replace(self, fields=fields, loss=loss, takes_classes=takes_classes, heads={})


Outline = RunPreview  # the name that the `check` of plugins is annotated with


@dataclass(frozen=True)
class RunView:
    """What a plot may see of a run.

    `train`, `val`, `test` are its splits (None where there is no such split), on the CPU in the units of the data.
    `history` has for each metric key the epochs and the values. `predict` takes inputs by name, each (rows, …), and
    gives for each target its values, (rows,) or (rows, …), or the scores of its classes, (rows, classes).
    `loss` is the name of the loss, `losses` those of the heads of a model with several outputs, by their targets.
    `transformed` tells that transforms stand before the model, whose features are then other ones than the inputs.
    `raw_scores` are the targets of 0 and 1 whose outputs are logits: above 0 they mean 1; all others above 0.5.
    Where a finished run is measured on the rows of a file, these are `train`, and `rows` is what to call them.
    """

    name: str
    train: Dataset
    val: Dataset | None
    test: Dataset | None
    history: Mapping[str, tuple[list[int], list[float]]]
    predict: Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]
    model: torch.nn.Module
    loss: str
    transformed: bool = False
    losses: Mapping[str, str] = field(default_factory=dict)
    rows: str = "train"
    raw_scores: frozenset[str] = frozenset()

    def loss_of(self, target: str) -> str:
        """The name of the loss that a target is compared by."""
        return self.losses.get(target, self.loss)


class MetricKey(str):
    """The type of an option that names a metric of the run, as `val/loss`: that it is there is checked beforehand."""

    __slots__ = ()


class Loss(Protocol):
    """The type of an option that is a loss: a module (prediction, target) -> scalar."""

    def __call__(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class LossTerm:
    """One of the losses that a loss made of losses adds up: what its method `terms()` gives a list of.

    `prediction` and `target` cut out what it sees of them; None: all. With its terms each loss inside keeps its own
    divisor where batches are put together, in accumulated steps and in the recorded losses.
    """

    loss: Loss
    weight: float = 1.0
    prediction: Callable[[torch.Tensor], torch.Tensor] | None = None
    target: Callable[[torch.Tensor], torch.Tensor] | None = None


def _no_run(*asked: object) -> Any:
    raise RuntimeError("this look was made without a run to show")


@dataclass
class Look:
    """What a callback sees at the end of an epoch: where the run is, its values, and what it may ask for.

    `values` holds the latest metrics by key (`train/loss`, `val/loss`, …), `higher_is_better` the keys of which large
    values are good. `stop(reason)` ends the run after this epoch; `keep(name)` writes a checkpoint
    `checkpoints/<name>`; `restore(name)` puts its parameters back when the run ends.

    The rest costs what it gives, and nothing until it is called. `parameters()` and `gradients()` are copies by name,
    on the CPU: the trained parameters, and what the last step followed (after clipping). `view()` is the run as a plot
    sees it, with its splits and `predict`. `artifact(name, content)` keeps a text or a matplotlib figure as
    `looks/<name>` with the run's artifacts; a figure's name is given without its ending. `record(values)` records
    numbers of the callback's own under its keys, as curves beside the run's.
    """

    epoch: int
    step: int
    values: Mapping[str, float]
    stop: Callable[[str], None]
    keep: Callable[[str], None]
    restore: Callable[[str], None]
    higher_is_better: frozenset[str] = frozenset()
    parameters: Callable[[], Mapping[str, torch.Tensor]] = dict
    gradients: Callable[[], Mapping[str, torch.Tensor]] = dict
    view: Callable[[], RunView] = _no_run
    artifact: Callable[[str, str | Figure], None] = _no_run
    record: Callable[[Mapping[str, float]], None] = _no_run


def norms_by_layer(tensors: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The Euclidean norm over all tensors of a layer, by its name: of `0.weight` and `0.bias` under `0`.

    What belongs to no layer, as a parameter of the model itself, is under its own name.
    """
    squares: dict[str, float] = {}
    for name, tensor in tensors.items():
        layer = name.rpartition(".")[0] or name
        squares[layer] = squares.get(layer, 0.0) + float(tensor.double().square().sum())
    return {layer: math.sqrt(square) for layer, square in squares.items()}
