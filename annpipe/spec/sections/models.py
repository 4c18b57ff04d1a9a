"""The sections of a spec: their order, the components in each, and their options as strict pydantic models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from annpipe.registry.kinds import KINDS

_OF_COMPONENTS = {kind.section: kind for kind in KINDS.values() if kind.section}
ONE_COMPONENT: Mapping[str, str] = {name: kind.name for name, kind in _OF_COMPONENTS.items() if not kind.many}
"""The kinds of sections that are one component, by the names of the sections."""

MANY_COMPONENTS: Mapping[str, str] = {name: kind.name for name, kind in _OF_COMPONENTS.items() if kind.many}
"""The kinds of sections that are a list of components."""

SECTIONS = (
    *("version", "name", "description", "tags", "plugins", "seed", "device", "data", "blocks", "model"),
    *(name for name in ONE_COMPONENT if name != "data"),
    *("train", "metrics", "plots", "callbacks", "sweep", "tracking"),
)
LIST_SECTIONS = frozenset({"plugins", "model", *MANY_COMPONENTS})

DESCRIPTIONS: Mapping[str, str] = {
    "device": "where and how the run computes",
    "blocks": "stacks of layers by name, to be used as layers in the model",
    "model": "the layers, in order; sizes are filled in; `inputs`, `outputs`, `init`, `freeze`, `from` say more",
    "train": "how long, in what batches, and when the run looks",
    "sweep": "what `annpipe sweep` tries; a single run does not look at it",
    "tracking": "where the record goes",
    **{name: kind.purpose for name, kind in _OF_COMPONENTS.items()},
}
"""What a section is for, where its own fields do not say it."""


Word = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """The manners of every section: strict types, no unknown key, nothing changes afterwards."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Device(Section):
    """`device`: where and how the run computes."""

    type: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    threads: Literal["auto"] | Positive = Field("auto", description="CPU threads; auto measures a few steps")
    precision: Literal["float32", "float64"] = Field("float32", description="the dtype of parameters and data")
    autocast: Literal["off", "bfloat16", "float16"] = Field(
        "off",
        description="the shorter dtype that torch.autocast computes with while training; parameters keep theirs",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="several whole steps as one, compiled on the CPU, a graph on CUDA: "
        "auto where the steps left pay for it, on at once",
    )
    deterministic: bool = Field(
        False, description="deterministic kernels only, one thread unless given, compiled or graphed steps only with on"
    )


