"""Reads `model` and `blocks`: layers as a list, or in the long form with inputs, outputs, `init` and `freeze`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.component import Call, read_call, read_calls
from annpipe.spec.sections.inputs_outputs import JOINS, HeadCall, InputCall, read_inputs, read_join, read_outputs
from annpipe.spec.sections.model_weights import FromCall, ThawCall, read_freeze, read_from
from annpipe.spec.sections.section_reader import EXAMPLES, SectionReader, is_given, used_note
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words

MODEL_KEYS = ("from", "inputs", "join", "layers", "outputs", "init", "freeze")
OF_HEADS = {"loss": "losses", "metrics": "metrics"}
BLOCK_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")


def long_form(root: MappingNode) -> MappingNode | None:
    """`model` where it is no list and no one layer: `{layers: […], init: …}`; with `join` alone it is a layer."""
    node = root.get("model")
    keys = set(MODEL_KEYS) - {"join"}
    return node if isinstance(node, MappingNode) and node.keys and set(node.keys) & keys else None


class ModelReading:
    """Reads what `reading` finds under `model` and `blocks`."""

    def __init__(self, reading: SectionReader) -> None:
        self._reading, self._root, self._problems = reading, reading.root, reading.problems
        self._long = long_form(reading.root)

    def _part(self, name: str) -> Node | None:
        """What the long form says of a part of the model; None where it says nothing."""
        node = self._long.get(name) if self._long else None
        return node if is_given(node) else None

    def inputs(self) -> tuple[InputCall, ...]:
        """The stacks of several inputs."""
        node = self._part("inputs")
        if node is None:
            return ()
        stacks, problems = read_inputs(node)
        self._problems += problems
        return tuple(stacks)

    def join(self, inputs: Sequence[InputCall]) -> str:
        """How these stacks meet."""
        node = self._part("join")
        if node is None:
            return JOINS[0]
        join, problems = read_join(node, inputs)
        self._problems += problems
        return join

    def model(self) -> tuple[Call, ...]:
        """The layers: a list, the list in the long form, or the one layer that is the whole model."""
        node = self._root.get("model")
        if long := self._long:
            for key, _ in long.pairs:
                if key.value not in MODEL_KEYS:
                    help_ = did_you_mean(str(key.value), MODEL_KEYS) or f"`model` takes {', '.join(MODEL_KEYS)}"
                    message = f"`model` has no option '{key.value}'"
                    self._problems.append(Problem("unknown-option", message, key.place, help_))
            layers = long.get("layers")
            if not is_given(layers) and (self._part("inputs") or self._part("outputs")):
                return ()
            if layers is None or not is_given(layers):
                message = "`model.layers` is missing"
                self._problems.append(Problem("missing-option", message, long.place, EXAMPLES["model.layers"]))
                return ()
            return self._reading.calls("model", layers)
        if isinstance(node, MappingNode) and len(node.pairs) == 1 and node.keys[0].isidentifier():
            call = self._reading.taken(read_call(node, "`model`"))
            return (call,) if call.name else ()
        return self._reading.calls("model")

    def outputs(self) -> tuple[HeadCall, ...]:
        """The heads of several outputs, which have losses and metrics of their own."""
        outputs = self._part("outputs")
        if outputs is None:
            return ()
        heads, problems = read_outputs(outputs)
        self._problems += problems
        for name in ("loss", "metrics") if heads else ():
            node, key = self._root.get(name), self._root.key(name)
            if node is None or key is None or not is_given(node) or (isinstance(node, ListNode) and not node.items):
                continue
            first = str(heads[0].name.value)
            message = f"`{name}` stands beside `model.outputs`, whose heads have {OF_HEADS[name]} of their own"
            help_ = f"say it of a head, as in `outputs: {{{first}: {{{name}: …}}}}`, and take it out here"
            self._problems.append(Problem("outputs", message, key.place, help_))
        return tuple(heads)

    def init(self) -> Iterator[tuple[ScalarNode, Call]]:
        """Each pattern of parameters with its initializer."""
        node = self._part("init")
        if node is None:
            return
        if not isinstance(node, MappingNode):
            message = f"`model.init` must be a mapping from names of parameters to initializers; found {in_words(node)}"
            self._problems.append(Problem("wrong-type", message, node.place, EXAMPLES["model.init"], used_note(node)))
            return
        for key, value in node.pairs:
            yield key, self._reading.taken(read_call(value, f"`model.init.{key.value}`"))

    def freeze(self) -> tuple[tuple[ScalarNode, ...], tuple[ThawCall, ...]]:
        """The patterns of parameters that are not trained, and of those that are not for some epochs."""
        node = self._part("freeze")
        if node is None:
            return (), ()
        words, thaws, problems = read_freeze(node)
        self._problems += problems
        return words, thaws

    def weights(self) -> FromCall | None:
        """The weights that the model begins with."""
        node = self._part("from")
        if node is None:
            return None
        call, problems = read_from(node)
        self._problems += problems
        return call

    def blocks(self) -> Iterator[tuple[ScalarNode, tuple[Call, ...]]]:
        """Each block's name and its layers."""
        node = self._root.get("blocks")
        if not isinstance(node, MappingNode):
            if is_given(node) and node is not None:
                message = f"`blocks` must be a mapping; found {in_words(node)}"
                self._problems.append(Problem("wrong-type", message, node.place, EXAMPLES["blocks"], used_note(node)))
            return
        for key, value in node.pairs:
            name = str(key.value)
            if not BLOCK_NAME.match(name):
                message = f"a block cannot be called '{name}'"
                help_ = "a block's name has small letters, digits and _, as in `my_block`"
                self._problems.append(Problem("block", message, key.place, help_))
                continue
            calls, problems = read_calls(value, f"blocks.{name}")
            self._problems += problems
            if not calls and not problems:
                message = f"the block '{name}' has no layer"
                self._problems.append(Problem("block", message, key.place, EXAMPLES["blocks"]))
            yield key, tuple(calls)
