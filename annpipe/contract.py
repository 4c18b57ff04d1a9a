"""What passes between the engine and components: fields, datasets, views of a run, looks.

**Data.** A data component returns a `Dataset`: named tensors whose first dimension is rows. Inputs of shape (rows,)
become the columns of one (rows, inputs) matrix; a single input of another shape goes to the model as it is.
**Looks.** A callback sees a `Look`, never a step. **Plots.** A plot sees a `RunView` and returns a matplotlib figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Field:
    """One named tensor of a dataset: the shape of a row (`()` for a number), its dtype, and the number of classes.

    `dtype` is "float" (the run's precision) or "int" (int64: tokens, class labels).
    """

    shape: tuple[int, ...] = ()
    dtype: str = "float"
    classes: int | None = None


@dataclass(frozen=True)
class Fields:
    """The inputs and targets of a dataset by name, and the number of rows where it is known before they are made."""

    inputs: Mapping[str, Field]
    targets: Mapping[str, Field]
    rows: int | None = None


@dataclass(frozen=True)
class Dataset:
    """Named tensors with rows first: `inputs`, `targets`, and where they are known the noiseless targets, `truth`.

    Every tensor is (rows, …) and on the CPU; floats are kept in double precision until the run casts them.
    """

    inputs: Mapping[str, torch.Tensor]
    targets: Mapping[str, torch.Tensor]
    truth: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class RunView:
    """What a plot may see of a run.

    `train`, `val`, `test` are its splits (None where there is no such split), on the CPU in the units of the data.
    `history` has for each metric key the epochs and the values. `predict` takes inputs by name, each (rows, …), and
    gives for each target its values, (rows,) or (rows, …), or the scores of its classes, (rows, classes).
    """

    name: str
    train: Dataset
    val: Dataset | None
    test: Dataset | None
    history: Mapping[str, tuple[list[int], list[float]]]
    predict: Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]
    model: torch.nn.Module
    loss: str


class MetricKey(str):
    """The type of an option that names a metric of the run, as `val/loss`: that it is there is checked beforehand."""

    __slots__ = ()


class Loss(Protocol):
    """The type of an option that is a loss: a module (prediction, target) -> scalar."""

    def __call__(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor: ...


@dataclass
class Look:
    """What a callback sees at the end of an epoch: where the run is, its values, and what it may ask for.

    `values` holds the latest metrics by key (`train/loss`, `val/loss`, …), `higher_is_better` the keys of which large
    values are good. `stop(reason)` ends the run after this epoch; `keep(name)` writes a checkpoint
    `checkpoints/<name>`; `restore(name)` puts its parameters back when the run ends.
    """

    epoch: int
    step: int
    values: Mapping[str, float]
    stop: Callable[[str], None]
    keep: Callable[[str], None]
    restore: Callable[[str], None]
    higher_is_better: frozenset[str] = frozenset()