class Split(Section):
    """`data.split`: which rows are held out: fractions drawn by the stream `split`, or as columns or files say."""

    val: Fraction = Field(0.0, description="fraction of rows for validation")
    test: Fraction = Field(0.0, description="fraction of rows for the test at the end")
    stratify: Word | None = Field(None, description="a column whose values each split has in the same proportions")
    groups: Word | None = Field(None, description="a column; rows of the same value stay in one split")
    order: Word | None = Field(
        None, description="a column to sort by: the last rows are the test, those before them val"
    )
    by: Word | None = Field(None, description="a column that says train, val or test for each row")
    val_rows: Word | None = Field(None, description="a file with the numbers of the rows for val, from 0, one a line")
    test_rows: Word | None = Field(None, description="the same for the test")
    folds: Annotated[int, Field(ge=2)] | None = Field(None, description="parts of equal size; one of them is val")
    fold: Annotated[int, Field(ge=0)] = Field(0, description="which of the folds is val, from 0")
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="of the stream `split`, where the same rows are held out whatever the run's seed"
    )

    @property
    def has_val(self) -> bool:
        """Whether there is a val split, as far as can be told without rows: a column may name one."""
        return bool(self.val or self.folds or self.by or self.val_rows)

    @property
    def has_test(self) -> bool:
        """The same of a test split."""
        return bool(self.test or self.by or self.test_rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs beside inputs and targets."""
        return tuple(name for name in (self.groups, self.order, self.by) if name)

    @property
    def files(self) -> dict[str, str]:
        """The files that name rows, by the part that these are for."""
        named = {"val": self.val_rows, "test": self.test_rows}
        return {part: file for part, file in named.items() if file}

    @property
    def needs_rows(self) -> bool:
        """Whether only the rows themselves tell how many are held out."""
        return bool(self.groups or self.by or self.files)


class Train(Section):
    """`train`: how long, in what batches, and when the run looks."""

    epochs: Positive | None = Field(None, description="passes over the train split; this or steps")
    steps: Positive | None = Field(None, description="optimizer steps in all; this or epochs")
    max_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None, description="seconds of training after which the run ends, wherever it is"
    )
    batch_size: Literal["all"] | Positive = Field("all", description="rows a step; all is the full batch")
    shuffle: bool = Field(True, description="draw a new order of rows each epoch (mini-batches only)")
    drop_last: bool = Field(False, description="leave out the last batch of an epoch when it is smaller")
    accumulate: Positive = Field(1, description="batches a step; their gradients add up to those of one large batch")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="the most that all gradients together may be long; longer ones are scaled down"
    )
    clip_value: Annotated[float, Field(gt=0)] | None = Field(
        None, description="the most that each number of a gradient may be, up and down; cut before clip_norm"
    )
    non_finite: Literal["stop", "skip", "rollback"] = Field(
        "stop",
        description="what happens where gradients are not finite: the run stops, leaves the step out, or goes back to "
        "its best parameters with half the learning rate",
    )
    scheduler_each: Literal["epoch", "step"] = Field("epoch", description="when the scheduler goes on")
    evaluate_every: Positive = Field(1, description="epochs between evaluations of the val split")
    checkpoint_seconds: Annotated[float, Field(gt=0)] = Field(30.0, description="seconds between safety checkpoints")

    @property
    def clips(self) -> bool:
        """Whether gradients have a limit."""
        return self.clip_norm is not None or self.clip_value is not None

    @property
    def accumulated_size(self) -> int | None:
        """The rows of each batch of a step that gathers several; None where a step has one batch."""
        return self.batch_size if self.accumulate > 1 and self.batch_size != "all" else None


class Sweep(Section):
    """`sweep`: what a sweep of the spec tries; a single run does not look at it."""

    over: Any = Field(None, description="paths of the spec, each with the values that are tried")
    method: Any = Field("grid", description="how trials are chosen: every combination, or one of Optuna's samplers")
    trials: Positive | None = Field(None, description="trials in all; a grid of lists says it itself")
    batch: Positive | None = Field(None, description="trials chosen at a time, before the results of the others")
    metric: Word | None = Field(None, description="the final value they are compared by; val/loss, or train/loss")
    goal: Literal["minimize", "maximize"] | None = Field(None, description="where the metric does not say it itself")
    prune: Any = Field(None, description="which of Optuna's pruners stops trials early")
    on_failure: Literal["continue", "stop"] = Field("continue", description="what happens after a trial that failed")
    retries: Annotated[int, Field(ge=0)] = Field(0, description="how often a trial that failed is tried again")


class Tracking(Section):
    """`tracking`: where the record goes."""

    experiment: Word | None = Field(None, description="MLflow experiment; the spec's name")
    uri: Word | None = Field(None, description="MLflow tracking URI; the project's store")
    wait_seconds: Annotated[float, Field(ge=0)] = Field(20.0, description="how long to wait for the record at the end")
    system: bool | None = Field(
        None, description="system metrics: processor, memory and GPU; without it, of runs over a minute"
    )
    report: bool = Field(True, description="a report at the end, which shows some rows of the data")


class Head(Section):
    """The sections that are single values."""

    version: Literal[1] = Field(description="the version of the spec language")
    name: Word = Field(description="the name of the run")
    description: str = Field("", description="a note for the record")
    tags: dict[str, str | int | float | bool] = Field({}, description="tags for the record")
    plugins: list[str] = Field([], description="plugin files, relative to the spec")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="the seed of every random stream")

    @field_validator("version", mode="before")
    @classmethod
    def _is_whole(cls, version: Any) -> Any:
        """In Python true and 1.0 equal 1; a version is neither."""
        if type(version) is not int:
            raise ValueError
        return version
