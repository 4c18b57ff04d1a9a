"""Nodes → Spec: every section in its place and of its type, names not looked up yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from annpipe.errors import Place, Problem
from annpipe.registry.moved import section_option_word, section_word
from annpipe.registry.suggest import did_you_mean
from annpipe.registry.types import from_annotation, words
from annpipe.spec.component import Call, read_call, read_calls
from annpipe.spec.nodes import ListNode, MappingNode, Node, ScalarNode, descend, found, plain
from annpipe.spec.other_yaml import yaml_hint
from annpipe.spec.sections import Device, Head, Section, Split, Tracking, Train

SECTIONS = (
    *("version", "name", "description", "tags", "plugins", "seed", "device", "data", "model", "loss", "optimizer"),
    *("scheduler", "train", "metrics", "plots", "callbacks", "tracking"),
)
LIST_SECTIONS = frozenset({"plugins", "model", "metrics", "plots", "callbacks"})
TOP_KEYS = ("extends", "variables", *SECTIONS)  # the first two are gone once a spec is composed
REQUIRED = ("version", "name", "data", "model", "loss", "optimizer", "train")

DEVICE_WORD = re.compile(r"(auto|cpu|cuda(:\d+)?|mps)\Z")
S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Spec:
    """What the user wrote: sections checked, components not yet resolved. `file` and `root` keep the places.

    `problems` holds what is wrong with the sections; where there are some, a stand-in holds the place of what could
    not be read, and `plan.draft` raises them together with its own. `unfilled` are the places of values whose variable
    is unknown.
    """

    file: str
    root: MappingNode
    head: Head
    device: Device
    data: Call
    split: Split
    model: tuple[Call, ...]
    loss: Call
    optimizer: Call
    scheduler: Call | None
    train: Train
    metrics: tuple[Call, ...]
    plots: tuple[Call, ...]
    callbacks: tuple[Call, ...]
    tracking: Tracking
    problems: tuple[Problem, ...] = ()
    base: Path | None = None
    unfilled: frozenset[Place] = frozenset()

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the spec start from: its own, unless it was written for another."""
        return self.base or Path(self.file).resolve().parent

    def place(self, *path: str | int) -> Place:
        """The place of the deepest node that `path` leads to."""
        return descend(self.root, path)[0].place

    @property
    def plugin_places(self) -> list[tuple[str, Place, Path]]:
        """The plugin files listed, each with its place and the folder that its path starts from.

        That is the folder of the file that lists it: this spec, or one that it extends.
        """
        node = self.root.get("plugins")
        items = node.items if isinstance(node, ListNode) else ()
        scalars = [item for item in items if isinstance(item, ScalarNode)]
        return [(item.value, item.place, self._start(item.place)) for item in scalars if isinstance(item.value, str)]

    def _start(self, place: Place) -> Path:
        own = place.on_command_line or place.file == self.file
        return self.folder if own else Path(place.file).resolve().parent


def read_spec(root: MappingNode, file: str) -> Spec:
    """Checks every section and notes all problems in the Spec."""
    reading = _Reading(root)
    reading.keys()
    head = reading.section(Head, _only(root, tuple(Head.model_fields)))
    spec = Spec(
        file=file,
        root=root,
        head=head,
        device=reading.device(),
        data=reading.data_call(),
        split=reading.split(),
        model=reading.calls("model"),
        loss=reading.call("loss"),
        optimizer=reading.call("optimizer"),
        scheduler=reading.call("scheduler") if _given(root.get("scheduler")) else None,
        train=reading.section(Train, root.get("train"), "train"),
        metrics=reading.calls("metrics"),
        plots=reading.calls("plots"),
        callbacks=reading.calls("callbacks"),
        tracking=reading.section(Tracking, root.get("tracking"), "tracking"),
    )
    return replace(spec, problems=tuple(reading.problems))


def _only(root: MappingNode, names: Sequence[str]) -> MappingNode:
    return replace(root, pairs=tuple(pair for pair in root.pairs if pair[0].value in names))


def _given(node: Node | None) -> bool:
    return node is not None and not (isinstance(node, ScalarNode) and node.value is None)


