"""The definition of model.json, which says what a saved model takes and gives: read and written here alone.

A copy of this file goes beside every model that MLflow keeps: it imports nothing of annpipe, and not torch. The object
has the fields of `ModelDescription`, in their order. Members that a newer version added are passed over, and members
that an earlier one had not yet are as the defaults say. `version` goes up when a member comes to mean something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

FILE = "model.json"
VERSION = 1  # of what is written here; files of before have none and are of this version


@dataclass(frozen=True, kw_only=True)
class ModelColumn:
    """An input or an output: MLflow's name of its type, and the shape of one row of it (empty for a plain column).

    An input of words has these in their order as `categories`: of a category (type `string`) or a boolean (`any`). An
    output is the logarithm of what it is named after where `link` is "exp". `counted` says how a text is counted.
    """

    name: str
    type: str
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    link: str | None = None
    counted: Mapping[str, Any] | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Out of its JSON object; raises KeyError and TypeError."""
        _check(data, counted=data.get("counted") is None or isinstance(data["counted"], dict))
        _check(data, name=_is_text(data["name"]), shape=_is_list_of(data.get("shape", []), int))
        _check(data, categories=data.get("categories") is None or _is_list_of(data["categories"], str))
        return cls(
            name=data["name"],
            type=data["type"],
            shape=tuple(data.get("shape", ())),
            categories=tuple(data.get("categories") or ()),
            link=data.get("link"),
            counted=data.get("counted"),
        )

    def to_data(self) -> dict[str, Any]:
        """As a JSON object."""
        data: dict[str, Any] = {"name": self.name, "type": self.type, "shape": list(self.shape)}
        data |= {"categories": list(self.categories)} if self.categories else {}
        data |= {"counted": dict(self.counted)} if self.counted is not None else {}
        return data | ({"link": self.link} if self.link else {})


@dataclass(frozen=True, kw_only=True)
class TargetRoles:
    """What the outputs of a target are that are not its value, see `annpipe.OutputRoles`."""

    names: tuple[str, ...]
    point: int
    is_log: bool
    variance: int | None = None
    layer: str | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Out of its JSON object; raises KeyError and TypeError."""
        return cls(
            names=tuple(data["names"]),
            point=data["point"],
            is_log=data["is_log"],
            variance=data.get("variance"),
            layer=data.get("layer"),
        )

    def to_data(self) -> dict[str, Any]:
        """As a JSON object."""
        data = {"names": list(self.names), "point": self.point, "variance": self.variance}
        return data | {"is_log": self.is_log, "layer": self.layer}


@dataclass(frozen=True, kw_only=True)
class ModelTarget:
    """A target, and which columns of the output predict it (`span`, None for all).

    `labels` tells that these are scores of classes. `words` are the names of its values in the data; where the model
    tells classes, `classes` names them. `gives` is what the loss takes outputs for ("scores", "logits",
    "probabilities", "log-probabilities"), None for another loss: then the largest output is the class, and there are
    no probabilities. `type` is None in models of before it was told.
    """

    name: str
    shape: tuple[int, ...]
    span: tuple[int, int] | None
    labels: bool
    words: tuple[str, ...]
    classes: tuple[str, ...] | None
    gives: str | None
    type: str | None = None
    roles: TargetRoles | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Out of its JSON object; raises KeyError and TypeError."""
        span, classes = data["span"], data["classes"]
        has_classes = bool(data["labels"]) and not data["shape"]
        _check(
            data,
            name=_is_text(data["name"]),
            shape=_is_list_of(data["shape"], int),
            classes=_is_list_of(classes, str) or (classes is None and not has_classes),
            span=span is None or (_is_list_of(span, int) and len(span) == 2),
        )
        return cls(
            name=data["name"],
            type=data.get("type"),
            shape=tuple(data["shape"]),
            span=None if span is None else (span[0], span[1]),
            labels=bool(data["labels"]),
            words=tuple(data["words"]),
            classes=None if classes is None else tuple(classes),
            gives=data["gives"],
            roles=TargetRoles.from_data(data["roles"]) if data.get("roles") else None,
        )

    def to_data(self) -> dict[str, Any]:
        """As a JSON object."""
        data: dict[str, Any] = {"name": self.name, "type": self.type, "shape": list(self.shape)}
        data |= {"span": None if self.span is None else list(self.span), "labels": self.labels}
        data |= {"words": list(self.words), "classes": None if self.classes is None else list(self.classes)}
        data |= {"gives": self.gives}
        return data | ({"roles": self.roles.to_data()} if self.roles else {})


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A saved model: what it takes, gives and predicts, how its data was written, and what must be installed.

    `loss` is what a spec says of the loss by the path at which it does. `reading` has the options by which tables are
    read. `precision` is that of the network, `transforms` tells that the model takes raw columns. `inputs_example` has
    some rows, a list for each input. `targets` is None in models of versions that did not describe them.
    """

    inputs: tuple[ModelColumn, ...]
    outputs: tuple[ModelColumn, ...]
    targets: tuple[ModelTarget, ...] | None = None
    loss: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    transforms: bool = False
    requirements: tuple[str, ...] = ()
    inputs_example: Mapping[str, list[Any]] | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the model.json of a folder; raises OSError, ValueError, KeyError and TypeError."""
        return cls.from_data(json.loads((folder / FILE).read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        """Writes the model.json of a folder."""
        (folder / FILE).write_text(json.dumps(self.to_data(), indent=2), encoding="utf-8", newline="\n")

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Out of a JSON object; raises KeyError, TypeError, and ValueError for one of a later version."""
        if not isinstance(data, dict):
            raise TypeError(f"{FILE} holds no object")
        if data.get("version", VERSION) != VERSION:
            raise ValueError(f"{FILE} has the version {data['version']}, and this annpipe reads version {VERSION}")
        targets = data.get("targets")
        return cls(
            inputs=tuple(map(ModelColumn.from_data, data["inputs"])),
            outputs=tuple(map(ModelColumn.from_data, data["outputs"])),
            targets=None if targets is None else tuple(map(ModelTarget.from_data, targets)),
            loss=data.get("loss") or {},
            reading=data.get("reading") or {},
            precision=data.get("precision", "float32"),
            transforms=bool(data.get("transforms", False)),
            requirements=tuple(data.get("requirements") or ()),
            inputs_example=data.get("inputs_example"),
        )

    def to_data(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "version": VERSION,
            "inputs": [column.to_data() for column in self.inputs],
            "outputs": [column.to_data() for column in self.outputs],
            "targets": None if self.targets is None else [target.to_data() for target in self.targets],
            "loss": dict(self.loss),
            "reading": dict(self.reading),
            "precision": self.precision,
            "transforms": self.transforms,
            "requirements": list(self.requirements),
            "inputs_example": self.inputs_example,
        }


def _check(data: Mapping[str, Any], **is_right: bool) -> None:
    """Raises TypeError for the first member that is not of its type."""
    for key, right in is_right.items():
        if not right:
            raise TypeError(f"'{key}' in {FILE} is {data[key]!r}"[:200])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list | tuple) and all(type(item) is kind for item in value)
