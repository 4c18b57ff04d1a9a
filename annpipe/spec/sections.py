"""The sections of a spec and their rules, as strict pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

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
    deterministic: bool = Field(False, description="deterministic kernels only, and one thread unless given")


class Split(Section):
    """`data.split`: the fractions of rows held out, drawn by the stream `split`."""

    val: Fraction = Field(0.0, description="fraction of rows for validation")
    test: Fraction = Field(0.0, description="fraction of rows for the test at the end")


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
    scheduler_each: Literal["epoch", "step"] = Field("epoch", description="when the scheduler goes on")
    evaluate_every: Positive = Field(1, description="epochs between evaluations of the val split")
    checkpoint_seconds: Annotated[float, Field(gt=0)] = Field(30.0, description="seconds between safety checkpoints")


class Tracking(Section):
    """`tracking`: where the record goes."""

    experiment: Word | None = Field(None, description="MLflow experiment; the spec's name")
    uri: Word | None = Field(None, description="MLflow tracking URI; the project's store")
    wait_seconds: Annotated[float, Field(ge=0)] = Field(20.0, description="how long to wait for the record at the end")


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