class _Reading:
    """Collects problems while the sections are read; a section at fault is stood in for, and the spec refused."""

    def __init__(self, root: MappingNode) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self._nothing = Call("", None, root.place)

    def keys(self) -> None:
        """Unknown and missing sections."""
        for key, _ in self.root.pairs:
            if key.value not in SECTIONS:
                word = str(key.value)
                near = section_word(word, TOP_KEYS) or did_you_mean(word, TOP_KEYS)
                hint = near or f"the sections are {', '.join(TOP_KEYS)}"
                self.problems.append(Problem("unknown-section", f"there is no section '{key.value}'", key.place, hint))
        for name in REQUIRED:
            if not _given(self.root.get(name)):
                node = self.root.key(name)
                place = node.place if node else self.root.place
                message = f"the section '{name}' is " + ("empty" if node else "missing")
                self.problems.append(Problem("missing-section", message, place, _EXAMPLES[name]))

    def section(self, model: type[S], node: Node | None, name: str = "") -> S:
        if not _given(node) or not isinstance(node, MappingNode):
            if _given(node) and node is not None:
                message = f"`{name}` must be a mapping; found {found(node)}"
                self.problems.append(Problem("wrong-type", message, node.place, _EXAMPLES.get(name), used_note(node)))
            return _stand_in(model)
        checked, problems = check(model, node, name)
        self.problems += problems
        return checked

    def device(self) -> Device:
        node = self.root.get("device")
        if not isinstance(node, MappingNode):
            if not _given(node):
                return Device()
            assert node is not None
            return self._device_word(Device.model_construct(type=plain(node)), node)
        device = self.section(Device, node, "device")
        type_node = node.get("type")
        return self._device_word(device, type_node) if type_node else device

    def _device_word(self, device: Device, node: Node) -> Device:
        if isinstance(device.type, str) and DEVICE_WORD.match(device.type):
            return device
        message = f"`device` must be auto, cpu, cuda, cuda:N or mps; found {found(node)}"
        gpu = "a GPU of NVIDIA is `cuda`, one of Apple `mps`; `auto` takes what is there"
        is_gpu = isinstance(device.type, str) and device.type.casefold() in ("gpu", "tpu", "metal", "rocm", "nvidia")
        hint = gpu if is_gpu else did_you_mean(str(device.type), ("auto", "cpu", "cuda", "mps")) or None
        self.problems.append(Problem("unknown-device", message, node.place, hint, used_note(node)))
        return device

    def call(self, name: str) -> Call:
        node = self.root.get(name)
        if not _given(node) or node is None:
            return self._nothing
        read = read_call(node, f"`{name}`")
        return self._taken(read)

    def calls(self, name: str) -> tuple[Call, ...]:
        node = self.root.get(name)
        if node is None:
            return ()
        calls, problems = read_calls(node, name)
        self.problems += problems
        if name == "model" and not calls and not problems and _given(node):
            self.problems.append(Problem("missing-section", "the model has no layer", node.place, _EXAMPLES["model"]))
        return tuple(calls)

    def data_call(self) -> Call:
        """The data component: the one key of `data` that is not `split`."""
        node = self.root.get("data")
        if not isinstance(node, MappingNode):
            return self.call("data")
        pairs = tuple(pair for pair in node.pairs if pair[0].value != "split")
        if not pairs:
            message = "`data` names no data component"
            self.problems.append(Problem("not-a-component", message, node.place, _EXAMPLES["data"]))
            return self._nothing
        return self._taken(read_call(replace(node, pairs=pairs), "`data`"))

    def split(self) -> Split:
        data = self.root.get("data")
        node = data.get("split") if isinstance(data, MappingNode) else None
        split = self.section(Split, node, "data.split")
        held = split.val + split.test
        if node is not None and held >= 1:
            message = f"val and test together take {held:g} of the rows; none are left to train"
            self.problems.append(Problem("wrong-value", message, node.place, "their sum must be less than 1"))
        return split

    def _taken(self, read: Call | Problem) -> Call:
        if isinstance(read, Call):
            return read
        self.problems.append(read)
        return self._nothing


def check(model: type[S], node: MappingNode, name: str) -> tuple[S, list[Problem]]:
    """Validates a section's node; its problems carry places and the user's words."""
    try:
        return model.model_validate(plain(node)), []
    except ValidationError as error:
        problems: dict[tuple[Place | None, str], Problem] = {}
        for detail in error.errors():
            problem = _section_problem(model, node, name, detail["type"], detail["loc"])
            if problem:
                problems.setdefault((problem.place, problem.code), problem)
        return _stand_in(model), list(problems.values())


def _stand_in(model: type[S]) -> S:
    """A section of defaults, None where there is none, for a spec that is refused anyway (or lacks the section)."""
    required = {name: None for name, field in model.model_fields.items() if field.is_required()}
    return cast(S, model.model_construct(**required))


def _section_problem(
    model: type[BaseModel], node: MappingNode, name: str, kind: str, loc: tuple[str | int, ...]
) -> Problem | None:
    key = str(loc[0])
    shown = f"{name}.{key}" if name else key
    if kind == "extra_forbidden":
        key_node = node.key(key)
        assert key_node
        near = section_option_word(name, key) or did_you_mean(key, model.model_fields)
        hint = near or f"`{name}` takes {', '.join(model.model_fields)}"
        return Problem("unknown-option", f"`{name}` has no option '{key}'", key_node.place, hint)
    if kind == "missing":
        if key in REQUIRED and not name:
            return None  # said once, as a missing section
        return Problem("missing-option", f"`{shown}` is missing", node.place, _EXAMPLES.get(name))
    value, _ = descend(node, loc)
    field = model.model_fields[key]
    expected = words(from_annotation(field.annotation), _bounds(field))
    message = f"`{shown}` must be {expected}; found {found(value)}"
    return Problem("wrong-type", message, value.place, yaml_hint(value) or field.description, used_note(value))


def used_note(node: Node) -> tuple[tuple[Place, str], ...]:
    """Where a faulty value is used, when a variable says it elsewhere."""
    return ((node.used, "used here"),) if node.used else ()


def _bounds(field: FieldInfo) -> Mapping[str, float]:
    """The bounds of a field, those of a union's members included."""
    members = [note for member in get_args(field.annotation) for note in getattr(member, "__metadata__", ())]
    parts = [part for note in (*field.metadata, *members) for part in (note, *getattr(note, "metadata", ()))]
    return {key: getattr(part, key) for part in parts for key in ("gt", "ge", "lt", "le") if hasattr(part, key)}


_EXAMPLES = {
    "version": "write `version: 1`",
    "name": "write `name: my_run`",
    "data": "for example `data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}`; `annpipe list data` shows all",
    "model": "for example `model: [Linear: 10, ReLU, Linear: 1]`; `annpipe list layer` shows all layers",
    "loss": "for example `loss: L1Loss`; `annpipe list loss` shows all",
    "optimizer": "for example `optimizer: {Adam: {lr: 1e-3}}`; `annpipe list optimizer` shows all",
    "train": "for example `train: {epochs: 100, batch_size: 32}`",
    "data.split": "for example `split: {val: 0.2, test: 0.1}`",
    "tracking": "for example `tracking: {experiment: curves}`",
}
