"""Nodes → Spec: every section in its place and of its type, names not looked up yet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean, nearest
from annpipe.registry.other_tools.words import section_word
from annpipe.spec.sections.component import GROUPS, Call, GroupCall, read_call, read_calls, read_groups
from annpipe.spec.sections.inputs_outputs import HeadCall, InputCall
from annpipe.spec.sections.model_section import ModelReading, long_form
from annpipe.spec.sections.model_weights import FromCall, ThawCall
from annpipe.spec.sections.models import LIST_SECTIONS, SECTIONS, Device, Head, Split, Tracking, Train
from annpipe.spec.sections.new_names import with_new_names
from annpipe.spec.sections.section_reader import (
    EXAMPLES,
    REQUIRED,
    SectionReader,
    is_given,
    meant_by,
    unprintable,
    used_note,
)
from annpipe.spec.sections.splits import split_faults, split_files
from annpipe.spec.sections.sweep import SweepCall, read_sweep
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, descend, in_words, plain

__all__ = ["LIST_SECTIONS", "REQUIRED", "SECTIONS", "TOP_KEYS", "Spec", "read_spec"]

TOP_KEYS = ("extends", "variables", *SECTIONS)  # the first two are gone once a spec is composed

DEVICE_WORD = re.compile(r"(auto|cpu|cuda(:\d+)?|mps)\Z")
BESIDE_DATA = ("split", "transforms")  # what stands in `data` beside its component


@dataclass(frozen=True)
class TransformCalls:
    """What `data.transforms` says of columns: their name, pattern or type, and the transforms in order."""

    columns: str
    calls: tuple[Call, ...]
    place: Place


@dataclass(frozen=True)
class Spec:
    """What the user wrote: sections checked, components not yet resolved. `file` and `root` keep the places.

    `transforms` is None where they could not be read. `problems` holds what is wrong with the sections; where there are
    some, a stand-in holds the place of what could not be read, and `plan.draft` raises them together with its own.
    `notices` are warnings of earlier names; `root` has today's. `unfilled` are the places of values whose variable is
    unknown.
    """

    file: str
    root: MappingNode
    head: Head
    device: Device
    data: Call
    split: Split
    transforms: tuple[TransformCalls, ...] | None
    blocks: tuple[tuple[ScalarNode, tuple[Call, ...]], ...]
    inputs: tuple[InputCall, ...]
    join: str
    model: tuple[Call, ...]
    outputs: tuple[HeadCall, ...]
    init: tuple[tuple[ScalarNode, Call], ...]
    freeze: tuple[ScalarNode, ...]
    thaw: tuple[ThawCall, ...]
    weights: FromCall | None
    loss: Call
    optimizer: Call
    groups: tuple[GroupCall, ...]
    scheduler: Call | None
    average: Call | None
    train: Train
    metrics: tuple[Call, ...]
    plots: tuple[Call, ...]
    callbacks: tuple[Call, ...]
    tracking: Tracking
    sweep: SweepCall | None = None
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()
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
        is_of_spec = place.on_command_line or place.file == self.file
        return self.folder if is_of_spec else Path(place.file).resolve().parent


def read_spec(root: MappingNode, file: str) -> Spec:
    """Checks every section and notes all problems in the Spec."""
    root, of_names = with_new_names(root)
    reading = _Sections(root)
    reading.problems += [problem for problem in of_names if problem.severity == "error"]
    reading.keys()
    model = ModelReading(reading)
    inputs = model.inputs()
    freeze, thaw = model.freeze()
    head = reading.section(Head, _only(root, tuple(Head.model_fields)))
    spec = Spec(
        file=file,
        root=root,
        head=head,
        device=reading.device(),
        data=reading.component_beside("data", BESIDE_DATA),
        split=reading.split(),
        transforms=reading.transforms(),
        blocks=tuple(model.blocks()),
        inputs=inputs,
        join=model.join(inputs),
        model=model.model(),
        outputs=model.outputs(),
        init=tuple(model.init()),
        freeze=freeze,
        thaw=thaw,
        weights=model.weights(),
        loss=reading.call("loss"),
        optimizer=reading.component_beside("optimizer", (GROUPS,)),
        groups=reading.groups(),
        scheduler=reading.call("scheduler") if is_given(root.get("scheduler")) else None,
        average=reading.call("average") if is_given(root.get("average")) else None,
        train=reading.train(),
        metrics=reading.calls("metrics"),
        plots=reading.calls("plots"),
        callbacks=reading.calls("callbacks"),
        tracking=reading.section(Tracking, root.get("tracking"), "tracking"),
        sweep=reading.sweep(),
    )
    reading.problems += unprintable(root)
    notices = tuple(problem for problem in of_names if problem.severity != "error")
    return replace(spec, problems=tuple(reading.problems), notices=notices)


def _only(root: MappingNode, names: Sequence[str]) -> MappingNode:
    return replace(root, pairs=tuple(pair for pair in root.pairs if pair[0].value in names))


class _Sections(SectionReader):
    """Reads the sections that are more than a component."""

    def keys(self) -> None:
        """Unknown and missing sections; one that an unknown word stands for is not missing besides."""
        for key, _ in self.root.pairs:
            if key.value not in SECTIONS:
                self._unknown(key)
        train = self.root.get("train")
        for word in train.keys if isinstance(train, MappingNode) else ():
            if word not in Train.model_fields:
                self.meant.update(meant_by(Train, "train", word))
        in_heads = ("loss",) if (long := long_form(self.root)) and is_given(long.get("outputs")) else ()
        for name in REQUIRED:
            if name not in (*self.meant, *in_heads) and not is_given(self.root.get(name)):
                self.problems.append(self._missing(name))

    def _missing(self, name: str) -> Problem:
        key, value = self.root.key(name), self.root.get(name)
        if key is None or value is None:
            return Problem("missing-section", f"the section '{name}' is missing", self.root.place, EXAMPLES[name])
        # what was unset has one place, that in the command line
        state = "missing" if key.place == value.place else "empty"
        place = value.place if value.place.on_command_line else key.place
        return Problem("missing-section", f"the section '{name}' is {state}", place, EXAMPLES[name])

    def _unknown(self, key: ScalarNode) -> None:
        word = str(key.value)
        moved = section_word(word)
        self.meant.update(moved.stands_for if moved.hint else nearest(word, TOP_KEYS, 1))
        hint = moved.hint or did_you_mean(word, TOP_KEYS) or f"the sections are {', '.join(TOP_KEYS)}"
        self.problems.append(Problem("unknown-section", f"there is no section '{word}'", key.place, hint))

    def train(self) -> Train:
        """`train`, which says its length in epochs or in steps."""
        node = self.root.get("train")
        train = self.section(Train, node, "train")
        if isinstance(node, MappingNode):
            lengths = [name for name in ("epochs", "steps") if is_given(node.get(name))]
            here = {
                option
                for word in node.keys
                if word not in Train.model_fields
                for option in meant_by(Train, "train", word)
            }
            if not lengths and not {"train.epochs", "train.steps"} & (self.meant | here):
                message, help_ = "`train.epochs` is missing", f"{EXAMPLES['train']}, or give `steps`"
                place = next((null.place for name in ("epochs", "steps") if (null := node.get(name))), node.place)
                self.problems.append(Problem("missing-option", message, place, help_))
            elif len(lengths) == 2:
                message = "`train` says its length in epochs and in steps"
                help_ = "keep one; what a base says is taken back with `epochs: null`"
                self.problems.append(Problem("wrong-value", message, descend(node, ["steps"])[0].place, help_))
        return train

    def device(self) -> Device:
        node = self.root.get("device")
        if not isinstance(node, MappingNode):
            if not is_given(node):
                return Device()
            assert node is not None
            return self._device_word(Device.model_construct(type=plain(node)), node)
        device = self.section(Device, node, "device")
        type_node = node.get("type")
        return self._device_word(device, type_node) if type_node else device

    def _device_word(self, device: Device, node: Node) -> Device:
        if isinstance(device.type, str) and DEVICE_WORD.match(device.type):
            return device
        message = f"`device` must be auto, cpu, cuda, cuda:N or mps; found {in_words(node)}"
        gpu = "a GPU of NVIDIA is `cuda`, one of Apple `mps`; `auto` takes what is there"
        is_gpu = isinstance(device.type, str) and device.type.casefold() in ("gpu", "tpu", "metal", "rocm", "nvidia")
        hint = gpu if is_gpu else did_you_mean(str(device.type), ("auto", "cpu", "cuda", "mps")) or None
        self.problems.append(Problem("unknown-device", message, node.place, hint, used_note(node)))
        return device

    def sweep(self) -> SweepCall | None:
        node = self.root.get("sweep")
        if node is None or not is_given(node):
            return None
        call, problems = read_sweep(node)
        self.problems += problems
        return call

    def groups(self) -> tuple[GroupCall, ...]:
        optimizer = self.root.get("optimizer")
        calls, problems = read_groups(optimizer.get(GROUPS) if isinstance(optimizer, MappingNode) else None)
        self.problems += problems
        return tuple(calls)

    def split(self) -> Split:
        node = self._beside_data("split")
        split = self.section(Split, node, "data.split")
        if not isinstance(node, MappingNode):
            return split
        self.problems += split_faults(split, node)
        return split_files(split, node)

    def transforms(self) -> tuple[TransformCalls, ...] | None:
        """The columns of `data.transforms`, each with one transform or a list of them; None where they are at fault."""
        node = self._beside_data("transforms")
        if not is_given(node) or node is None:
            return None if self.lost else ()
        if not isinstance(node, MappingNode):
            message = f"`data.transforms` must be a mapping; found {in_words(node)}"
            self.problems.append(
                Problem("wrong-type", message, node.place, EXAMPLES["data.transforms"], used_note(node))
            )
            return None
        steps = tuple(self._steps(key, value) for key, value in node.pairs)
        return steps if all(part.calls for part in steps) else None

    def _steps(self, key: ScalarNode, value: Node) -> TransformCalls:
        what = f"data.transforms.{key.value}"
        if isinstance(value, ListNode):
            calls, problems = read_calls(value, what)
            self.problems += problems
        elif is_given(value):
            read = read_call(value, f"`{what}`")
            calls = [read] if isinstance(read, Call) else []
            self.problems += [read] if isinstance(read, Problem) else []
        else:
            calls = []
        if not is_given(value) or (isinstance(value, ListNode) and not value.items):
            message = f"`{what}` names no transform"
            self.problems.append(Problem("not-a-component", message, key.place, EXAMPLES["data.transforms"]))
        return TransformCalls(str(key.value), tuple(calls), key.place)

    def _beside_data(self, name: str) -> Node | None:
        data = self.root.get("data")
        return data.get(name) if isinstance(data, MappingNode) else None
