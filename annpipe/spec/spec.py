"""Nodes → Spec: every section in its place and of its type, names not looked up yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annpipe.errors import Place, Problem, Problems
from annpipe.registry.moved import section_word
from annpipe.registry.suggest import did_you_mean, nearest
from annpipe.spec import groups
from annpipe.spec.checking import EXAMPLES, REQUIRED, S, check, meant_by, stand_in, used_note
from annpipe.spec.component import KEEP_ONE, Call, read_call, read_calls
from annpipe.spec.ends import HeadCall, InputCall, read_inputs, read_join, read_outputs
from annpipe.spec.groups import GroupCall
from annpipe.spec.nodes import ListNode, MappingNode, Node, ScalarNode, descend, found, plain
from annpipe.spec.sections import Device, Head, Split, Tracking, Train
from annpipe.spec.splits import split_faults, split_files
from annpipe.spec.sweep import SweepCall, read_sweep

__all__ = ["LIST_SECTIONS", "REQUIRED", "SECTIONS", "TOP_KEYS", "Spec", "check", "read_spec", "used_note"]

SECTIONS = (
    *("version", "name", "description", "tags", "plugins", "seed", "device", "data", "blocks", "model", "loss"),
    *("optimizer", "scheduler", "average", "train", "metrics", "plots", "callbacks", "sweep", "tracking"),
)
LIST_SECTIONS = frozenset({"plugins", "model", "metrics", "plots", "callbacks"})
TOP_KEYS = ("extends", "variables", *SECTIONS)  # the first two are gone once a spec is composed

MODEL_KEYS = ("inputs", "join", "layers", "outputs", "init", "freeze")
OF_HEADS = {"loss": "losses", "metrics": "metrics"}
BLOCK_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
DEVICE_WORD = re.compile(r"(auto|cpu|cuda(:\d+)?|mps)\Z")


BESIDE_DATA = ("split", "transforms")  # what stands in `data` beside its component


@dataclass(frozen=True)
class Steps:
    """What `data.transforms` says of columns: their name, pattern or type, and the transforms in order."""

    columns: str
    calls: tuple[Call, ...]
    place: Place


@dataclass(frozen=True)
class Spec:
    """What the user wrote: sections checked, components not yet resolved. `file` and `root` keep the places.

    `transforms` is None where they could not be read. `problems` holds what is wrong with the sections; where there are
    some, a stand-in holds the place of what could not be read, and `plan.draft` raises them together with its own.
    `unfilled` are the places of values whose variable is unknown.
    """

    file: str
    root: MappingNode
    head: Head
    device: Device
    data: Call
    split: Split
    transforms: tuple[Steps, ...] | None
    blocks: tuple[tuple[ScalarNode, tuple[Call, ...]], ...]
    inputs: tuple[InputCall, ...]
    join: str
    model: tuple[Call, ...]
    outputs: tuple[HeadCall, ...]
    init: tuple[tuple[ScalarNode, Call], ...]
    freeze: tuple[ScalarNode, ...]
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
    inputs = reading.inputs()
    head = reading.section(Head, _only(root, tuple(Head.model_fields)))
    spec = Spec(
        file=file,
        root=root,
        head=head,
        device=reading.device(),
        data=reading.component_beside("data", BESIDE_DATA),
        split=reading.split(),
        transforms=reading.transforms(),
        blocks=tuple(reading.blocks()),
        inputs=inputs,
        join=reading.join(inputs),
        model=reading.model(),
        outputs=reading.outputs(),
        init=tuple(reading.init()),
        freeze=reading.freeze(),
        loss=reading.call("loss"),
        optimizer=reading.component_beside("optimizer", (groups.KEY,)),
        groups=reading.groups(),
        scheduler=reading.call("scheduler") if _given(root.get("scheduler")) else None,
        average=reading.call("average") if _given(root.get("average")) else None,
        train=reading.train(),
        metrics=reading.calls("metrics"),
        plots=reading.calls("plots"),
        callbacks=reading.calls("callbacks"),
        tracking=reading.section(Tracking, root.get("tracking"), "tracking"),
        sweep=reading.sweep(),
    )
    return replace(spec, problems=tuple(reading.problems))


def _only(root: MappingNode, names: Sequence[str]) -> MappingNode:
    return replace(root, pairs=tuple(pair for pair in root.pairs if pair[0].value in names))


def _given(node: Node | None) -> bool:
    return node is not None and not (isinstance(node, ScalarNode) and node.value is None)


def _is_name(value: object) -> bool:
    """A word, or the number of a layer, with which the names of its parameters begin."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


class _Reading:
    """Collects problems while the sections are read; a section at fault is stood in for, and the spec refused."""

    def __init__(self, root: MappingNode) -> None:
        self.root = root
        self.problems = Problems()
        self._nothing = Call("", None, root.place)
        self._meant: set[str] = set()  # sections and options that an unknown section stands for
        self._lost = False  # whether what stands beside the data component could not be read

    def keys(self) -> None:
        """Unknown and missing sections; one that an unknown word stands for is not missing besides."""
        for key, _ in self.root.pairs:
            if key.value not in SECTIONS:
                self._unknown(key)
        train = self.root.get("train")
        for word in train.keys if isinstance(train, MappingNode) else ():
            if word not in Train.model_fields:
                self._meant.update(meant_by(Train, "train", word))
        in_heads = ("loss",) if (long := self._long_form()) and _given(long.get("outputs")) else ()
        for name in REQUIRED:
            if name not in (*self._meant, *in_heads) and not _given(self.root.get(name)):
                self.problems.append(self._missing(name))

    def _missing(self, name: str) -> Problem:
        key, value = self.root.key(name), self.root.get(name)
        if key is None or value is None:
            return Problem("missing-section", f"the section '{name}' is missing", self.root.place, EXAMPLES[name])
        # what was unset has one place, that in the command line
        said = "missing" if key.place == value.place else "empty"
        place = value.place if value.place.on_command_line else key.place
        return Problem("missing-section", f"the section '{name}' is {said}", place, EXAMPLES[name])

    def _unknown(self, key: ScalarNode) -> None:
        word = str(key.value)
        moved = section_word(word)
        self._meant.update(moved.stands_for if moved.said else nearest(word, TOP_KEYS, 1))
        hint = moved.said or did_you_mean(word, TOP_KEYS) or f"the sections are {', '.join(TOP_KEYS)}"
        self.problems.append(Problem("unknown-section", f"there is no section '{word}'", key.place, hint))

    def section(self, model: type[S], node: Node | None, name: str = "") -> S:
        if not _given(node) or not isinstance(node, MappingNode):
            if _given(node) and node is not None:
                message = f"`{name}` must be a mapping; found {found(node)}"
                self.problems.append(Problem("wrong-type", message, node.place, EXAMPLES.get(name), used_note(node)))
            return stand_in(model)
        checked, problems = check(model, node, name, self._meant)
        self.problems += problems
        return checked

    def train(self) -> Train:
        """`train`, which says its length in epochs or in steps."""
        node = self.root.get("train")
        train = self.section(Train, node, "train")
        if isinstance(node, MappingNode):
            said = [name for name in ("epochs", "steps") if _given(node.get(name))]
            here = {
                option
                for word in node.keys
                if word not in Train.model_fields
                for option in meant_by(Train, "train", word)
            }
            if not said and not {"train.epochs", "train.steps"} & (self._meant | here):
                message, help_ = "`train.epochs` is missing", f"{EXAMPLES['train']}, or give `steps`"
                place = next((null.place for name in ("epochs", "steps") if (null := node.get(name))), node.place)
                self.problems.append(Problem("missing-option", message, place, help_))
            elif len(said) == 2:
                message = "`train` says its length in epochs and in steps"
                help_ = "keep one; what a base says is taken back with `epochs: null`"
                self.problems.append(Problem("wrong-value", message, descend(node, ["steps"])[0].place, help_))
        return train

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
        read = read_call(node, f"`{name}`", KEEP_ONE)
        return self._taken(read)

    def calls(self, name: str, node: Node | None = None) -> tuple[Call, ...]:
        node = node or self.root.get(name)
        if node is None:
            return ()
        calls, problems = read_calls(node, name)
        self.problems += problems
        if name == "model" and not calls and not problems and _given(node):
            self.problems.append(Problem("missing-section", "the model has no layer", node.place, EXAMPLES["model"]))
        return tuple(calls)

    def _long_form(self) -> MappingNode | None:
        """`model` where it is no list and no one layer: `{layers: […], init: …}`; with `join` alone it is a layer."""
        node = self.root.get("model")
        keys = set(MODEL_KEYS) - {"join"}
        return node if isinstance(node, MappingNode) and node.keys and set(node.keys) & keys else None

    def inputs(self) -> tuple[InputCall, ...]:
        """The stacks of several inputs."""
        long = self._long_form()
        stacks, problems = read_inputs(long.get("inputs") if long else None)
        self.problems += problems
        return tuple(stacks)

    def join(self, inputs: Sequence[InputCall]) -> str:
        """How these stacks meet."""
        long = self._long_form()
        join, problems = read_join(long.get("join") if long else None, inputs)
        self.problems += problems
        return join

    def model(self) -> tuple[Call, ...]:
        """The layers: a list, the list in the long form, or the one layer that is the whole model."""
        node = self.root.get("model")
        if long := self._long_form():
            for key, _ in long.pairs:
                if key.value not in MODEL_KEYS:
                    help_ = did_you_mean(str(key.value), MODEL_KEYS) or f"`model` takes {', '.join(MODEL_KEYS)}"
                    message = f"`model` has no option '{key.value}'"
                    self.problems.append(Problem("unknown-option", message, key.place, help_))
            layers = long.get("layers")
            if not _given(layers) and (_given(long.get("inputs")) or _given(long.get("outputs"))):
                return ()
            if layers is None or not _given(layers):
                message = "`model.layers` is missing"
                self.problems.append(Problem("missing-option", message, long.place, EXAMPLES["model.layers"]))
                return ()
            return self.calls("model", layers)
        if isinstance(node, MappingNode) and len(node.pairs) == 1 and node.keys[0].isidentifier():
            call = self._taken(read_call(node, "`model`"))
            return (call,) if call.name else ()
        return self.calls("model")

    def outputs(self) -> tuple[HeadCall, ...]:
        """The heads of several outputs, which have losses and metrics of their own."""
        long = self._long_form()
        heads, problems = read_outputs(long.get("outputs") if long else None)
        self.problems += problems
        for name in ("loss", "metrics") if heads else ():
            node, key = self.root.get(name), self.root.key(name)
            if node is None or key is None or not _given(node) or (isinstance(node, ListNode) and not node.items):
                continue
            one = str(heads[0].name.value)
            message = f"`{name}` stands beside `model.outputs`, whose heads have {OF_HEADS[name]} of their own"
            help_ = f"say it of a head, as in `outputs: {{{one}: {{{name}: …}}}}`, and take it out here"
            self.problems.append(Problem("outputs", message, key.place, help_))
        return tuple(heads)

    def init(self) -> Iterator[tuple[ScalarNode, Call]]:
        """Each pattern of parameters with its initializer."""
        long = self._long_form()
        node = long.get("init") if long else None
        if not _given(node) or node is None:
            return
        if not isinstance(node, MappingNode):
            message = f"`model.init` must be a mapping from names of parameters to initializers; found {found(node)}"
            self.problems.append(Problem("wrong-type", message, node.place, EXAMPLES["model.init"], used_note(node)))
            return
        for key, value in node.pairs:
            yield key, self._taken(read_call(value, f"`model.init.{key.value}`"))

    def freeze(self) -> tuple[ScalarNode, ...]:
        """The patterns of parameters that are not trained."""
        long = self._long_form()
        node = long.get("freeze") if long else None
        if not _given(node) or node is None:
            return ()
        items = node.items if isinstance(node, ListNode) else (node,)
        words = [item for item in items if isinstance(item, ScalarNode) and _is_name(item.value)]
        wrong = [item for item in items if item not in words] if isinstance(node, ListNode) else [node]
        for item in wrong:
            wanted = "names of parameters" if isinstance(node, ListNode) else "a list of names of parameters"
            message = (
                f"`model.freeze` {'holds' if isinstance(node, ListNode) else 'must be'} {wanted}; found {found(item)}"
            )
            self.problems.append(Problem("wrong-type", message, item.place, EXAMPLES["model.freeze"], used_note(item)))
        return tuple(words) if isinstance(node, ListNode) else ()

    def blocks(self) -> Iterator[tuple[ScalarNode, tuple[Call, ...]]]:
        """Each block's name and its layers."""
        node = self.root.get("blocks")
        if not isinstance(node, MappingNode):
            if _given(node) and node is not None:
                message = f"`blocks` must be a mapping; found {found(node)}"
                self.problems.append(Problem("wrong-type", message, node.place, EXAMPLES["blocks"], used_note(node)))
            return
        for key, value in node.pairs:
            name = str(key.value)
            if not BLOCK_NAME.match(name):
                message = f"a block cannot be called '{name}'"
                help_ = "a block's name has small letters, digits and _, as in `my_block`"
                self.problems.append(Problem("block", message, key.place, help_))
                continue
            calls, problems = read_calls(value, f"blocks.{name}")
            self.problems += problems
            if not calls and not problems:
                message = f"the block '{name}' has no layer"
                self.problems.append(Problem("block", message, key.place, EXAMPLES["blocks"]))
            yield key, tuple(calls)

    def component_beside(self, name: str, others: Sequence[str]) -> Call:
        """The component of `name`: its one key that is none of `others`, as `data` has `split`."""
        node = self.root.get(name)
        if not isinstance(node, MappingNode):
            return self.call(name)
        pairs = tuple(pair for pair in node.pairs if not self._is_other(pair[0], node, name, others))
        if not pairs:
            if node.pairs or name == "data":
                message = f"`{name}` names no {'data component' if name == 'data' else name}"
                self.problems.append(Problem("not-a-component", message, node.place, EXAMPLES[name]))
                return self._nothing
            return self.call(name)
        return self._taken(read_call(replace(node, pairs=pairs), f"`{name}`", KEEP_ONE))

    def _is_other(self, key: ScalarNode, node: MappingNode, name: str, others: Sequence[str]) -> bool:
        """Whether a key is one of the others, or was meant to be: beside a component nothing else stands."""
        word = str(key.value)
        if word not in others and len(node.pairs) > 1 and nearest(word, others):
            help_ = did_you_mean(word, others)
            self.problems.append(Problem("unknown-option", f"`{name}` has no option '{word}'", key.place, help_))
            self._lost = self._lost or name == "data"
            return True
        return word in others

    def _beside_data(self, name: str) -> Node | None:
        data = self.root.get("data")
        return data.get(name) if isinstance(data, MappingNode) else None

    def sweep(self) -> SweepCall | None:
        call, problems = read_sweep(self.root.get("sweep"))
        self.problems += problems
        return call

    def groups(self) -> tuple[GroupCall, ...]:
        optimizer = self.root.get("optimizer")
        calls, problems = groups.read_groups(optimizer.get(groups.KEY) if isinstance(optimizer, MappingNode) else None)
        self.problems += problems
        return tuple(calls)

    def split(self) -> Split:
        node = self._beside_data("split")
        split = self.section(Split, node, "data.split")
        if not isinstance(node, MappingNode):
            return split
        self.problems += split_faults(split, node)
        return split_files(split, node)

    def transforms(self) -> tuple[Steps, ...] | None:
        """The columns of `data.transforms`, each with one transform or a list of them; None where they are at fault."""
        node = self._beside_data("transforms")
        if not _given(node) or node is None:
            return None if self._lost else ()
        if not isinstance(node, MappingNode):
            message = f"`data.transforms` must be a mapping; found {found(node)}"
            self.problems.append(
                Problem("wrong-type", message, node.place, EXAMPLES["data.transforms"], used_note(node))
            )
            return None
        steps = tuple(self._steps(key, value) for key, value in node.pairs)
        return steps if all(part.calls for part in steps) else None

    def _steps(self, key: ScalarNode, value: Node) -> Steps:
        what = f"data.transforms.{key.value}"
        if isinstance(value, ListNode):
            calls, problems = read_calls(value, what)
            self.problems += problems
        elif _given(value):
            read = read_call(value, f"`{what}`")
            calls = [read] if isinstance(read, Call) else []
            self.problems += [read] if isinstance(read, Problem) else []
        else:
            calls = []
        if not _given(value) or (isinstance(value, ListNode) and not value.items):
            message = f"`{what}` names no transform"
            self.problems.append(Problem("not-a-component", message, key.place, EXAMPLES["data.transforms"]))
        return Steps(str(key.value), tuple(calls), key.place)

    def _taken(self, read: Call | Problem) -> Call:
        if isinstance(read, Call):
            return read
        self.problems.append(read)
        return self._nothing
